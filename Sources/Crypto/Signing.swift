import COpenSSL

extension PrivateKey {
    /// Signs a SHA-256 hash: RSASSA-PKCS1-v1_5 (RFC 8017 §8.2), or PureEdDSA over the hash (RFC 8463 §3).
    package func sign(digest: [UInt8]) throws(KeyError) -> [UInt8] {
        defer { ERR_clear_error() }
        switch kind {
        case .rsa: return try signRSA(digest)
        case .ed25519: return try signEd25519(digest)
        }
    }

    private func signRSA(_ digest: [UInt8]) throws(KeyError) -> [UInt8] {
        guard let context = EVP_PKEY_CTX_new(handle, nil) else { throw .failed }
        defer { EVP_PKEY_CTX_free(context) }
        guard EVP_PKEY_sign_init(context) == 1,
            EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) == 1,
            EVP_PKEY_CTX_set_signature_md(context, EVP_sha256()) == 1
        else { throw .failed }
        var signature = [UInt8](repeating: 0, count: Int(EVP_PKEY_get_size(handle)))
        var count = signature.count
        guard EVP_PKEY_sign(context, &signature, &count, digest, digest.count) == 1 else { throw .failed }
        return Array(signature.prefix(count))
    }

    private func signEd25519(_ digest: [UInt8]) throws(KeyError) -> [UInt8] {
        guard let context = EVP_MD_CTX_new() else { throw .failed }
        defer { EVP_MD_CTX_free(context) }
        guard EVP_DigestSignInit(context, nil, nil, nil, handle) == 1 else { throw .failed }
        var signature = [UInt8](repeating: 0, count: 64)
        var count = signature.count
        guard EVP_DigestSign(context, &signature, &count, digest, digest.count) == 1, count == 64 else { throw .failed }
        return signature
    }
}
