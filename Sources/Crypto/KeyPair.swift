package import Base
import COpenSSL

package enum KeyError: Error, Sendable {
    /// Not a private key of a kind we sign with, or one under a passphrase.
    case unreadable
    /// libcrypto refused; it has no memory or no such algorithm.
    case failed
}

/// A private key with its public half. Made once, then only read; several threads may sign with it.
package final class PrivateKey: Sendable {
    // Safety: an EVP_PKEY is not changed after this class is made, its signing functions take it as const, and its
    // reference count is atomic.
    nonisolated(unsafe) let handle: OpaquePointer
    package let kind: KeyKind
    package let bits: Int

    private init(owning key: OpaquePointer) throws(KeyError) {
        switch EVP_PKEY_get_base_id(key) {
        case EVP_PKEY_RSA: kind = .rsa
        case EVP_PKEY_ED25519: kind = .ed25519
        default:
            EVP_PKEY_free(key)
            throw .unreadable
        }
        handle = key
        bits = kind == .rsa ? Int(EVP_PKEY_get_bits(key)) : 256
    }

    deinit { EVP_PKEY_free(handle) }

    /// From PEM (PKCS#1 or PKCS#8, no passphrase), or the base64 of a 32-byte Ed25519 seed alone on its line.
    package convenience init(text: Secret) throws(KeyError) {
        if let seed = Self.seed(text) {
            try self.init(ed25519Seed: seed)
        } else {
            try self.init(pem: text)
        }
    }

    package convenience init(pem: Secret) throws(KeyError) {
        defer { ERR_clear_error() }
        let bytes = pem.bytes
        guard let bio = BIO_new(BIO_s_mem()) else { throw .failed }
        defer { BIO_free(bio) }
        guard bytes.count <= 65_536, BIO_write(bio, bytes, Int32(bytes.count)) == Int32(bytes.count) else {
            throw .unreadable
        }
        // A passphrase is never asked for: there is nobody to ask.
        guard let key = PEM_read_bio_PrivateKey(bio, nil, { _, _, _, _ in -1 }, nil) else { throw .unreadable }
        try self.init(owning: key)
    }

    package convenience init(ed25519Seed seed: Secret) throws(KeyError) {
        let bytes = seed.bytes
        guard bytes.count == 32,
            let key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nil, bytes, bytes.count)
        else { throw .unreadable }
        try self.init(owning: key)
    }

    /// A fresh key. RSA has `bits` bits, from 1,024 (RFC 8301 §3.2) to 4,096.
    package convenience init(generate kind: KeyKind, bits: Int = 2_048) throws(KeyError) {
        let key: OpaquePointer? =
            switch kind {
            case .rsa: (1_024...4_096).contains(bits) ? mt_new_rsa_key(UInt32(bits)) : nil
            case .ed25519: mt_new_ed25519_key()
            }
        guard let key else { throw .failed }
        try self.init(owning: key)
    }

    /// PKCS#8 in PEM, without passphrase.
    package func pem() throws(KeyError) -> Secret {
        guard let bio = BIO_new(BIO_s_mem()) else { throw .failed }
        defer { BIO_free(bio) }
        guard PEM_write_bio_PKCS8PrivateKey(bio, handle, nil, nil, 0, nil, nil) == 1 else { throw .failed }
        var start: UnsafeMutablePointer<CChar>?
        let count = mt_bio_bytes(bio, &start)
        return Secret(Array(UnsafeRawBufferPointer(start: start, count: count)))
    }

    /// What `p=` publishes: SubjectPublicKeyInfo for RSA, the raw 32 bytes for Ed25519.
    package func publicBytes() throws(KeyError) -> [UInt8] {
        switch kind {
        case .ed25519:
            // RFC 8463 §4
            var raw = [UInt8](repeating: 0, count: 32)
            var count = raw.count
            guard EVP_PKEY_get_raw_public_key(handle, &raw, &count) == 1, count == 32 else { throw .failed }
            return raw
        case .rsa:
            // RFC 6376 §3.6.1
            var out: UnsafeMutablePointer<UInt8>?
            let count = i2d_PUBKEY(handle, &out)
            guard count > 0, let out else { throw .failed }
            defer { CRYPTO_free(out, #file, #line) }
            return Array(UnsafeBufferPointer(start: out, count: Int(count)))
        }
    }

    /// The TXT record of a selector for this key.
    package func recordText() throws(KeyError) -> [UInt8] {
        var text: [UInt8] = []
        switch kind {
        case .rsa: text.append(ascii: "v=DKIM1; k=rsa; p=")
        case .ed25519: text.append(ascii: "v=DKIM1; k=ed25519; p=")
        }
        return text + Base64.encode(try publicBytes())
    }

    private static func seed(_ text: Secret) -> Secret? {
        var bytes = text.bytes[...]
        while let last = bytes.last, last <= ASCII.space { bytes.removeLast() }
        guard bytes.count == 44, let raw = Base64.decode(Array(bytes).span), raw.count == 32 else { return nil }
        return Secret(raw)
    }
}
