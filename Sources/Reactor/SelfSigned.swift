import CEpoll
import COpenSSL

/// Self-signed certificates for playgrounds and tests. Not for a public server: nobody can check them.
package enum SelfSigned {
    package enum KeyKind: Sendable { case ecdsaP256, rsa2048 }

    /// Certificate and key in PEM for `names` (the first is the subject).
    package static func make(names: [String], kind: KeyKind, days: Int = 365) throws(TLSError) -> (
        certificate: [UInt8], key: [UInt8]
    ) {
        ERR_clear_error()
        guard let key = kind == .ecdsaP256 ? mt_new_ec_key() : mt_new_rsa_key(2048) else { throw TLSError("key") }
        defer { EVP_PKEY_free(key) }
        guard let certificate = X509_new() else { throw TLSError("certificate") }
        defer { X509_free(certificate) }
        var serial: UInt64 = 0
        _ = mt_random(&serial, 8)
        _ = X509_set_version(certificate, 2)
        _ = ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), serial >> 1)
        _ = X509_gmtime_adj(X509_getm_notBefore(certificate), -3_600)
        _ = X509_gmtime_adj(X509_getm_notAfter(certificate), days * 86_400)
        let subject = X509_get_subject_name(certificate)
        let common = String((names.first ?? "localhost").utf8.prefix(64)) ?? "localhost"
        _ = X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, common, -1, -1, 0)
        _ = X509_set_issuer_name(certificate, subject)
        _ = X509_set_pubkey(certificate, key)
        let alternatives = names.map { "DNS:" + $0 }.joined(separator: ",")
        guard let extension_ = X509V3_EXT_conf_nid(nil, nil, NID_subject_alt_name, alternatives) else {
            throw TLSError("names \(names)")
        }
        _ = X509_add_ext(certificate, extension_, -1)
        X509_EXTENSION_free(extension_)
        guard X509_sign(certificate, key, EVP_sha256()) > 0 else { throw TLSError("sign") }
        return (
            try pem { PEM_write_bio_X509($0, certificate) },
            try pem { PEM_write_bio_PKCS8PrivateKey($0, key, nil, nil, 0, nil, nil) }
        )
    }

    /// Writes both files, readable by the owner alone.
    package static func write(
        names: [String], kind: KeyKind = .ecdsaP256, certificatePath: String, keyPath: String
    ) throws -> TLSKeyPair {
        let made = try make(names: names, kind: kind)
        try write(made.certificate, certificatePath)
        try write(made.key, keyPath)
        return TLSKeyPair(chainPath: certificatePath, keyPath: keyPath)
    }

    private static func pem(_ write: (OpaquePointer) -> Int32) throws(TLSError) -> [UInt8] {
        guard let bio = BIO_new(BIO_s_mem()) else { throw TLSError("BIO_new") }
        defer { BIO_free(bio) }
        guard write(bio) == 1 else { throw TLSError("PEM") }
        var start: UnsafeMutablePointer<CChar>?
        let count = mt_bio_bytes(bio, &start)
        return Array(UnsafeRawBufferPointer(start: start, count: count))
    }

    private static func write(_ bytes: [UInt8], _ path: String) throws(IOError) {
        let descriptor = mt_open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        guard descriptor >= 0 else { throw IOError("open \(path)", -descriptor) }
        defer { _ = mt_close(descriptor) }
        _ = mt_fchmod(descriptor, 0o600)
        let n = mt_write(descriptor, bytes, bytes.count)
        guard n == Int64(bytes.count) else { throw IOError("write \(path)", n < 0 ? Int32(-n) : ENOSPC) }
    }
}
