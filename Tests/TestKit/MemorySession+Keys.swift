import Base
import Policy
import Store

extension MemorySession {
    func dkimKeys(of domain: [UInt8]?) throws(StoreError) -> [DKIMKey] {
        let wanted = domain.map { ASCII.lowercased($0) }
        let keys = state.keys.map(\.key).filter { wanted == nil || $0.domain == wanted }
        return keys.sorted {
            $0.domain == $1.domain
                ? $0.id.rawValue < $1.id.rawValue : $0.domain.lexicographicallyPrecedes($1.domain)
        }
    }

    private func place(_ domain: [UInt8], _ selector: [UInt8]) throws(StoreError) -> Int {
        let (d, s) = (ASCII.lowercased(domain), ASCII.lowercased(selector))
        guard let place = state.keys.firstIndex(where: { $0.key.domain == d && $0.key.selector == s }) else {
            throw .notFound
        }
        return place
    }

    func addKey(_ key: NewDKIMKey) throws(StoreError) -> SigningKeyID {
        let domain = ASCII.lowercased(key.domain)
        guard DirectoryRules.isSelector(key.selector) else { throw .invalid("not a selector") }
        guard state.domains[domain] != nil else { throw .notFound }
        let selector = ASCII.lowercased(key.selector)
        guard !state.keys.contains(where: { $0.key.domain == domain && $0.key.selector == selector }) else {
            throw .conflict
        }
        state.lastKey += 1
        let id = SigningKeyID(rawValue: state.lastKey)
        state.keys.append(
            Key(
                key: DKIMKey(
                    id: id, domain: domain, selector: selector, algorithm: key.algorithm, bits: key.bits,
                    record: key.record, state: .published, created: key.created),
                secret: key.privateKey))
        state.version += 1
        return id
    }

    private func change(
        _ place: Int, to new: DKIMKey.State, activated: WallTime?, retired: WallTime?
    ) {
        let k = state.keys[place].key
        state.keys[place].key = DKIMKey(
            id: k.id, domain: k.domain, selector: k.selector, algorithm: k.algorithm, bits: k.bits, record: k.record,
            state: new, created: k.created, activated: activated, retired: retired)
    }

    func activateKey(_ domain: [UInt8], selector: [UInt8], at now: WallTime) throws(StoreError) -> [[UInt8]] {
        let place = try place(domain, selector)
        let new = state.keys[place].key
        guard new.state != .active else { return [] }
        var staged: [[UInt8]] = []
        for (i, old) in state.keys.map(\.key).enumerated()
        where old.domain == new.domain && old.state == .active && old.algorithm == new.algorithm {
            change(i, to: .retired, activated: old.activated, retired: now)
            staged.append(old.selector)
        }
        change(place, to: .active, activated: now, retired: nil)
        state.version += 1
        return staged
    }

    func retireKey(_ domain: [UInt8], selector: [UInt8], at now: WallTime) throws(StoreError) {
        let place = try place(domain, selector)
        let old = state.keys[place].key
        guard old.state != .retired else { return }
        change(place, to: .retired, activated: old.activated, retired: now)
        state.version += 1
    }

    func removeKey(_ domain: [UInt8], selector: [UInt8]) throws(StoreError) {
        let place = try place(domain, selector)
        guard state.keys[place].key.state == .retired else { throw .conflict }
        state.keys.remove(at: place)
        state.version += 1
    }

    func signingKeys() throws(StoreError) -> [SigningKey] {
        state.keys.filter { $0.key.state == .active }.map {
            SigningKey(
                id: $0.key.id, domain: $0.key.domain, selector: $0.key.selector, algorithm: $0.key.algorithm,
                privateKey: $0.secret)
        }
    }
}
