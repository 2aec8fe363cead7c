import Base
import COpenSSL

/// Hash functions and HMAC over bytes.
package enum Digest {
    package enum Algorithm: Sendable {
        case sha1, sha256, sha512

        package var byteCount: Int {
            switch self {
            case .sha1: 20
            case .sha256: 32
            case .sha512: 64
            }
        }

        fileprivate var implementation: OpaquePointer? {
            switch self {
            case .sha1: Self.sha1Fetched
            case .sha256: Self.sha256Fetched
            case .sha512: Self.sha512Fetched
            }
        }

        // Asked of the provider once: EVP_sha256() and its like are looked up anew at each use, behind a lock.
        // Safety: never written after they are made, never freed, and libcrypto reads them from any thread.
        private nonisolated(unsafe) static let sha1Fetched = EVP_MD_fetch(nil, "SHA1", nil)
        private nonisolated(unsafe) static let sha256Fetched = EVP_MD_fetch(nil, "SHA256", nil)
        private nonisolated(unsafe) static let sha512Fetched = EVP_MD_fetch(nil, "SHA512", nil)
    }

    package static func hash(_ bytes: [UInt8], _ algorithm: Algorithm) -> [UInt8] {
        var out = [UInt8](repeating: 0, count: algorithm.byteCount)
        let done = EVP_Digest(bytes, bytes.count, &out, nil, algorithm.implementation, nil)
        precondition(done == 1, "libcrypto has no such digest")
        return out
    }

    package static func sha256(_ bytes: [UInt8]) -> [UInt8] { hash(bytes, .sha256) }

    /// RFC 2104
    package static func hmac(_ bytes: [UInt8], key: [UInt8], _ algorithm: Algorithm) -> [UInt8] {
        var out = [UInt8](repeating: 0, count: algorithm.byteCount)
        var length: UInt32 = 0
        // A null key with length 0 means "the key of the context"; there is none, so give it a byte it will not read.
        let key1 = key.isEmpty ? [0] : key
        let done = HMAC(algorithm.implementation, key1, Int32(key.count), bytes, bytes.count, &out, &length)
        precondition(done != nil && Int(length) == out.count, "libcrypto has no such HMAC")
        return out
    }

    /// RFC 8018 §5.2 with HMAC; nil when `iterations` or `byteCount` is not positive.
    package static func pbkdf2(
        _ password: [UInt8], salt: [UInt8], iterations: Int, byteCount: Int, _ algorithm: Algorithm
    ) -> [UInt8]? {
        guard iterations > 0, iterations <= 10_000_000, (1...1_024).contains(byteCount) else { return nil }
        var out = [UInt8](repeating: 0, count: byteCount)
        let done = password.withUnsafeBytes { p in
            PKCS5_PBKDF2_HMAC(
                p.baseAddress?.assumingMemoryBound(to: CChar.self), Int32(p.count), salt, Int32(salt.count),
                Int32(iterations), algorithm.implementation, Int32(byteCount), &out)
        }
        return done == 1 ? out : nil
    }

    /// Whether two byte strings are equal, in a time that depends on their lengths only.
    package static func equalInConstantTime(_ a: [UInt8], _ b: [UInt8]) -> Bool {
        guard a.count == b.count else { return false }
        var difference: UInt8 = 0
        for i in 0..<a.count { difference |= a[i] ^ b[i] }
        return difference == 0
    }
}

/// A hash over bytes that come in pieces. One owner; `finish` ends it.
package struct RunningDigest: ~Copyable {
    private let context: OpaquePointer?
    private let algorithm: Digest.Algorithm

    package init(_ algorithm: Digest.Algorithm) {
        self.algorithm = algorithm
        context = EVP_MD_CTX_new()
        let ready = EVP_DigestInit_ex(context, algorithm.implementation, nil)
        precondition(ready == 1, "libcrypto has no such digest")
    }

    deinit { EVP_MD_CTX_free(context) }

    package mutating func update(_ bytes: Span<UInt8>) {
        bytes.withUnsafeBytes { _ = EVP_DigestUpdate(context, $0.baseAddress, $0.count) }
    }

    package mutating func update(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { _ = EVP_DigestUpdate(context, $0.baseAddress, $0.count) }
    }

    package consuming func finish() -> [UInt8] {
        var out = [UInt8](repeating: 0, count: algorithm.byteCount)
        EVP_DigestFinal_ex(context, &out, nil)
        return out
    }
}
