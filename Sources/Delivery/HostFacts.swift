import Base
import MailAuth
import Protocols

/// What DNS says of one mail host: its addresses, and whether DANE applies.
struct HostFacts {
    enum Addresses {
        case known([IPAddress], isSecure: Bool)
        /// The name or its addresses do not exist.
        case absent
        case unknown(isBogus: Bool, detail: [UInt8])
    }

    /// Names below which DNSSEC was followed to this host's name: the recipient domain and what it is an alias of. Empty:
    /// not followed, so DANE does not apply.
    typealias ProvenFrom = [[UInt8]]

    let name: DNSName
    let port: UInt16

    /// Both families, asked for together.
    func addresses(_ facts: Facts, _ rules: DeliveryRules) throws(Missing) -> Addresses {
        var questions: [DNSQuestion] = []
        if rules.usesIPv6 { questions.append(DNSQuestion(name, .aaaa)) }
        if rules.usesIPv4 { questions.append(DNSQuestion(name, .a)) }
        let answers = try facts.need(all: questions)
        let found = answers.filter { !$0.isTemporary && !$0.addresses.isEmpty }
        if !found.isEmpty {
            return .known(
                usable(found.flatMap(\.addresses), rules), isSecure: found.allSatisfy { $0.security == .secure })
        }
        guard let failed = answers.first(where: \.isTemporary) else { return .absent }
        let bogus = answers.first { $0.security == .bogus }
        return .unknown(isBogus: bogus != nil, detail: HostFacts.problem(bogus ?? failed, "address of", name))
    }

    /// An IPv4 address in an IPv6 record's clothes reaches the same host: told apart, it would get around what is known of
    /// our own addresses. Dropped where it is named by an A record too, or IPv4 is not used.
    // RFC 4291 §2.5.5.2
    private func usable(_ addresses: [IPAddress], _ rules: DeliveryRules) -> [IPAddress] {
        var out: [IPAddress] = []
        for address in addresses.map(\.unmapped)
        where (rules.usesIPv4 || !address.isIPv4) && !out.contains(address) {
            out.append(address)
        }
        return out
    }

    /// The records of the first candidate that has any.
    // RFC 7672 §2.2.2 and §2.2.3
    func dane(_ facts: Facts, isSecure: Bool, provenFrom: ProvenFrom) throws(Missing) -> DANEAnswer {
        guard !provenFrom.isEmpty else { return .absent }
        for base in try candidates(facts, isSecure: isSecure) {
            if case .failed(let detail) = base { return DANEAnswer(finding: .failed(detail: detail)) }
            guard case .name(let name) = base, let question = tlsaQuestion(name) else { continue }
            let answer = try facts.need(question)
            if answer.isTemporary {
                return DANEAnswer(finding: .failed(detail: Self.problem(answer, "TLSA records of", question.name)))
            }
            guard answer.security == .secure, !answer.records.isEmpty else { continue }
            return found(answer, at: name, provenFrom)
        }
        return .absent
    }

    private func found(_ answer: DNSAnswer, at base: DNSName, _ provenFrom: ProvenFrom) -> DANEAnswer {
        let records = answer.records.compactMap { record -> TLSAData? in
            if case .tlsa(let data) = record { data } else { nil }
        }
        let baseName = base.lowercasedText
        var names = [baseName]
        // RFC 7672 §3.2.2: the base domain, the next-hop domain, and what the latter is an alias of.
        for name in provenFrom where !names.contains(name) { names.append(name) }
        switch TLSACheck.judge(records) {
        case .usable(let usable):
            return DANEAnswer(finding: .usable(usable, names: names), base: baseName, records: records)
        case .unusable: return DANEAnswer(finding: .unusable, base: baseName, records: records)
        case .absent: return .absent
        }
    }

    private enum Candidate {
        case name(DNSName)
        case failed([UInt8])
    }

    private func candidates(_ facts: Facts, isSecure: Bool) throws(Missing) -> [Candidate] {
        let canonical = canonicalName(facts)
        if isSecure {
            guard let canonical else { return [.name(name)] }
            return [.name(canonical), .name(name)]
        }
        // RFC 7672 §2.2.2: of an alias into an unsigned zone only the alias itself may be signed. Without an alias
        // nothing is asked: servers of unsigned zones choke on TLSA questions.
        guard canonical != nil else { return [] }
        let alias = try facts.need(name, .cname)
        if alias.isTemporary { return [.failed(Self.problem(alias, "alias", name))] }
        return alias.security == .secure && !alias.records.isEmpty ? [.name(name)] : []
    }

    private func canonicalName(_ facts: Facts) -> DNSName? {
        for type in [DNSRecordType.aaaa, .a] {
            if let canonical = facts.known(DNSQuestion(name, type))?.canonicalName, canonical != name {
                return canonical
            }
        }
        return nil
    }

    private func tlsaQuestion(_ base: DNSName) -> DNSQuestion? {
        base.prepending(dotted: "_\(port)._tcp").map { DNSQuestion($0, .tlsa) }
    }

    static func problem(_ answer: DNSAnswer, _ what: String, _ name: DNSName) -> [UInt8] {
        let why = answer.security == .bogus ? "DNSSEC validation failed" : answer.status.rawValue
        return Array("\(what) \(name): \(why)".utf8)
    }
}

/// A finding, and what it rests on, for reports.
struct DANEAnswer {
    static let absent = DANEAnswer(finding: .absent)

    let finding: TLSPolicy.DANEFinding
    /// The TLSA base domain; empty: there are no records.
    var base: [UInt8] = []
    /// As published, unusable ones too.
    var records: [TLSAData] = []

    // RFC 8460 §3 "Policy Domain": for DANE it is the TLSA base domain.
    var policyFact: TLSPolicyFact? {
        base.isEmpty ? nil : TLSPolicyFact(type: .tlsa, domain: base, strings: records.map(TLSACheck.text))
    }
}

extension DNSName {
    /// Lower case, without the final dot.
    var lowercasedText: [UInt8] { ASCII.lowercased(dotted) }

    /// Whether it can be a mail host's name in a certificate, a log line and a TLS extension.
    var isHostName: Bool {
        !isRoot
            && labels.allSatisfy { label in
                label.allSatisfy { ASCII.isAlphanumeric($0) || $0 == ASCII.hyphen || $0 == 0x5F }
            }
    }
}
