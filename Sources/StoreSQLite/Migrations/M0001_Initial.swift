/// The first schema. Never edit: its hash is in every database made with it. Add `M0002…` instead.
let m0001Initial = Migration(
    version: 1,
    statements: [
        "CREATE TABLE meta(key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
        "INSERT INTO meta(key, value) VALUES('directory_version', 1), ('probe', 0)",

        // A message is stored once. `holders` is how many mailbox entries and queue rows it began with; when it was more
        // than one, `message_share` counts them down. `body` is last, so that reading the rest touches no overflow page;
        // NULL means the body lies in the spool.
        """
        CREATE TABLE message(
            id INTEGER PRIMARY KEY, received INTEGER NOT NULL, body_size INTEGER NOT NULL, holders INTEGER NOT NULL,
            sender BLOB NOT NULL, envelope BLOB NOT NULL, trace BLOB NOT NULL, body BLOB)
        """,
        "CREATE TABLE message_share(message INTEGER PRIMARY KEY, left INTEGER NOT NULL)",
        """
        CREATE TABLE spool_extent(
            message INTEGER NOT NULL, part INTEGER NOT NULL, segment INTEGER NOT NULL, start INTEGER NOT NULL,
            length INTEGER NOT NULL, PRIMARY KEY(message, part)) WITHOUT ROWID
        """,
        "CREATE INDEX spool_extent_segment ON spool_extent(segment, length)",

        """
        CREATE TABLE mailbox_entry(
            account INTEGER NOT NULL, folder INTEGER NOT NULL, message INTEGER NOT NULL, flags INTEGER NOT NULL,
            recipient BLOB NOT NULL, PRIMARY KEY(account, folder, message)) WITHOUT ROWID
        """,
        """
        CREATE TABLE folder(
            account INTEGER NOT NULL, id INTEGER NOT NULL, name TEXT NOT NULL, PRIMARY KEY(account, id)) WITHOUT ROWID
        """,
        "CREATE UNIQUE INDEX folder_name ON folder(account, name)",

        // `due` is the later of the next attempt and the lease's end, so that one index finds both what is due and what a
        // dead owner left behind.
        """
        CREATE TABLE queue_recipient(
            message INTEGER NOT NULL, recipient INTEGER NOT NULL, due INTEGER NOT NULL, attempts INTEGER NOT NULL,
            lease_owner INTEGER NOT NULL, lease_until INTEGER NOT NULL, lease_generation INTEGER NOT NULL,
            notify INTEGER NOT NULL, address BLOB NOT NULL, original BLOB NOT NULL, status BLOB NOT NULL,
            PRIMARY KEY(message, recipient)) WITHOUT ROWID
        """,
        "CREATE INDEX queue_due ON queue_recipient(due)",

        "CREATE TABLE domain(name BLOB PRIMARY KEY) WITHOUT ROWID",
        """
        CREATE TABLE domain_setting(
            domain BLOB NOT NULL, field TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY(domain, field)) WITHOUT ROWID
        """,
        """
        CREATE TABLE account(
            id INTEGER PRIMARY KEY AUTOINCREMENT, address BLOB NOT NULL UNIQUE, admin INTEGER NOT NULL,
            disabled INTEGER NOT NULL, quota INTEGER, password BLOB, salt BLOB, iterations INTEGER, stored_key BLOB,
            server_key BLOB)
        """,
        "CREATE TABLE account_usage(account INTEGER PRIMARY KEY, octets INTEGER NOT NULL, messages INTEGER NOT NULL)",
        "CREATE TABLE alias(address BLOB NOT NULL, target BLOB NOT NULL, PRIMARY KEY(address, target)) WITHOUT ROWID",
    ])
