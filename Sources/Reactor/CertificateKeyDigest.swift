import COpenSSL

/// SHA-256 of a certificate's public key: what a TLSA record of usage 3, selector 1, matching type 1 holds.
// RFC 6698 §2.1
package enum CertificateKeyDigest {
    /// Of the first certificate of a PEM file; nil when there is none.
    package static func read(_ path: String) -> [UInt8]? {
        defer { ERR_clear_error() }
        guard let file = BIO_new_file(path, "r") else { return nil }
        defer { BIO_free(file) }
        guard let certificate = PEM_read_bio_X509(file, nil, nil, nil) else { return nil }
        defer { X509_free(certificate) }
        var encoded: UnsafeMutablePointer<UInt8>?
        let count = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &encoded)
        guard count > 0, let encoded else { return nil }
        defer { CRYPTO_free(encoded, #file, #line) }
        var digest = [UInt8](repeating: 0, count: 32)
        var length: UInt32 = 0
        guard EVP_Digest(encoded, Int(count), &digest, &length, EVP_sha256(), nil) == 1, length == 32 else {
            return nil
        }
        return digest
    }
}
