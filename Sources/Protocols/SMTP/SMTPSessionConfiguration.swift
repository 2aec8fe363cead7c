import Base

package enum SMTPListenerKind: UInt8, Sendable { case mx, submission, submissions, lmtp }

/// Who is at the other end. `address` is the text of the IP address.
package struct SMTPPeer: Sendable {
    package var address: [UInt8]
    package init(address: [UInt8]) { self.address = address }
}

/// What all sessions of one listener share. Immutable; a session holds one reference.
package final class SMTPSessionConfiguration: Sendable {
    package let hostname: [UInt8]
    package let kind: SMTPListenerKind
    /// RFC 2033: the same session in its other dialect.
    let isLMTP: Bool
    package let limits: SMTPLimits
    package let offersTLS: Bool
    /// Nothing but the greeting and STARTTLS before TLS (RFC 3207 §4).
    package let requiresTLS: Bool
    package let offersAuth: Bool
    /// MAIL wants an authenticated client (RFC 6409 §4.3).
    package let requiresAuth: Bool
    package let software: [UInt8]
    /// The A-label form of a domain with U-labels, lower case; nil when it has none.
    package let domainToASCII: @Sendable ([UInt8]) -> [UInt8]?

    let banner: [UInt8]
    let ehloPlain: [UInt8]
    let ehloTLS: [UInt8]

    package init(
        hostname: [UInt8], kind: SMTPListenerKind = .mx, limits: SMTPLimits = SMTPLimits(), offersTLS: Bool = false,
        requiresTLS: Bool = false, offersAuth: Bool = false, requiresAuth: Bool? = nil,
        software: [UInt8] = Array("Martlet".utf8),
        domainToASCII: @escaping @Sendable ([UInt8]) -> [UInt8]? = { _ in nil }
    ) {
        let isSubmission = kind == .submission || kind == .submissions
        let auth = offersAuth && isSubmission
        self.hostname = hostname
        self.kind = kind
        isLMTP = kind == .lmtp
        self.limits = limits
        self.offersTLS = offersTLS
        self.requiresTLS = requiresTLS
        self.offersAuth = auth
        self.requiresAuth = requiresAuth ?? isSubmission
        self.software = software
        self.domainToASCII = domainToASCII
        banner = Capability.banner(hostname: hostname, software: software, lmtp: kind == .lmtp)
        ehloPlain = Capability.ehlo(
            hostname: hostname, limits: limits,
            under: Capability.Condition(tls: false, offersTLS: offersTLS, auth: auth))
        ehloTLS = Capability.ehlo(
            hostname: hostname, limits: limits, under: Capability.Condition(tls: true, offersTLS: offersTLS, auth: auth)
        )
    }
}
