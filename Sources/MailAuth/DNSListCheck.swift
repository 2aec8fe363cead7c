import Base
package import Protocols

/// Whether lists in DNS know a client: all of them asked at once, then, of those that list it, the words of the ones that
/// may end in a refusal. One finding for each zone, in their order; weights are the receiver's business. Bounded by the
/// zones asked, two questions each.
package struct DNSListCheck: Evaluation {
    private let address: IPAddress
    private let zones: [[UInt8]]
    private let explained: Set<[UInt8]>

    /// `zones` in lower case without trailing dots; `explained`: those whose words are wanted.
    package init(_ address: IPAddress, zones: [[UInt8]], explained: [[UInt8]] = []) {
        self.address = address
        var distinct: [[UInt8]] = []
        for zone in zones where !distinct.contains(zone) { distinct.append(zone) }
        self.zones = distinct
        self.explained = Set(explained)
    }

    package func evaluate(_ facts: Facts) throws(Missing) -> [DNSListFinding] {
        let prefix = Self.prefix(of: address)
        let names = zones.map { Self.name(prefix, $0) }
        let answers = try facts.need(all: names.compactMap { $0.map { DNSQuestion($0, .a) } })
        var findings: [DNSListFinding] = []
        var listed: [(at: Int, question: DNSQuestion)] = []
        var rest = answers[...]
        for (zone, name) in zip(zones, names) {
            guard let name, let answer = rest.popFirst() else {
                // A zone too long to hold the address: nothing that could be asked.
                findings.append(DNSListFinding(zone: zone, outcome: .broken))
                continue
            }
            let finding = Self.finding(zone, answer)
            if finding.outcome == .listed, explained.contains(zone) {
                listed.append((findings.count, DNSQuestion(name, .txt)))
            }
            findings.append(finding)
        }
        let words = try facts.need(all: listed.map(\.question))
        for (place, answer) in zip(listed, words) {
            findings[place.at].text = Self.printable(answer.texts.first ?? [])
        }
        return findings
    }

    /// What stands before the zone.
    // RFC 5782 §2.1
    // RFC 5782 §2.4
    private static func prefix(of address: IPAddress) -> [[UInt8]] {
        // Without the two labels of in-addr.arpa or ip6.arpa.
        Array(address.reverseName.labels.dropLast(2))
    }

    private static func name(_ prefix: [[UInt8]], _ zone: [UInt8]) -> DNSName? {
        guard let zone = DNSName(dotted: zone), !zone.isRoot else { return nil }
        return DNSName(labels: prefix + zone.labels)
    }

    private static func finding(_ zone: [UInt8], _ answer: DNSAnswer) -> DNSListFinding {
        if answer.isTemporary { return DNSListFinding(zone: zone, outcome: .unanswered) }
        let addresses = Array(answer.addresses.prefix(DNSListFinding.answersMax))
        return DNSListFinding(zone: zone, outcome: outcome(addresses), answers: addresses)
    }

    /// Lists answer within 127.0.0.0/8; anything else is a domain given up and sold, or a resolver's own page.
    private static func outcome(_ addresses: [IPAddress]) -> DNSListFinding.Outcome {
        if addresses.isEmpty { return .notListed }
        guard addresses.allSatisfy({ $0.isIPv4 && $0.bytes[0] == 127 }) else { return .broken }
        // The large lists tell a resolver that it may not ask with 127.255.255.x; it would look like everybody listed.
        if addresses.contains(where: { $0.bytes[1] == 255 && $0.bytes[2] == 255 }) { return .declined }
        return .listed
    }

    private static func printable(_ text: [UInt8]) -> [UInt8] {
        text.prefix(DNSListFinding.textMax).map { ASCII.isPrintable($0) ? $0 : 0x3F }
    }
}
