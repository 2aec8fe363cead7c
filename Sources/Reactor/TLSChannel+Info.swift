import COpenSSL

/// What is known of a session once the peer has shown itself.
extension TLSChannel {
    var info: TLSInfo {
        var bits: Int32 = 0
        let cipher = SSL_get_current_cipher(ssl)
        if let cipher { _ = SSL_CIPHER_get_bits(cipher, &bits) }
        var info = TLSInfo(
            version: text(SSL_get_version(ssl)),
            cipher: cipher.map { text(SSL_CIPHER_get_name($0)) } ?? "",
            cipherBits: Int(bits),
            group: text(mt_ssl_group_name(ssl)),
            resumed: SSL_session_reused(ssl) == 1)
        info.serverName = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name).map { String(cString: $0) }
        info.hasForwardSecrecy = hasForwardSecrecy(cipher)
        if !isServer { info.peerCertificate = peerCertificate }
        return info
    }

    /// What the check found wrong, once a handshake has failed for it; nil when it failed for another reason.
    var unverified: (kind: TLSFailureKind, text: String)? {
        guard check?.isEnforced == true, isHandshaking else { return nil }
        let result = SSL_get_verify_result(ssl)
        guard result != Int(X509_V_OK) else { return nil }
        return (TLSFailureKind(verifyResult: result), text(X509_verify_cert_error_string(result)))
    }

    private func text(_ c: UnsafePointer<CChar>?) -> String { c.map { String(cString: $0) } ?? "" }

    /// TLS 1.3 always has it here: resumption without a fresh exchange of keys is never offered.
    private func hasForwardSecrecy(_ cipher: OpaquePointer?) -> Bool {
        guard SSL_version(ssl) < TLS1_3_VERSION else { return true }
        guard let cipher else { return false }
        let exchange = SSL_CIPHER_get_kx_nid(cipher)
        return exchange == NID_kx_ecdhe || exchange == NID_kx_dhe
    }

    private var peerCertificate: TLSInfo.PeerCertificate? {
        guard let certificate = mt_ssl_peer_certificate(ssl) else { return nil }
        defer { X509_free(certificate) }
        var digest = [UInt8](repeating: 0, count: 32)
        var length: UInt32 = 0
        _ = X509_digest(certificate, EVP_sha256(), &digest, &length)
        let result = SSL_get_verify_result(ssl)
        let isMade = check?.isMade == true
        var seen = TLSInfo.PeerCertificate(
            subject: name(X509_get_subject_name(certificate)), sha256: digest,
            verified: isMade && result == Int(X509_V_OK), verifyText: text(X509_verify_cert_error_string(result)))
        seen.issuer = name(X509_get_issuer_name(certificate))
        seen.key = keyName(X509_get0_pubkey(certificate))
        seen.notAfter = seconds(X509_get0_notAfter(certificate))
        seen.failure = isMade && result != Int(X509_V_OK) ? TLSFailureKind(verifyResult: result) : nil
        seen.usableRecords = check?.usableRecords ?? 0
        seen.daneUsage = seen.verified ? matchedUsage : nil
        return seen
    }

    private var matchedUsage: UInt8? {
        var usage: UInt8 = 0
        return SSL_get0_dane_tlsa(ssl, &usage, nil, nil, nil, nil) >= 0 ? usage : nil
    }

    private func name(_ name: OpaquePointer?) -> String {
        var line = [CChar](repeating: 0, count: 256)
        guard X509_NAME_oneline(name, &line, Int32(line.count)) != nil else { return "" }
        return String(decoding: line.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    private func keyName(_ key: OpaquePointer?) -> String {
        guard let key else { return "" }
        switch EVP_PKEY_get_base_id(key) {
        case EVP_PKEY_RSA: return "RSA \(EVP_PKEY_get_bits(key))"
        case EVP_PKEY_RSA_PSS: return "RSA-PSS \(EVP_PKEY_get_bits(key))"
        case EVP_PKEY_EC: return "ECDSA " + curve(key)
        case EVP_PKEY_ED25519: return "Ed25519"
        case EVP_PKEY_ED448: return "Ed448"
        default: return text(EVP_PKEY_get0_type_name(key))
        }
    }

    private func curve(_ key: OpaquePointer) -> String {
        var line = [CChar](repeating: 0, count: 64)
        var length = 0
        guard EVP_PKEY_get_group_name(key, &line, line.count, &length) == 1 else {
            return "\(EVP_PKEY_get_bits(key))"
        }
        switch String(decoding: line.prefix(length).map(UInt8.init(bitPattern:)), as: UTF8.self) {
        case "prime256v1": return "P-256"
        case "secp384r1": return "P-384"
        case "secp521r1": return "P-521"
        case let other: return other
        }
    }

    private func seconds(_ time: UnsafePointer<ASN1_TIME>?) -> Int64 {
        guard let epoch = ASN1_TIME_set(nil, 0) else { return 0 }
        defer { ASN1_STRING_free(epoch) }
        var days: Int32 = 0
        var rest: Int32 = 0
        guard ASN1_TIME_diff(&days, &rest, epoch, time) == 1 else { return 0 }
        return Int64(days) * 86_400 + Int64(rest)
    }
}
