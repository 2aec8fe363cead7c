import MailAuth
package import Protocols

/// DANE of one host by itself, as `check dane` asks for it: the questions a plan asks about a host whose name is known to
/// be the right one.
package struct DANECheck: Evaluation {
    package struct Verdict: Sendable, Hashable {
        package enum Addresses: Sendable, Hashable {
            case known([IPAddress], isSecure: Bool)
            case absent
            case unknown(detail: [UInt8])
        }

        package let addresses: Addresses
        package let finding: TLSPolicy.DANEFinding
        /// The TLSA base domain; empty: there are no records.
        package let base: [UInt8]
        /// As published.
        package let records: [TLSAData]
    }

    private let host: DNSName
    private let port: UInt16

    package init(host: DNSName, port: UInt16) {
        self.host = host
        self.port = port
    }

    package func evaluate(_ facts: Facts) throws(Missing) -> Verdict {
        let hostFacts = HostFacts(name: host, port: port)
        switch try hostFacts.addresses(facts, DeliveryRules()) {
        case .absent: return Verdict(addresses: .absent, finding: .absent, base: [], records: [])
        case .unknown(_, let detail):
            return Verdict(addresses: .unknown(detail: detail), finding: .absent, base: [], records: [])
        case .known(let addresses, let isSecure):
            let answer = try hostFacts.dane(facts, isSecure: isSecure, provenFrom: [host.lowercasedText])
            return Verdict(
                addresses: .known(addresses, isSecure: isSecure), finding: answer.finding, base: answer.base,
                records: answer.records)
        }
    }
}
