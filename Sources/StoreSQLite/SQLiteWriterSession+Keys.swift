import Base
import Policy
import Store

extension SQLiteWriterSession {
    private func key(_ domain: [UInt8], _ selector: [UInt8]) throws(StoreError) -> DKIMKey {
        let name = ASCII.lowercased(selector)
        guard let key = try dkimKeys(of: domain).first(where: { $0.selector == name }) else { throw .notFound }
        return key
    }

    func addKey(_ key: NewDKIMKey) throws(StoreError) -> SigningKeyID {
        let domain = ASCII.lowercased(key.domain)
        guard DirectoryRules.isSelector(key.selector) else { throw .invalid("not a selector") }
        let isOurs = try statement("SELECT 1 FROM domain WHERE name=?").bind(1, domain)
            .first { (_) throws(StoreError) in true }
        guard isOurs == true else { throw .notFound }
        try statement(
            """
            INSERT INTO dkim_key(domain, selector, algorithm, bits, record, state, created) VALUES(?, ?, ?, ?, ?, ?, ?)
            """
        )
        .bind(1, domain).bind(2, ASCII.lowercased(key.selector)).bind(3, Array(key.algorithm.rawValue.utf8))
        .bind(4, key.bits).bind(5, key.record).bind(6, Array(DKIMKey.State.published.rawValue.utf8))
        .bind(7, key.created.microseconds).run()
        let id = try self.key(domain, key.selector).id
        try statement("INSERT INTO dkim_private(key, pem) VALUES(?, ?)").bind(1, id.rawValue)
            .bind(2, key.privateKey.bytes).run()
        try changed()
        return id
    }

    func activateKey(_ domain: [UInt8], selector: [UInt8], at now: WallTime) throws(StoreError) -> [[UInt8]] {
        let new = try key(domain, selector)
        guard new.state != .active else { return [] }
        var staged: [[UInt8]] = []
        for old in try dkimKeys(of: domain) where old.state == .active && old.algorithm == new.algorithm {
            try setRetired(old.id, now)
            staged.append(old.selector)
        }
        try statement("UPDATE dkim_key SET state=?2, activated=?3, retired=NULL WHERE id=?1").bind(1, new.id.rawValue)
            .bind(2, Array(DKIMKey.State.active.rawValue.utf8)).bind(3, now.microseconds).run()
        try changed()
        return staged
    }

    func retireKey(_ domain: [UInt8], selector: [UInt8], at now: WallTime) throws(StoreError) {
        let old = try key(domain, selector)
        guard old.state != .retired else { return }
        try setRetired(old.id, now)
        try changed()
    }

    private func setRetired(_ id: SigningKeyID, _ now: WallTime) throws(StoreError) {
        try statement("UPDATE dkim_key SET state=?2, retired=?3 WHERE id=?1").bind(1, id.rawValue)
            .bind(2, Array(DKIMKey.State.retired.rawValue.utf8)).bind(3, now.microseconds).run()
    }

    func removeKey(_ domain: [UInt8], selector: [UInt8]) throws(StoreError) {
        let old = try key(domain, selector)
        guard old.state == .retired else { throw .conflict }
        try forget(old.id)
        try changed()
    }

    private func forget(_ id: SigningKeyID) throws(StoreError) {
        try statement("DELETE FROM dkim_private WHERE key=?").bind(1, id.rawValue).run()
        try statement("DELETE FROM dkim_key WHERE id=?").bind(1, id.rawValue).run()
    }

    /// When the domain goes.
    func removeKeys(of domain: [UInt8]) throws(StoreError) {
        for key in try dkimKeys(of: domain) { try forget(key.id) }
    }

    func signingKeys() throws(StoreError) -> [SigningKey] {
        let rows = try statement(
            """
            SELECT k.id, k.domain, k.selector, k.algorithm, p.pem FROM dkim_key k JOIN dkim_private p ON p.key = k.id
            WHERE k.state=? ORDER BY k.domain, k.id
            """
        )
        .bind(1, Array(DKIMKey.State.active.rawValue.utf8))
        .rows { (row) throws(StoreError) in
            SigningAlgorithm(rawValue: row.text(3)).map { algorithm in
                SigningKey(
                    id: SigningKeyID(rawValue: row.integer(0)), domain: row.bytes(1), selector: row.bytes(2),
                    algorithm: algorithm, privateKey: Secret(row.bytes(4)))
            }
        }
        return rows.compactMap(\.self)
    }
}
