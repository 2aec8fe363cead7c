import CSQLite
import Store

/// One step of the schema. Applied once, in order, each in a transaction of its own.
struct Migration: Sendable {
    let version: Int
    let statements: [String]

    /// FNV-1a over the statements: says whether a step was edited after it was applied somewhere.
    var hash: Int64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for statement in statements {
            for byte in statement.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
            hash = (hash ^ 0x3B) &* 0x100_0000_01b3
        }
        return Int64(bitPattern: hash)
    }
}

enum Migrator {
    /// Append only.
    static let all: [Migration] = [m0001Initial, m0002Keys, m0003Delivery]

    /// Brings the database to the last step. Throws when it was made by other steps than ours.
    static func run(_ database: Database, migrations: [Migration] = all) throws(StoreError) {
        try database.execute(
            "CREATE TABLE IF NOT EXISTS migration(version INTEGER PRIMARY KEY, hash INTEGER NOT NULL)")
        let applied = try database.statement("SELECT version, hash FROM migration ORDER BY version").rows {
            (row) throws(StoreError) in (version: row.int(0), hash: row.integer(1))
        }
        guard applied.count <= migrations.count else {
            throw .invalid("the database was made by a newer version (schema \(applied.count))")
        }
        for (known, step) in zip(applied, migrations) where known.version != step.version || known.hash != step.hash {
            throw .invalid("schema step \(known.version) of the database is not the one of this version")
        }
        for step in migrations.dropFirst(applied.count) { try apply(step, to: database) }
    }

    private static func apply(_ step: Migration, to database: Database) throws(StoreError) {
        try database.execute("BEGIN IMMEDIATE")
        do throws(StoreError) {
            for statement in step.statements { try database.execute(statement) }
            try database.statement("INSERT INTO migration(version, hash) VALUES(?, ?)")
                .bind(1, step.version).bind(2, step.hash).run()
            try database.execute("COMMIT")
        } catch {
            database.rollback()
            throw error
        }
    }
}
