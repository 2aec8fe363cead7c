import COpenSSL

/// What a server must show in the handshake before the session may be used. Chosen by the caller for each session; the
/// context brings the roots.
package enum TLSVerification: Sendable, Equatable {
    /// Any certificate will do.
    // RFC 7435 §3
    case opportunistic
    /// The same; a different word because the caller forbids plaintext.
    case encrypted
    /// A chain to the context's roots, and a certificate for at least one of the names.
    case webPKI(names: [String])
    /// One of the records matches; the first name is the TLSA base domain, all are reference identifiers for usage 2.
    /// When no record is usable, any certificate will do.
    // RFC 7672 §2.2, §3
    case dane(records: [DANERecord], names: [String])

    /// False when a name must match and there is none: nothing could pass.
    var canHold: Bool {
        switch self {
        case .opportunistic, .encrypted: true
        case .webPKI(let names), .dane(_, let names): names.contains { TLSVerification.reference($0) != nil }
        }
    }

    /// A name as OpenSSL compares it: no final dot, and not its `.suffix` form, which would match whole subtrees.
    static func reference(_ name: String) -> String? {
        let bare = name.hasSuffix(".") ? String(name.dropLast()) : name
        return bare.isEmpty || bare.hasPrefix(".") ? nil : bare
    }
}

/// One TLSA record from a validated answer.
// RFC 6698 §2.1
package struct DANERecord: Sendable, Hashable {
    package let usage: UInt8
    package let selector: UInt8
    package let matching: UInt8
    package let data: [UInt8]

    package init(usage: UInt8, selector: UInt8, matching: UInt8, data: [UInt8]) {
        self.usage = usage
        self.selector = selector
        self.matching = matching
        self.data = data
    }
}

/// What was wrong, as finely as RFC 8460 §4.3 tells failures apart.
package enum TLSFailureKind: String, Sendable, Hashable, CaseIterable {
    /// The certificate is for another name.
    case nameMismatch
    /// The certificate, or one above it, has expired.
    case expired
    /// Self-signed, of an unknown authority, or anything else wrong with the chain.
    case notTrusted
    /// No TLSA record matches.
    case daneMismatch

    init(verifyResult: Int) {
        switch Int32(truncatingIfNeeded: verifyResult) {
        case X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH: self = .nameMismatch
        case X509_V_ERR_CERT_HAS_EXPIRED: self = .expired
        case X509_V_ERR_DANE_NO_MATCH: self = .daneMismatch
        default: self = .notTrusted
        }
    }
}

/// A check put on one session: whether it decides, and whether there is one at all.
struct TLSCheck {
    /// A certificate that does not pass ends the handshake.
    var isEnforced = false
    /// Something is looked at, enforced or not.
    var isMade = false
    /// TLSA records OpenSSL could take.
    var usableRecords = 0

    /// Puts the check on `ssl`: `verification` when it checks anything, otherwise `observing`, which is only looked at.
    init(_ ssl: OpaquePointer, _ verification: TLSVerification, observing: TLSVerification?) {
        switch verification {
        case .opportunistic, .encrypted:
            if let observing, observing.canHold { put(observing, on: ssl) }
        case .webPKI, .dane:
            put(verification, on: ssl)
            isEnforced = isMade
        }
        mt_ssl_verify(ssl, isEnforced ? SSL_VERIFY_PEER : SSL_VERIFY_NONE)
        if !isEnforced { allowWeakKeys(ssl) }
    }

    private mutating func put(_ verification: TLSVerification, on ssl: OpaquePointer) {
        switch verification {
        case .opportunistic, .encrypted: return
        case .webPKI(let names):
            // RFC 8461 §4.1: a DNS-ID in the subject alternative names, a wildcard as the whole first label only.
            SSL_set_hostflags(
                ssl, UInt32(X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS) | UInt32(X509_CHECK_FLAG_NEVER_CHECK_SUBJECT))
            expect(names, on: ssl)
            isMade = true
        case .dane(let records, let names):
            put(records, names, on: ssl)
        }
    }

    private mutating func put(_ records: [DANERecord], _ names: [String], on ssl: OpaquePointer) {
        guard let base = names.lazy.compactMap(TLSVerification.reference).first else { return }
        guard SSL_dane_enable(ssl, base) > 0 else { return }
        // RFC 7672 §3.1.1: usage 3 binds the key to the host; names and dates do not count.
        SSL_dane_set_flags(ssl, UInt(DANE_FLAG_NO_DANE_EE_NAMECHECKS))
        // RFC 7672 §3.1.3: usages 0 and 1 are unusable for SMTP.
        for record in records where record.usage == 2 || record.usage == 3 {
            let status = SSL_dane_tlsa_add(
                ssl, record.usage, record.selector, record.matching, record.data, record.data.count)
            if status == 1 { usableRecords += 1 }
        }
        ERR_clear_error()
        guard usableRecords > 0 else { return }
        SSL_set_hostflags(ssl, UInt32(X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS))
        expect(names, on: ssl)
        isMade = true
    }

    private func expect(_ names: [String], on ssl: OpaquePointer) {
        var isFirst = true
        for name in names.lazy.compactMap(TLSVerification.reference) {
            _ = isFirst ? SSL_set1_host(ssl, name) : SSL_add1_host(ssl, name)
            isFirst = false
        }
    }

    /// Where nobody checks who the peer is, a short key beats plaintext. What is observed is still judged as usual.
    private func allowWeakKeys(_ ssl: OpaquePointer) {
        X509_VERIFY_PARAM_set_auth_level(SSL_get0_param(ssl), SSL_get_security_level(ssl))
        SSL_set_security_level(ssl, 0)
    }
}
