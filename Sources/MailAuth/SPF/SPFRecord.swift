import Base
import Protocols

/// What a mechanism that matches says of the client (RFC 7208 §4.6.2).
enum SPFQualifier: UInt8, Sendable {
    case pass = 0x2B
    case fail = 0x2D
    case softfail = 0x7E
    case neutral = 0x3F

    var result: AuthResult {
        switch self {
        case .pass: .pass
        case .fail: .fail
        case .softfail: .softfail
        case .neutral: .neutral
        }
    }
}

/// How many leading bits of an address count, by family (`dual-cidr-length`).
struct SPFPrefix: Sendable, Equatable {
    var v4 = 32
    var v6 = 128

    func bits(for address: IPAddress) -> Int { address.isIPv4 ? v4 : v6 }
}

/// A target of nil is the <domain> under evaluation.
enum SPFMechanism: Sendable, Equatable {
    case all
    case include(SPFMacroString)
    case a(SPFMacroString?, SPFPrefix)
    case mx(SPFMacroString?, SPFPrefix)
    case ptr(SPFMacroString?)
    /// 4 bytes.
    case ip4([UInt8], prefix: Int)
    /// 16 bytes. Not an `IPAddress`: an IPv4-mapped network must stay IPv6 and match no IPv4 client (RFC 7208 §5).
    case ip6([UInt8], prefix: Int)
    case exists(SPFMacroString)
}

struct SPFDirective: Sendable, Equatable {
    let qualifier: SPFQualifier
    let mechanism: SPFMechanism
    /// As published, for the verdict.
    let text: [UInt8]
}

/// A record whose whole syntax is right. Unknown modifiers are checked and forgotten.
package struct SPFRecord: Sendable, Equatable {
    var directives: [SPFDirective] = []
    var redirect: SPFMacroString?
    var explanation: SPFMacroString?

    /// RFC 7208 §6.1: with "all" anywhere, redirect is ignored.
    var hasAll: Bool { directives.contains { $0.mechanism == .all } }
}

/// Why a record is not one: the term and what is wrong with it, for the domain's owner.
package struct SPFSyntaxError: Error, Sendable, Equatable {
    package let reason: String
    package let term: [UInt8]

    package init(_ reason: String, in term: some Sequence<UInt8>) {
        self.reason = reason
        self.term = Array(term)
    }

    package var text: String { "\(reason) in \"\(Array(term.prefix(128)).escapedText)\"" }
}
