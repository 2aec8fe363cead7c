import Crypto
import MailAuth
import Policy

/// Parsed signing keys of one thread: each is read from its PEM once and kept while its domain uses it. Confined to its
/// thread; bounded by `keysMax`, beyond which it begins anew. Ids are never used again, so an entry cannot be stale; a
/// key that was retired is not asked for any more.
final class SigningKeyCache {
    private static let keysMax = 4_096
    /// nil: unreadable; not tried again.
    private var keys: [SigningKeyID: PrivateKey?] = [:]

    /// Those that can be read, in order.
    func parsed(_ wanted: [SigningKey]) -> [DomainKey] {
        wanted.compactMap { key in
            parsed(key).map { DomainKey(domain: key.domain, selector: key.selector, key: $0) }
        }
    }

    private func parsed(_ key: SigningKey) -> PrivateKey? {
        if let known = keys[key.id] { return known }
        if keys.count >= Self.keysMax { keys.removeAll() }
        let made = try? PrivateKey(pem: key.privateKey)
        keys[key.id] = .some(made)
        return made
    }
}
