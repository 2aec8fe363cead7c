import Base

/// What the name in HELO or EHLO looks like. Evidence only: nobody is refused for it alone.
// RFC 5321 §4.1.4
package enum HELOFinding: String, Sendable, Hashable, CaseIterable {
    /// A domain name, or the literal of the client's own address.
    case good
    /// One label, or a name that means the sending host alone.
    case noDomain = "no_domain"
    /// Neither a domain name nor an address literal.
    case malformed
    /// An address without brackets.
    case bareAddress = "bare_address"
    /// The literal of an address that the client does not have.
    case otherAddress = "other_address"
    /// Our own name or address: nobody else has it.
    case ours

    package var counts: Bool { self != .good }

    /// `name` as the client gave it. `ownNames` in lower case.
    package init(_ name: [UInt8], client: IPAddress?, ownNames: [[UInt8]], ownAddress: IPAddress? = nil) {
        if name.first == ASCII.leftBracket, name.last == ASCII.rightBracket {
            self = Self.literal(Array(name.dropFirst().dropLast()), client, ownAddress)
        } else if IPAddress.parse(name) != nil {
            self = .bareAddress
        } else {
            self = Self.domain(ASCII.lowercased(name), ownNames)
        }
    }

    // RFC 5321 §4.1.3
    private static func literal(_ inside: [UInt8], _ client: IPAddress?, _ own: IPAddress?) -> Self {
        let tag = Array("ipv6:".utf8)
        let text =
            ASCII.lowercased(Array(inside.prefix(tag.count))) == tag ? Array(inside.dropFirst(tag.count)) : inside
        guard let address = IPAddress.parse(text).flatMap({ IPAddress(bytes: $0) }) else { return .malformed }
        if address == client { return .good }
        return address == own ? .ours : .otherAddress
    }

    private static func domain(_ given: [UInt8], _ ownNames: [[UInt8]]) -> Self {
        let name = given.last == ASCII.dot ? Array(given.dropLast()) : given
        guard let dns = DNSName(dotted: name), name.allSatisfy({ isNameByte($0) }) else { return .malformed }
        if ownNames.contains(name) { return .ours }
        let labels = dns.labels
        guard labels.count > 1, let top = labels.last, !local.contains(top) else { return .noDomain }
        // RFC 1123 §2.1: a top-level label is never all digits, so that names and addresses can be told apart.
        return top.allSatisfy(ASCII.isDigit) ? .malformed : .good
    }

    /// Underscores stand in the names of many hosts, and UTF-8 after SMTPUTF8 (RFC 6531 §3.7.1).
    private static func isNameByte(_ c: UInt8) -> Bool {
        ASCII.isAlphanumeric(c) || c == ASCII.hyphen || c == ASCII.dot || c == 0x5F || c >= 0x80
    }

    // RFC 6761 §6.3
    private static let local = [Array("localhost".utf8), Array("localdomain".utf8)]
}
