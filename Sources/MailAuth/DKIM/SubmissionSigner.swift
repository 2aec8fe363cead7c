import Base
package import Crypto

/// A parsed key of the domain that signs.
package struct DomainKey: Sendable {
    package let domain: [UInt8]
    package let selector: [UInt8]
    package let key: PrivateKey

    package init(domain: [UInt8], selector: [UInt8], key: PrivateKey) {
        self.domain = domain
        self.selector = selector
        self.key = key
    }
}

/// Signs mail of our own with every key of its domain: relaxed/relaxed, the fields that decide how the message is shown
/// signed once more than they stand there. Changes nothing and keeps nothing.
package enum SubmissionSigner {
    /// What the body has to be hashed as while it arrives.
    package static let bodyKey = BodyHashKey(.relaxed)
    /// Signatures on one message.
    package static let keysMax = 4

    /// The fields for `keys` in their order (the snapshot has RSA first), each with its CRLF, to be put before the header;
    /// empty without keys. A key that libcrypto refuses is left out. `now` is Unix time in seconds.
    package static func fields(
        _ header: HeaderIndex, bodyHash: BodyHash, keys: [DomainKey], now: UInt64
    ) -> [UInt8] {
        var out: [UInt8] = []
        for key in keys.prefix(keysMax) {
            let signer = DKIMSigner(domain: key.domain, selector: key.selector, key: key.key)
            guard let field = try? signer.sign(header, bodyHash: bodyHash, now: now) else { continue }
            out += field
        }
        return out
    }

    /// The same for a message that is there as a whole.
    package static func fields(message: [UInt8], keys: [DomainKey], now: UInt64) -> [UInt8] {
        guard !keys.isEmpty else { return [] }
        let header = HeaderIndex(message)
        let hasher = BodyHasher(bodyKey)
        hasher.feed(message.span.extracting(header.bodyStart..<message.count))
        guard let hash = hasher.finish() else { return [] }
        return fields(header, bodyHash: hash, keys: keys, now: now)
    }
}
