import Base
import Policy
import Store

extension SQLiteReaderSession {
    func dkimKeys(of domain: [UInt8]?) throws(StoreError) -> [DKIMKey] {
        let rows = try statement(
            """
            SELECT id, domain, selector, algorithm, bits, record, state, created, activated, retired
            FROM dkim_key WHERE ?1 IS NULL OR domain=?1 ORDER BY domain, id
            """
        )
        .bind(1, optional: domain.map { ASCII.lowercased($0) })
        .rows { (row) throws(StoreError) in try Self.dkimKey(row) }
        return rows
    }

    private static func dkimKey(_ row: Statement) throws(StoreError) -> DKIMKey {
        guard let algorithm = SigningAlgorithm(rawValue: row.text(3)), let state = DKIMKey.State(rawValue: row.text(6))
        else { throw .corrupt("dkim_key \(row.integer(0))") }
        func time(_ column: Int32) -> WallTime? {
            row.isNull(column) ? nil : WallTime(microseconds: row.integer(column))
        }
        return DKIMKey(
            id: SigningKeyID(rawValue: row.integer(0)), domain: row.bytes(1), selector: row.bytes(2),
            algorithm: algorithm, bits: row.int(4), record: row.bytes(5), state: state,
            created: WallTime(microseconds: row.integer(7)), activated: time(8), retired: time(9))
    }
}
