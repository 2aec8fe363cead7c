package import Protocols

/// Whether a domain announces a policy, and where its policy host is: what must be known before anything is fetched.
// RFC 8461 §3.1 and §3.3
package struct MTASTSDiscovery: Evaluation {
    package enum Verdict: Sendable, Hashable {
        /// No (single, valid) record.
        case absent
        /// DNS did not answer the question.
        case unknown
        /// The record has the id that was known.
        case unchanged
        /// Another id; the addresses of the policy host, none when it has none.
        case announced(id: [UInt8], addresses: [IPAddress])
    }

    private let domain: [UInt8]
    private let knownID: [UInt8]?
    /// Fetch even if the record is not to be had or unchanged: to renew a policy before it ends.
    private let isRenewal: Bool

    package init(domain: [UInt8], knownID: [UInt8]? = nil, isRenewal: Bool = false) {
        self.domain = domain
        self.knownID = knownID
        self.isRenewal = isRenewal
    }

    /// `mta-sts.<domain>`.
    package static func policyHost(_ domain: [UInt8]) -> [UInt8] { Array("mta-sts.".utf8) + domain }

    package func evaluate(_ facts: Facts) throws(Missing) -> Verdict {
        guard let name = DNSName(dotted: domain), let record = name.prepending(dotted: "_mta-sts"),
            let host = name.prepending(dotted: "mta-sts")
        else { return .absent }
        let answer = try facts.need(record, .txt)
        let id: [UInt8]
        if answer.isTemporary {
            guard isRenewal, let knownID else { return .unknown }
            id = knownID
        } else {
            guard let found = MTASTSRecord.find(in: answer.texts) else { return .absent }
            id = found.id
        }
        if id == knownID, !isRenewal { return .unchanged }
        let answers = try facts.need(all: [DNSQuestion(host, .aaaa), DNSQuestion(host, .a)])
        return .announced(id: id, addresses: answers.flatMap(\.addresses))
    }

    /// For how long the record may be relied on, as its answer said; nil: it was not asked for.
    package func recordTTL(_ facts: Facts) -> UInt32? {
        guard let name = DNSName(dotted: domain)?.prepending(dotted: "_mta-sts") else { return nil }
        return facts.known(DNSQuestion(name, .txt))?.ttl
    }
}
