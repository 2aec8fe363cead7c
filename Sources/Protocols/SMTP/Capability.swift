import Base

/// The EHLO keywords: one case per extension, with its value and the condition for offering it.
package enum Capability: CaseIterable, Sendable {
    case pipelining, size, eightBitMIME, smtpUTF8, chunking, binaryMIME, enhancedStatusCodes, dsn, limits
    case startTLS, requireTLS, auth

    struct Condition {
        let tls: Bool
        let offersTLS: Bool
        let auth: Bool
    }

    func isOffered(under condition: Condition) -> Bool {
        switch self {
        case .pipelining, .size, .eightBitMIME, .smtpUTF8, .chunking, .binaryMIME, .enhancedStatusCodes, .dsn, .limits:
            true
        case .startTLS: condition.offersTLS && !condition.tls  // RFC 3207 §4.2
        case .requireTLS: condition.tls  // RFC 8689 §3
        case .auth: condition.auth && condition.tls
        }
    }

    func appendLine(to out: inout [UInt8], limits: SMTPLimits) {
        switch self {
        case .pipelining: out.append(ascii: "PIPELINING")  // RFC 2920 §2
        case .size:  // RFC 1870 §3
            out.append(ascii: "SIZE ")
            out.append(decimal: limits.messageOctets)
        case .eightBitMIME: out.append(ascii: "8BITMIME")  // RFC 6152 §2
        case .smtpUTF8: out.append(ascii: "SMTPUTF8")  // RFC 6531 §3.1
        case .chunking: out.append(ascii: "CHUNKING")  // RFC 3030 §2
        case .binaryMIME: out.append(ascii: "BINARYMIME")  // RFC 3030 §3
        case .enhancedStatusCodes: out.append(ascii: "ENHANCEDSTATUSCODES")  // RFC 2034 §3
        case .dsn: out.append(ascii: "DSN")  // RFC 3461 §3
        case .limits:  // RFC 9422 §3
            out.append(ascii: "LIMITS RCPTMAX=")
            out.append(decimal: limits.recipients)
            if limits.messages > 0 {
                out.append(ascii: " MAILMAX=")
                out.append(decimal: limits.messages)
            }
        case .startTLS: out.append(ascii: "STARTTLS")
        case .requireTLS: out.append(ascii: "REQUIRETLS")
        case .auth: out.append(ascii: "AUTH SCRAM-SHA-256 PLAIN LOGIN")  // RFC 4954 §3
        }
    }

    /// The whole reply to EHLO. It is the same for every client, so it is made once.
    static func ehlo(hostname: [UInt8], limits: SMTPLimits, under condition: Condition) -> [UInt8] {
        var out: [UInt8] = []
        out.append(ascii: "250-")
        out.append(contentsOf: hostname)
        let offered = allCases.filter { $0.isOffered(under: condition) }
        for (i, capability) in offered.enumerated() {
            out.append(ascii: "\r\n250")
            out.append(i + 1 == offered.count ? ASCII.space : ASCII.hyphen)
            capability.appendLine(to: &out, limits: limits)
        }
        out.append(ascii: "\r\n")
        return out
    }

    static func banner(hostname: [UInt8], software: [UInt8], lmtp: Bool) -> [UInt8] {
        var out: [UInt8] = []
        out.append(ascii: "220 ")
        out.append(contentsOf: hostname)
        out.append(ascii: lmtp ? " LMTP " : " ESMTP ")
        out.append(contentsOf: software)
        out.append(ascii: "\r\n")
        return out
    }
}
