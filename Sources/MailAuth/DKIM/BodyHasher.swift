import Base
import Crypto

/// What a signature wants hashed: canonical form and, with `l=`, how much of it. Equal wants share one hash.
package struct BodyHashKey: Sendable, Hashable {
    package let canonicalization: Canonicalization
    package let limit: UInt64?

    package init(_ canonicalization: Canonicalization, limit: UInt64? = nil) {
        self.canonicalization = canonicalization
        self.limit = limit
    }
}

/// SHA-256 of a canonical body, and how long the whole canonical body is.
package struct BodyHash: Sendable, Hashable {
    package let digest: [UInt8]
    package let canonicalLength: UInt64

    package init(digest: [UInt8], canonicalLength: UInt64) {
        self.digest = digest
        self.canonicalLength = canonicalLength
    }
}

/// Hashes one body in one form while it arrives. Confined to its thread; holds no part of the body.
package final class BodyHasher: CanonicalBodySink {
    package let key: BodyHashKey
    private var canonicalizer: BodyCanonicalizer
    private var digest: RunningDigest?
    private var length: UInt64 = 0

    package init(_ key: BodyHashKey) {
        self.key = key
        canonicalizer = BodyCanonicalizer(key.canonicalization)
        digest = RunningDigest(.sha256)
    }

    package func feed(_ bytes: Span<UInt8>) { canonicalizer.feed(bytes, to: self) }

    /// nil when asked twice.
    package func finish() -> BodyHash? {
        canonicalizer.finish(to: self)
        guard let done = digest.take() else { return nil }
        return BodyHash(digest: done.finish(), canonicalLength: length)
    }

    /// For the canonicaliser only.
    package func write(_ bytes: Span<UInt8>) {
        let (sum, overflow) = length.addingReportingOverflow(UInt64(bytes.count))
        let room = (key.limit ?? .max) > length ? (key.limit ?? .max) - length : 0
        length = overflow ? .max : sum
        // RFC 6376 §3.7: hashed up to `l=` octets of the canonical body.
        guard room > 0 else { return }
        digest?.update(bytes.extracting(0..<Int(min(room, UInt64(bytes.count)))))
    }
}

/// The hashes that the signatures of one message want, fed together. Confined; bounded by `hashersMax`.
package final class BodyHashers {
    private let hashers: [BodyHasher]

    /// As many as signatures and seals are looked at; wants beyond get no hash.
    package static let hashersMax = 16

    package init(_ wanted: [BodyHashKey]) {
        var distinct: [BodyHashKey] = []
        for key in wanted where distinct.count < Self.hashersMax && !distinct.contains(key) { distinct.append(key) }
        hashers = distinct.map { BodyHasher($0) }
    }

    package func feed(_ bytes: Span<UInt8>) {
        for hasher in hashers { hasher.feed(bytes) }
    }

    package func finish() -> [BodyHashKey: BodyHash] {
        var out: [BodyHashKey: BodyHash] = [:]
        for hasher in hashers { out[hasher.key] = hasher.finish() }
        return out
    }
}
