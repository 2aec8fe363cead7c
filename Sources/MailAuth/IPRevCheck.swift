import Base
package import Protocols

/// Forward-confirmed reverse DNS: a name that the address points to, and that points back (RFC 8601 §2.7.3, §3).
package struct IPRevCheck: Evaluation {
    /// RFC 8601 §7.7 wants a bound on the names of one address; the same ten as SPF's (RFC 7208 §4.6.4).
    package static let namesMax = 10

    private let address: IPAddress

    package init(_ address: IPAddress) { self.address = address }

    package func evaluate(_ facts: Facts) throws(Missing) -> AuthResults.IPRev {
        let reverse = try facts.need(address.reverseName, .ptr)
        if reverse.isTemporary { return result(.temperror, reason: "no answer for the reverse name") }
        let names = Array(reverse.targets.prefix(Self.namesMax))
        guard let first = names.first else { return result(.permerror, reason: "the address has no name") }
        let type: DNSRecordType = address.isIPv4 ? .a : .aaaa
        let forward = try facts.need(all: names.map { DNSQuestion($0, type) })
        for (name, answer) in zip(names, forward) where answer.addresses.contains(address) {
            let isSecure = reverse.security == .secure && answer.security == .secure
            return result(.pass, name: name, isSecure: isSecure)
        }
        if forward.contains(where: \.isTemporary) {
            return result(.temperror, name: first, reason: "no answer for a name of the address")
        }
        return result(.fail, name: first, reason: "no name of the address leads back to it")
    }

    private func result(
        _ result: AuthResult, name: DNSName? = nil, reason: StaticString = "", isSecure: Bool = false
    ) -> AuthResults.IPRev {
        var out = AuthResults.IPRev(result: result, address: Array(address.description.utf8))
        out.name = name?.dotted ?? []
        out.reason.append(ascii: reason)
        out.isSecure = isSecure
        return out
    }
}
