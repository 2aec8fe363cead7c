/// Delivery: destinations of queue rows, holds, policies and results of transport security.
let m0003Delivery = Migration(
    version: 3,
    statements: [
        // `site` is the recipient's domain in lower case: rows are taken a destination at a time. `state`: 0 waits for its
        // time, 1 held. `flags`: 1 the sender was told of the delay. `last`: the last attempt, 0 none.
        "ALTER TABLE queue_recipient ADD COLUMN site BLOB NOT NULL DEFAULT x''",
        "ALTER TABLE queue_recipient ADD COLUMN state INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE queue_recipient ADD COLUMN flags INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE queue_recipient ADD COLUMN last INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE queue_recipient ADD COLUMN sender BLOB",
        "ALTER TABLE queue_recipient ADD COLUMN prefix BLOB NOT NULL DEFAULT x''",
        "ALTER TABLE queue_recipient ADD COLUMN host BLOB NOT NULL DEFAULT x''",
        // What comes after the last @: rtrim takes away all that is not one.
        """
        UPDATE queue_recipient SET site = CAST(lower(substr(CAST(address AS TEXT), 1 + length(
            rtrim(CAST(address AS TEXT), replace(CAST(address AS TEXT), '@', ''))))) AS BLOB)
        """,
        "DROP INDEX queue_due",
        // One index for all: due rows of a destination in order, counts and earliest times by destination, rows of a dead
        // owner. The message's id, which comes with it, tells the oldest.
        "CREATE INDEX queue_site ON queue_recipient(site, state, due, lease_owner)",
        "CREATE TABLE queue_hold(site BLOB PRIMARY KEY, since INTEGER NOT NULL) WITHOUT ROWID",

        """
        CREATE TABLE mta_sts(
            domain BLOB PRIMARY KEY, id BLOB NOT NULL, policy BLOB NOT NULL, fetched INTEGER NOT NULL,
            expires INTEGER NOT NULL) WITHOUT ROWID
        """,
        """
        CREATE TABLE tls_result(
            day INTEGER NOT NULL, domain BLOB NOT NULL, host BLOB NOT NULL, policy TEXT NOT NULL, result TEXT NOT NULL,
            sessions INTEGER NOT NULL, last INTEGER NOT NULL, address BLOB NOT NULL, policy_domain BLOB NOT NULL,
            policy_strings BLOB NOT NULL, policy_hosts BLOB NOT NULL, testing INTEGER NOT NULL, detail BLOB NOT NULL,
            version BLOB NOT NULL, cipher BLOB NOT NULL, key_group BLOB NOT NULL, forward_secrecy INTEGER NOT NULL,
            verified INTEGER NOT NULL, cert_key BLOB, cert_subject BLOB, cert_issuer BLOB, cert_end INTEGER,
            PRIMARY KEY(day, domain, host, policy, result)) WITHOUT ROWID
        """,
    ])
