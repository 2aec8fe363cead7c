/// DKIM keys. The private halves lie apart: nothing that lists or publishes keys reads that table.
let m0002Keys = Migration(
    version: 2,
    statements: [
        // Ids are never used again: caches of parsed keys go by them.
        """
        CREATE TABLE dkim_key(
            id INTEGER PRIMARY KEY AUTOINCREMENT, domain BLOB NOT NULL, selector BLOB NOT NULL,
            algorithm TEXT NOT NULL, bits INTEGER NOT NULL, record BLOB NOT NULL, state TEXT NOT NULL,
            created INTEGER NOT NULL, activated INTEGER, retired INTEGER)
        """,
        "CREATE UNIQUE INDEX dkim_key_name ON dkim_key(domain, selector)",
        "CREATE TABLE dkim_private(key INTEGER PRIMARY KEY, pem BLOB NOT NULL)",
    ])
