import Store
import Testing

@testable import StoreSQLite

@Suite struct MigratorTests {
    private let first = Migration(version: 1, statements: ["CREATE TABLE a(x)"])
    private let second = Migration(version: 2, statements: ["CREATE TABLE b(x)", "INSERT INTO b VALUES(7)"])
    private let edited = Migration(version: 1, statements: ["CREATE TABLE a(x, y)"])
    private let broken = Migration(version: 2, statements: ["CREATE TABLE b(x)", "INSERT INTO nowhere VALUES(7)"])

    private func open(_ folder: TestFolder) throws -> Database {
        try Database(path: folder.file("m.db"), mode: .writer, options: SQLiteOptions())
    }

    private func tables(_ database: Database) throws -> [String] {
        try database.statement("SELECT name FROM sqlite_schema WHERE name IN ('a', 'b') ORDER BY name").rows {
            (row) throws(StoreError) in row.text(0)
        }
    }

    @Test func stepsRunOnceInOrder() throws {
        let folder = TestFolder()
        let database = try open(folder)
        try Migrator.run(database, migrations: [first])
        try Migrator.run(database, migrations: [first, second])
        try Migrator.run(database, migrations: [first, second])
        #expect(try tables(database) == ["a", "b"])
        let rows = try database.statement("SELECT count(*) FROM b").first { (row) throws(StoreError) in row.int(0) }
        #expect(rows == 1)
    }

    @Test func anEditedOrUnknownStepIsRefused() throws {
        let folder = TestFolder()
        let database = try open(folder)
        try Migrator.run(database, migrations: [first, second])
        #expect(throws: StoreError.self) { try Migrator.run(database, migrations: [edited, second]) }
        #expect(throws: StoreError.self) { try Migrator.run(database, migrations: [first]) }
    }

    @Test func aStepThatFailsLeavesNothing() throws {
        let folder = TestFolder()
        let database = try open(folder)
        #expect(throws: StoreError.self) { try Migrator.run(database, migrations: [first, broken]) }
        #expect(try tables(database) == ["a"])
        try Migrator.run(database, migrations: [first, second])
        #expect(try tables(database) == ["a", "b"])
    }

    /// A queue of before deliveries were by destination is one of after.
    @Test func queueRowsGetTheirDestination() throws {
        let folder = TestFolder()
        let database = try open(folder)
        try Migrator.run(database, migrations: Array(Migrator.all.prefix(2)))
        let addresses = ["p@Z.Example", "\"a@b\"@y.example", "r@[192.0.2.1]", "u@b\u{FC}cher.example"]
        for (n, address) in addresses.enumerated() {
            try database.statement(
                """
                INSERT INTO queue_recipient(message, recipient, due, attempts, lease_owner, lease_until,
                    lease_generation, notify, address, original, status) VALUES(?, 0, 5, 2, 0, 0, 7, 3, ?, x'', x'61')
                """
            )
            .bind(1, n).bind(2, Array(address.utf8)).run()
        }
        try Migrator.run(database)
        let rows = try database.statement(
            "SELECT site, typeof(site), state, attempts, sender IS NULL, length(prefix) FROM queue_recipient ORDER BY message"
        )
        .rows { (row) throws(StoreError) in
            (row.text(0), row.text(1), [row.int(2), row.int(3), row.int(4), row.int(5)])
        }
        #expect(rows.map(\.0) == ["z.example", "y.example", "[192.0.2.1]", "b\u{FC}cher.example"])
        #expect(Set(rows.map(\.1)) == ["blob"] && Set(rows.map(\.2)) == [[0, 2, 1, 0]])
    }

    /// Applied steps must not change: databases out there were made with them.
    @Test func stepsAreTheOnesThatWereReleased() {
        #expect(Migrator.all.map(\.version) == Array(1...Migrator.all.count))
        let released: [Int64] = [6_457_930_573_143_221_957, 5_414_961_675_006_202_852, -4_818_094_320_680_071_570]
        #expect(Migrator.all.map(\.hash) == released)
    }
}
