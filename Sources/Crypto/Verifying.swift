import Base
import COpenSSL

/// The two kinds of key mail is signed with: RSA (RFC 8301) and Ed25519 (RFC 8463).
package enum KeyKind: Sendable, Hashable { case rsa, ed25519 }

/// A public key parsed from bytes anybody may have published. Owns the libcrypto object; local to one check.
package struct PublicKey: ~Copyable {
    private let handle: OpaquePointer
    package let kind: KeyKind
    package let bits: Int

    /// Largest DER taken: an RSA key of 16,384 bits fits, so that it can be told from a malformed one.
    private static let derMax = 4_096

    /// RSA from X.509 SubjectPublicKeyInfo or from PKCS#1 RSAPublicKey, both DER without bytes behind.
    package init?(rsa der: [UInt8]) {
        guard der.count <= Self.derMax,
            let key = Self.parsePKCS1(Self.rsaKey(inInfo: der) ?? der) ?? Self.parseInfo(der)
        else {
            ERR_clear_error()
            return nil
        }
        guard EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA else {
            EVP_PKEY_free(key)
            return nil
        }
        handle = key
        kind = .rsa
        bits = Int(EVP_PKEY_get_bits(key))
    }

    /// Ed25519 from the 32 bytes of RFC 8032 §5.1.5.
    package init?(ed25519 raw: [UInt8]) {
        guard raw.count == 32, let key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nil, raw, raw.count) else {
            ERR_clear_error()
            return nil
        }
        handle = key
        kind = .ed25519
        bits = 256
    }

    deinit { EVP_PKEY_free(handle) }

    /// Whether `signature` was made over the SHA-256 hash `digest`: RSASSA-PKCS1-v1_5, or PureEdDSA over the hash.
    package func verifies(_ signature: [UInt8], digest: [UInt8]) -> Bool {
        defer { ERR_clear_error() }
        switch kind {
        case .rsa: return verifiesRSA(signature, digest)
        case .ed25519: return verifiesEd25519(signature, digest)
        }
    }

    private func verifiesRSA(_ signature: [UInt8], _ digest: [UInt8]) -> Bool {
        // An exponent or modulus out of proportion is refused by libcrypto itself.
        guard let context = EVP_PKEY_CTX_new(handle, nil) else { return false }
        defer { EVP_PKEY_CTX_free(context) }
        guard EVP_PKEY_verify_init(context) == 1,
            EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) == 1,
            EVP_PKEY_CTX_set_signature_md(context, EVP_sha256()) == 1
        else { return false }
        return EVP_PKEY_verify(context, signature, signature.count, digest, digest.count) == 1
    }

    private func verifiesEd25519(_ signature: [UInt8], _ digest: [UInt8]) -> Bool {
        guard signature.count == 64, let context = EVP_MD_CTX_new() else { return false }
        defer { EVP_MD_CTX_free(context) }
        guard EVP_DigestVerifyInit(context, nil, nil, nil, handle) == 1 else { return false }
        return EVP_DigestVerify(context, signature, signature.count, digest, digest.count) == 1
    }

    /// The RSAPublicKey inside a SubjectPublicKeyInfo in its usual form. libcrypto's decoder of the whole takes five times
    /// as long as a verification; what has another form is left to it.
    private static func rsaKey(inInfo der: [UInt8]) -> [UInt8]? {
        guard let info = content(of: 0x30, in: der[...]), info.starts(with: rsaIdentifier),
            let bits = content(of: 0x03, in: info.dropFirst(rsaIdentifier.count)), bits.first == 0
        else { return nil }
        return Array(bits.dropFirst())
    }

    /// SEQUENCE { rsaEncryption, NULL } (RFC 3279 §2.3.1)
    private static let rsaIdentifier: [UInt8] = [
        0x30, 0x0D, 0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01, 0x05, 0x00,
    ]

    /// The content of the one DER element that `bytes` is, when it has this tag.
    private static func content(of tag: UInt8, in bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
        guard bytes.count >= 2, bytes.first == tag else { return nil }
        let first = Int(bytes[bytes.startIndex + 1])
        var rest = bytes.dropFirst(2)
        var length = first
        if first >= 0x80 {
            let octets = first - 0x80
            guard (1...2).contains(octets), rest.count >= octets else { return nil }
            length = rest.prefix(octets).reduce(0) { $0 << 8 | Int($1) }
            rest = rest.dropFirst(octets)
        }
        return rest.count == length ? rest : nil
    }

    private static func parseInfo(_ der: [UInt8]) -> OpaquePointer? {
        parse(der) { d2i_PUBKEY(nil, $0, $1) }
    }

    private static func parsePKCS1(_ der: [UInt8]) -> OpaquePointer? {
        parse(der) { d2i_PublicKey(EVP_PKEY_RSA, nil, $0, $1) }
    }

    private static func parse(
        _ der: [UInt8], _ decode: (UnsafeMutablePointer<UnsafePointer<UInt8>?>, Int) -> OpaquePointer?
    ) -> OpaquePointer? {
        der.withUnsafeBufferPointer { bytes in
            guard let start = bytes.baseAddress else { return nil }
            var at: UnsafePointer<UInt8>? = start
            guard let key = decode(&at, bytes.count) else { return nil }
            if at == start + bytes.count { return key }
            EVP_PKEY_free(key)
            return nil
        }
    }
}
