import COpenSSL
import Foundation
import Reactor
import Testing

/// A certificate made for a test, with its key: self-signed or under another one.
final class TestCertificate {
    enum Key { case p256, rsa2048, rsa1024, ed25519 }

    let certificate: OpaquePointer
    let key: OpaquePointer
    let issuer: TestCertificate?

    /// `names` empty: no subject alternative names. `days` below zero: expired.
    init(
        _ common: String, names: [String] = [], key kind: Key = .p256, days: Int = 30, isAuthority: Bool = false,
        under issuer: TestCertificate? = nil
    ) throws {
        self.issuer = issuer
        let made =
            switch kind {
            case .p256: mt_new_ec_key()
            case .rsa2048: mt_new_rsa_key(2_048)
            case .rsa1024: mt_new_rsa_key(1_024)
            case .ed25519: mt_new_ed25519_key()
            }
        key = try #require(made)
        certificate = try #require(X509_new())
        X509_set_version(certificate, 2)
        ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), .random(in: 1..<1 << 62))
        X509_gmtime_adj(X509_getm_notBefore(certificate), -86_400 * 60)
        X509_gmtime_adj(X509_getm_notAfter(certificate), days * 86_400)
        let subject = X509_get_subject_name(certificate)
        X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, common, -1, -1, 0)
        X509_set_issuer_name(certificate, issuer.map { X509_get_subject_name($0.certificate) } ?? subject)
        X509_set_pubkey(certificate, key)
        add(NID_basic_constraints, isAuthority ? "critical,CA:TRUE" : "CA:FALSE")
        if !names.isEmpty { add(NID_subject_alt_name, names.map { "DNS:" + $0 }.joined(separator: ",")) }
        let signer = issuer?.key ?? key
        let isEdwards = EVP_PKEY_get_base_id(signer) == EVP_PKEY_ED25519
        try #require(X509_sign(certificate, signer, isEdwards ? nil : EVP_sha256()) > 0)
    }

    deinit {
        X509_free(certificate)
        EVP_PKEY_free(key)
    }

    private func add(_ nid: Int32, _ value: String) {
        guard let made = X509V3_EXT_conf_nid(nil, nil, nid, value) else { return }
        X509_add_ext(certificate, made, -1)
        X509_EXTENSION_free(made)
    }

    private func memory(_ write: (OpaquePointer) -> Int32) -> [UInt8] {
        guard let bio = BIO_new(BIO_s_mem()) else { return [] }
        defer { BIO_free(bio) }
        _ = write(bio)
        var start: UnsafeMutablePointer<CChar>?
        let count = mt_bio_bytes(bio, &start)
        return Array(UnsafeRawBufferPointer(start: start, count: count))
    }

    var pem: [UInt8] { memory { PEM_write_bio_X509($0, certificate) } }
    var keyPEM: [UInt8] { memory { PEM_write_bio_PKCS8PrivateKey($0, key, nil, nil, 0, nil, nil) } }
    var der: [UInt8] { memory { i2d_X509_bio($0, certificate) } }
    var publicKey: [UInt8] { memory { i2d_PUBKEY_bio($0, key) } }

    func record(_ usage: UInt8, _ selector: UInt8, _ matching: UInt8) -> DANERecord {
        let whole = selector == 0 ? der : publicKey
        return DANERecord(
            usage: usage, selector: selector, matching: matching, data: matching == 0 ? whole : digest(whole, matching))
    }

    private func digest(_ bytes: [UInt8], _ matching: UInt8) -> [UInt8] {
        var out = [UInt8](repeating: 0, count: matching == 1 ? 32 : 64)
        var length: UInt32 = 0
        EVP_Digest(bytes, bytes.count, &out, &length, matching == 1 ? EVP_sha256() : EVP_sha512(), nil)
        return out
    }

    /// Written out as a server's identity, with the certificates above it up to `depth`.
    func identity(in folder: String, sending above: [TestCertificate] = []) throws -> TLSServerOptions {
        let stem = folder + UUID().uuidString
        try Data(pem + above.flatMap(\.pem)).write(to: URL(filePath: stem + ".pem"))
        try Data(keyPEM).write(to: URL(filePath: stem + ".key"))
        let pair = TLSKeyPair(chainPath: stem + ".pem", keyPath: stem + ".key")
        return TLSServerOptions(identities: [TLSIdentity(names: [], keyPairs: [pair])])
    }
}

/// A root, an intermediate below it, and leaves for `mx.host.example` of every kind a client may meet.
final class TestAuthority {
    let folder: String
    let root: TestCertificate
    let middle: TestCertificate
    let stranger: TestCertificate

    init() throws {
        folder = NSTemporaryDirectory() + "martlet-authority-\(UUID().uuidString)/"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        root = try TestCertificate("Root", isAuthority: true)
        middle = try TestCertificate("Middle", isAuthority: true, under: root)
        stranger = try TestCertificate("Stranger", isAuthority: true)
        try Data(root.pem).write(to: URL(filePath: rootsPath))
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    var rootsPath: String { folder + "roots.pem" }

    func leaf(
        _ names: [String] = ["mx.host.example"], common: String = "leaf", key: TestCertificate.Key = .p256,
        days: Int = 30
    ) throws -> TestCertificate {
        try TestCertificate(common, names: names, key: key, days: days, under: middle)
    }

    func client() throws -> TLSContext { try TLSContext(client: .outbound(rootsPath: rootsPath)) }
}
