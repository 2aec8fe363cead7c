import Base
import Policy
import Store

extension StoreContract {
    private static func key(_ selector: String, _ algorithm: SigningAlgorithm = .rsa, at seconds: Int64 = 100)
        -> NewDKIMKey
    {
        NewDKIMKey(
            domain: b("X.example"), selector: b(selector), algorithm: algorithm, bits: 2048,
            record: b("v=DKIM1; p=\(selector)"), privateKey: Secret(b("PEM of \(selector)")),
            created: WallTime(seconds: seconds))
    }

    /// Published, active, retired; the snapshot carries the active ones.
    static func signingKeys(_ store: StoreClient) throws {
        _ = try accounts(store)
        try store.write { (s) throws(StoreError) in
            _ = try s.addKey(key("Old"))
            _ = try s.addKey(key("new", at: 200))
            _ = try s.addKey(key("ed", .ed25519, at: 200))
        }
        let before = try store.write { (s) throws(StoreError) in try s.loadSnapshot() }
        try require(before.dkimKeys(ofDomain: b("x.example")).isEmpty, "a published key signs")
        let staged = try store.write { (s) throws(StoreError) in
            let first = try s.activateKey(b("x.example"), selector: b("OLD"), at: WallTime(seconds: 300))
            let other = try s.activateKey(b("x.example"), selector: b("ed"), at: WallTime(seconds: 300))
            let again = try s.activateKey(b("x.example"), selector: b("old"), at: WallTime(seconds: 350))
            return first + other + again
                + (try s.activateKey(b("x.example"), selector: b("new"), at: WallTime(seconds: 400)))
        }
        try require(staged == [b("old")], "staged \(staged)")
        let keys = try store.read { (s) throws(StoreError) in try s.dkimKeys(of: b("X.example")) }
        try require(keys.map(\.selector) == [b("old"), b("new"), b("ed")], "\(keys.map(\.selector))")
        try require(keys.map(\.state) == [.retired, .active, .active], "\(keys.map(\.state))")
        try require(keys[0].activated == WallTime(seconds: 300) && keys[0].retired == WallTime(seconds: 400), "dates")
        try require(keys[0].record == b("v=DKIM1; p=Old") && keys[2].algorithm == .ed25519, "fields")
        try require(
            keys[0].isPublished(at: WallTime(seconds: 400 + 7 * 86_400 - 1))
                && !keys[0].isPublished(at: WallTime(seconds: 400 + 7 * 86_400)), "when the record may go")
        let after = try store.write { (s) throws(StoreError) in try s.loadSnapshot() }
        let signing = after.dkimKeys(ofDomain: b("x.example"))
        try require(signing.map(\.selector) == [b("new"), b("ed")], "\(signing.map(\.selector))")
        try require(signing[0].privateKey.bytes == b("PEM of new"), "the private key")
        try require(after.version > before.version, "version \(before.version) \(after.version)")
        try require(after.arcKeys(ofDomain: b("x.example")).isEmpty, "arc_seal is off by default")
    }

    static func keyRefusals(_ store: StoreClient) throws {
        _ = try accounts(store)
        func failure(_ job: @escaping @Sendable (any StoreWriterSession) throws(StoreError) -> Void) -> StoreError? {
            do throws(StoreError) {
                try store.write(job)
                return nil
            } catch {
                return error
            }
        }
        _ = try store.write { (s) throws(StoreError) in try s.addKey(key("a")) }
        try require(failure { (s) throws(StoreError) in _ = try s.addKey(key("A")) } == .conflict, "twice")
        for selector in ["", "-a", "a..b", "a_b", String(repeating: "x", count: 64)] {
            let wrong = failure { (s) throws(StoreError) in _ = try s.addKey(key(selector)) }
            try require(wrong == .invalid("not a selector"), "selector \(selector)")
        }
        let elsewhere = NewDKIMKey(
            domain: b("other.example"), selector: b("a"), algorithm: .rsa, bits: 2048, record: [],
            privateKey: Secret([]), created: WallTime(seconds: 1))
        try require(failure { (s) throws(StoreError) in _ = try s.addKey(elsewhere) } == .notFound, "no such domain")
        try require(
            failure { (s) throws(StoreError) in try s.removeKey(b("x.example"), selector: b("a")) } == .conflict,
            "a key in use")
        try require(
            failure { (s) throws(StoreError) in
                try s.retireKey(b("x.example"), selector: b("z"), at: WallTime(seconds: 1))
            } == .notFound, "no such key")
        try store.write { (s) throws(StoreError) in
            try s.retireKey(b("x.example"), selector: b("a"), at: WallTime(seconds: 500))
            try s.retireKey(b("x.example"), selector: b("a"), at: WallTime(seconds: 600))
        }
        let retired = try store.read { (s) throws(StoreError) in try s.dkimKeys(of: nil) }
        try require(retired.first?.retired == WallTime(seconds: 500), "retired once")
        try require(retired.first?.removableAt == WallTime(seconds: 500), "never used, so gone at once")
        try store.write { (s) throws(StoreError) in try s.removeKey(b("x.example"), selector: b("A")) }
        let none = try store.read { (s) throws(StoreError) in try s.dkimKeys(of: nil) }
        try require(none.isEmpty, "removed")
    }

    static func keysOfADomain(_ store: StoreClient) throws {
        try store.write { (s) throws(StoreError) in
            try s.addDomain(b("x.example"))
            _ = try s.addKey(key("a"))
            _ = try s.activateKey(b("x.example"), selector: b("a"), at: WallTime(seconds: 2))
            try s.setDomain(b("x.example"), field: "dkim_sign", value: "false")
            try s.setDomain(b("x.example"), field: "arc_seal", value: "true")
        }
        let off = try store.write { (s) throws(StoreError) in try s.loadSnapshot() }
        try require(off.dkimKeys(ofDomain: b("x.example")).isEmpty, "dkim_sign=false")
        try require(off.arcKeys(ofDomain: b("x.example")).count == 1, "arc_seal=true")
        try store.write { (s) throws(StoreError) in
            try s.removeDomain(b("x.example"))
            try s.addDomain(b("x.example"))
        }
        let (listed, signing) = try store.write { (s) throws(StoreError) in
            (try s.dkimKeys(of: nil), try s.signingKeys())
        }
        try require(listed.isEmpty && signing.isEmpty, "the domain left keys")
        let id = try store.write { (s) throws(StoreError) in try s.addKey(key("a")) }
        try require(id.rawValue > 1, "a key's id was used twice")
    }
}
