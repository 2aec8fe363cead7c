import Base

/// The commands and the facts about each.
package enum Verb: UInt8, Sendable, CaseIterable {
    case ehlo, helo, mail, rcpt, data, bdat, rset, noop, vrfy, expn, help, quit, startTLS, auth
    /// LMTP's greeting (RFC 2033 §4.1).
    case lhlo
    /// Known to the RFCs and offered by nobody (RFC 5321 appendix F, RFC 1985): 502.
    case turn, etrn, atrn, send, soml, saml, burl

    /// Whether the command may run while recipients of the transaction wait for their answers. All others are the last
    /// of a group or need the outcome of what came before (RFC 2920 §3.1).
    var overtakesRecipients: Bool { self == .rcpt }

    /// RFC 3207 §4: what a listener that requires TLS still answers in the clear.
    var isAllowedBeforeTLS: Bool {
        switch self {
        case .ehlo, .helo, .lhlo, .noop, .quit, .startTLS, .help: true
        default: false
        }
    }

    /// RFC 2033 §4.1: LMTP has LHLO in place of HELO and EHLO, which must not succeed there.
    func isSpoken(lmtp: Bool) -> Bool {
        switch self {
        case .ehlo, .helo: !lmtp
        case .lhlo: lmtp
        default: true
        }
    }

    /// Whether the whole command line may exceed 512 octets by its parameters.
    func lineOctetsMax(_ limits: SMTPLimits) -> Int {
        switch self {
        case .mail, .rcpt: limits.parameterLineOctets
        case .auth: limits.authLineOctets
        default: limits.commandLineOctets
        }
    }

    /// The verb at the front of `line` (up to a space or the end), of any case.
    static func parse(_ line: Span<UInt8>) -> Verb? {
        var key: UInt64 = 0
        var i = 0
        while i < line.count, line[i] != ASCII.space {
            guard i < 8 else { return nil }
            key = key << 8 | UInt64(ASCII.uppercased(line[i]))
            i += 1
        }
        return byKey(key)
    }

    private static func byKey(_ key: UInt64) -> Verb? {
        switch key {
        case 0x45484C4F: .ehlo
        case 0x48454C4F: .helo
        case 0x4C484C4F: .lhlo
        case 0x4D41494C: .mail
        case 0x52435054: .rcpt
        case 0x44415441: .data
        case 0x42444154: .bdat
        case 0x52534554: .rset
        case 0x4E4F4F50: .noop
        case 0x56524659: .vrfy
        case 0x4558504E: .expn
        case 0x48454C50: .help
        case 0x51554954: .quit
        case 0x5354_4152_5454_4C53: .startTLS
        case 0x41555448: .auth
        case 0x5455524E: .turn
        case 0x4554524E: .etrn
        case 0x4154524E: .atrn
        case 0x53454E44: .send
        case 0x534F4D4C: .soml
        case 0x53414D4C: .saml
        case 0x4255524C: .burl
        default: nil
        }
    }

    /// Whether the line opens another protocol: HTTP methods (RFC 9110 §9) or a TLS record.
    static func isForeign(_ line: Span<UInt8>) -> Bool {
        if line.count > 0, line[0] == 0x16 { return true }
        var key: UInt64 = 0
        var i = 0
        while i < line.count, line[i] != ASCII.space {
            guard i < 8 else { return false }
            key = key << 8 | UInt64(line[i])
            i += 1
        }
        guard i < line.count else { return false }
        switch key {
        case 0x474554, 0x505554, 0x48454144, 0x504F5354, 0x4445_4C45_5445, 0x434F_4E4E_4543_54, 0x4F50_5449_4F4E_53,
            0x5041_5443_48, 0x5452_4143_45, 0x505249:
            return true
        default: return false
        }
    }
}
