/// What one host must show before mail is handed to it, in rising order of what is asked.
package enum HostSecurity: Sendable, Hashable {
    /// TLS is not used (a route says so).
    case plain
    /// TLS when offered, with any certificate; in the clear otherwise.
    // RFC 7435 §3
    case opportunistic
    /// TLS with any certificate: all TLSA records are unusable (RFC 7672 §2.2.1), or a rule wants encryption alone.
    case encrypted
    /// TLS with a certificate that the roots vouch for and that bears one of these names (A-labels, `*.` not allowed here).
    case webPKI(names: [[UInt8]])
    /// TLS with a certificate that one of the validated records matches; names count for usage 2 only.
    // RFC 7672 §3
    case dane(records: [TLSAData], names: [[UInt8]])

    /// Whether mail may go in the clear when TLS cannot be had.
    package var allowsPlaintext: Bool {
        switch self {
        case .plain, .opportunistic: true
        case .encrypted, .webPKI, .dane: false
        }
    }
}

/// The result types of RFC 8460 §4.3, and success.
package enum TLSResultType: String, Sendable, Hashable, CaseIterable {
    case success
    case startTLSNotSupported = "starttls-not-supported"
    case certificateHostMismatch = "certificate-host-mismatch"
    case certificateExpired = "certificate-expired"
    case certificateNotTrusted = "certificate-not-trusted"
    case validationFailure = "validation-failure"
    case tlsaInvalid = "tlsa-invalid"
    case dnssecInvalid = "dnssec-invalid"
    case daneRequired = "dane-required"
    case stsPolicyFetchError = "sts-policy-fetch-error"
    case stsPolicyInvalid = "sts-policy-invalid"
    case stsWebPKIInvalid = "sts-webpki-invalid"
}

/// Under which published policy a session counts (RFC 8460 §4.4).
package enum TLSPolicyType: String, Sendable, Hashable, CaseIterable {
    case tlsa
    case sts
    case noPolicyFound = "no-policy-found"
}

/// What a policy said, for reports: its type, its text line by line, and the domain it belongs to.
package struct TLSPolicyFact: Sendable, Hashable {
    package var type: TLSPolicyType
    package var domain: [UInt8]
    /// TLSA records or policy lines as RFC 8460 wants them.
    package var strings: [[UInt8]]
    /// `mx` patterns of an MTA-STS policy.
    package var mxHosts: [[UInt8]]

    package init(type: TLSPolicyType, domain: [UInt8], strings: [[UInt8]] = [], mxHosts: [[UInt8]] = []) {
        self.type = type
        self.domain = domain
        self.strings = strings
        self.mxHosts = mxHosts
    }
}
