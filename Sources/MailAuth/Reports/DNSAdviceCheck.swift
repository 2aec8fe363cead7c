import Base
package import Protocols

/// What the DNS says of the records that `DNSRecordAdvice` wants. One finding a record, in their order, and one for each
/// address of the server. Bounded by the records given and `hostsMax`.
package struct DNSAdviceCheck: Evaluation, Sendable {
    /// MX hosts that are looked at.
    private static let hostsMax = 10
    /// Of the ten lookups that SPF allows (RFC 7208 §4.6.4), so many are close to the end.
    private static let lookupsNearMax = 8

    private let domain: DNSName
    private let hostname: DNSName
    private let records: [DNSRecordAdvice.Record]

    /// Nil when a name is none. `records` may be some of the domain's.
    package init?(domain: [UInt8], hostname: [UInt8], records: [DNSRecordAdvice.Record]) {
        guard let domain = DNSName(dotted: domain), let hostname = DNSName(dotted: hostname) else { return nil }
        self.domain = domain
        self.hostname = hostname
        self.records = records
    }

    package func evaluate(_ facts: Facts) throws(Missing) -> [AdviceFinding] {
        var missing = Missing([DNSQuestion]())
        var out: [AdviceFinding] = []
        for record in records where record.kind != .policyFile {
            do throws(Missing) {
                out.append(try finding(record, facts))
            } catch {
                missing.merge(error)
            }
        }
        if records.contains(where: { $0.kind == .mx }) {
            do throws(Missing) {
                out += try server(facts)
            } catch {
                missing.merge(error)
            }
        }
        guard missing.keys.isEmpty else { throw missing }
        return out
    }

    private func finding(_ record: DNSRecordAdvice.Record, _ facts: Facts) throws(Missing) -> AdviceFinding {
        var out = AdviceFinding(record)
        guard let name = DNSName(dotted: record.name), let type = Self.type(of: record.kind) else {
            out.note("this is not a name that can be looked up", problem: true)
            return out
        }
        let answer = try facts.need(name, type)
        out.security = answer.security
        guard !answer.isTemporary else {
            out.status = .unknown
            out.note(Self.failure(answer), problem: true)
            return out
        }
        switch record.kind {
        case .mx: try mx(answer, facts, &out)
        case .spf: try spf(answer, facts, &out)
        case .dkim: dkim(record, answer, &out)
        case .dmarc: try dmarc(answer, facts, &out)
        case .policyAnnouncement: try policyAnnouncement(answer, facts, &out)
        case .tlsReporting: tlsReporting(answer, &out)
        case .tlsa: tlsa(record, answer, &out)
        case .bimi: bimi(answer, &out)
        case .host, .policyFile: break
        }
        return out
    }

    private static func type(of kind: DNSRecordAdvice.Kind) -> DNSRecordType? {
        switch kind {
        case .mx: .mx
        case .tlsa: .tlsa
        case .spf, .dkim, .dmarc, .policyAnnouncement, .tlsReporting, .bimi: .txt
        case .host, .policyFile: nil
        }
    }

    private static func failure(_ answer: DNSAnswer) -> String {
        let what = answer.security == .bogus ? "DNSSEC validation failed" : "the DNS did not answer"
        return answer.reason.map { "\(what): \($0)" } ?? "\(what) (\(answer.status.rawValue))"
    }

    // MARK: MX and the server

    private func mx(_ answer: DNSAnswer, _ facts: Facts, _ out: inout AdviceFinding) throws(Missing) {
        out.found = answer.records.map { Array("\($0)".utf8) }
        guard !answer.records.isEmpty else { return out.missing() }
        let hosts = Array(answer.targets.prefix(Self.hostsMax))
        if hosts.contains(where: \.isRoot) {
            // RFC 7505 §3
            return out.differs("a null MX says that the domain takes no mail")
        }
        let others = hosts.filter { $0 != hostname }.map { "\($0)" }.joined(separator: ", ")
        guard hosts.contains(hostname) else { return out.differs("mail goes to \(others), not to \(hostname)") }
        out.status = .ok
        if !others.isEmpty { out.note("mail also goes to \(others)") }
        var missing = Missing([DNSQuestion]())
        for host in hosts {
            do throws(Missing) {
                let answers = try facts.need(all: [DNSQuestion(host, .a), DNSQuestion(host, .aaaa)])
                judge(host, answers, &out)
            } catch {
                missing.merge(error)
            }
        }
        guard missing.keys.isEmpty else { throw missing }
    }

    private func judge(_ host: DNSName, _ answers: [DNSAnswer], _ out: inout AdviceFinding) {
        // RFC 5321 §5.1: the name of an MX is no alias.
        if let alias = answers.compactMap(\.canonicalName).first {
            out.note("\(host) is an alias (CNAME) of \(alias); some senders refuse that", problem: true)
        }
        guard answers.allSatisfy({ $0.addresses.isEmpty }) else { return }
        let isTemporary = answers.contains(where: \.isTemporary)
        out.note(
            isTemporary ? "the addresses of \(host) could not be looked up" : "\(host) has no address", problem: true)
    }

    private func addresses(_ facts: Facts) throws(Missing) -> [IPAddress] {
        let answers = try facts.need(all: [DNSQuestion(hostname, .a), DNSQuestion(hostname, .aaaa)])
        return Array(answers.flatMap(\.addresses).prefix(Self.hostsMax))
    }

    /// Whether each address has a name that leads back to it: without one many refuse its mail.
    private func server(_ facts: Facts) throws(Missing) -> [AdviceFinding] {
        var missing = Missing([DNSQuestion]())
        var out: [AdviceFinding] = []
        for address in try addresses(facts) {
            do throws(Missing) {
                let verdict = try IPRevCheck(address).evaluate(facts)
                var finding = AdviceFinding(
                    DNSRecordAdvice.Record(
                        kind: .host, name: address.reverseName.dotted, type: "PTR", data: hostname.dotted + [ASCII.dot],
                        why: "Reverse DNS: the address has a name that leads back to it.", isRequired: true))
                finding.security = verdict.isSecure ? .secure : .insecure
                finding.found = verdict.name.isEmpty ? [] : [verdict.name]
                judge(verdict, address, &finding)
                out.append(finding)
            } catch {
                missing.merge(error)
            }
        }
        guard missing.keys.isEmpty else { throw missing }
        return out
    }

    private func judge(_ verdict: AuthResults.IPRev, _ address: IPAddress, _ out: inout AdviceFinding) {
        switch verdict.result {
        case .pass:
            out.status = .ok
            if DNSName(dotted: verdict.name) != hostname {
                out.note("\(address) is called \(verdict.name.escapedText)")
            }
        case .temperror:
            out.status = .unknown
            out.note(verdict.reason.escapedText, problem: true)
        case .permerror: out.missing()
        case .absent, .fail, .softfail, .neutral, .policy: out.differs(verdict.reason.escapedText)
        }
    }

    // MARK: SPF

    private func spf(_ answer: DNSAnswer, _ facts: Facts, _ out: inout AdviceFinding) throws(Missing) {
        let records = answer.texts.filter(SPFParser.isRecord)
        out.found = records
        guard let record = records.first else { return out.missing() }
        // RFC 7208 §4.5
        guard records.count == 1 else {
            return out.differs("\(records.count) SPF records; receivers give up (permerror)")
        }
        do throws(SPFSyntaxError) {
            _ = try SPFParser.parse(record)
        } catch {
            return out.differs(error.text)
        }
        let sender = Array("postmaster@".utf8) + domain.dotted
        // Nobody's address: all of the record is read.
        let stranger = try SPFCheck(
            ip: IPAddress(v4: 0, 0, 0, 0), helo: hostname.dotted, mailFrom: sender, wantsExplanation: false
        ).evaluate(facts)
        out.status = .ok
        switch stranger.result {
        case .permerror, .temperror:
            out.status = stranger.result == .temperror ? .unknown : .differs
            out.note(stranger.problem ?? "the record cannot be evaluated", problem: true)
        case .pass: out.differs("the record lets everybody send for the domain")
        case .absent, .fail, .softfail, .neutral, .policy: break
        }
        if stranger.lookups >= Self.lookupsNearMax {
            out.note("it takes \(stranger.lookups) DNS lookups of the 10 allowed", problem: true)
        }
        guard stranger.result != .permerror else { return }
        try senders(sender, facts, &out)
    }

    private func senders(_ sender: [UInt8], _ facts: Facts, _ out: inout AdviceFinding) throws(Missing) {
        var missing = Missing([DNSQuestion]())
        for address in try addresses(facts) {
            do throws(Missing) {
                let verdict = try SPFCheck(
                    ip: address, helo: hostname.dotted, mailFrom: sender, wantsExplanation: false
                ).evaluate(facts)
                if verdict.result == .pass { continue }
                out.differs("mail from \(address), an address of this server, gets \(verdict.result.rawValue)")
            } catch {
                missing.merge(error)
            }
        }
        guard missing.keys.isEmpty else { throw missing }
    }

    // MARK: DKIM and DMARC

    private func dkim(_ record: DNSRecordAdvice.Record, _ answer: DNSAnswer, _ out: inout AdviceFinding) {
        out.found = answer.texts
        guard !answer.texts.isEmpty else { return out.missing() }
        // RFC 6376 §3.6.2.2: with several records the result is undefined.
        guard answer.texts.count == 1, let text = answer.texts.first else {
            return out.differs("there is more than one TXT record")
        }
        let wanted = try? DKIMKeyRecord(record.data)
        do throws(KeyRecordError) {
            let published = try DKIMKeyRecord(text)
            guard published.kind == wanted?.kind, published.key == wanted?.key else {
                return out.differs("it is another key")
            }
            out.status = .ok
            if published.isTesting { out.note("t=y: receivers take the signatures as a test") }
        } catch {
            out.differs(error == .revoked ? "the key is revoked (p= is empty)" : "it is no usable key record")
        }
    }

    private func dmarc(_ answer: DNSAnswer, _ facts: Facts, _ out: inout AdviceFinding) throws(Missing) {
        let lookup = try DMARCLookup(domain, facts)
        let claims = answer.texts.filter { $0.starts(with: Array("v=DMARC1".utf8)) }
        out.found = claims.isEmpty ? answer.texts : claims
        guard let record = lookup.record else {
            if claims.isEmpty { return out.missing() }
            return out.differs(
                claims.count > 1 ? "more than one record; none of them counts" : "the record is malformed")
        }
        out.found = [lookup.text]
        guard record.isUsable else { return out.differs("it has neither a valid policy nor a report address") }
        out.status = .ok
        let policy = record.policy(isSubdomain: false, exists: true).0
        if policy == .monitor { out.note("p=none: others only report") }
        if record.reportURIs.isEmpty { out.note("no rua=: nobody reports to you") }
        let reports = try ReportAuthorization(policyDomain: domain, uris: record.reportURIs).evaluate(facts)
        for uri in reports.refused {
            out.note("\(uri.escapedText) gets no reports: its domain does not say that it wants them", problem: true)
        }
    }

    // MARK: Transport security

    private func policyAnnouncement(
        _ answer: DNSAnswer, _ facts: Facts, _ out: inout AdviceFinding
    ) throws(Missing) {
        let records = answer.texts.filter { $0.starts(with: Array("v=STSv1".utf8)) }
        out.found = records
        guard let record = records.first else { return out.missing() }
        // RFC 8461 §3.1: with several records there is no policy.
        guard records.count == 1 else { return out.differs("more than one record; none of them counts") }
        guard let id = (try? TagList(record))?.value("id"), (1...32).contains(id.count),
            id.allSatisfy(ASCII.isAlphanumeric)
        else { return out.differs("the record has no valid id=") }
        out.status = .ok
        guard let host = domain.prepending(dotted: "mta-sts") else { return }
        let answers = try facts.need(all: [DNSQuestion(host, .a), DNSQuestion(host, .aaaa)])
        if answers.allSatisfy({ $0.addresses.isEmpty }) {
            out.note("\(host) has no address, so the policy cannot be fetched", problem: true)
        }
    }

    private func tlsReporting(_ answer: DNSAnswer, _ out: inout AdviceFinding) {
        let records = answer.texts.filter { $0.starts(with: Array("v=TLSRPTv1".utf8)) }
        out.found = records
        guard let record = records.first else { return out.missing() }
        // RFC 8460 §3
        guard records.count == 1 else { return out.differs("more than one record; none of them counts") }
        guard let address = (try? TagList(record))?.value("rua"), !address.isEmpty else {
            return out.differs("the record has no rua=")
        }
        out.status = .ok
    }

    private func tlsa(_ record: DNSRecordAdvice.Record, _ answer: DNSAnswer, _ out: inout AdviceFinding) {
        out.found = answer.records.map { Array("\($0)".utf8) }
        guard !answer.records.isEmpty else { return out.missing() }
        let isThere = answer.records.contains { ASCII.equalIgnoringCase(Array("\($0)".utf8), record.data) }
        guard isThere else {
            // RFC 7672 §2.2: with TLSA records there is delivery by a match, or none.
            return out.differs("no record fits this certificate: senders that use DANE do not deliver")
        }
        out.status = .ok
        // RFC 7672 §2.2.1
        if answer.security != .secure { out.note("without DNSSEC it has no effect") }
    }

    private func bimi(_ answer: DNSAnswer, _ out: inout AdviceFinding) {
        let records = answer.texts.filter(BIMIRecord.isRecord)
        out.found = records
        guard let record = records.first else { return out.missing() }
        guard records.count == 1 else { return out.differs("more than one record; none of them counts") }
        switch BIMIRecord.parse(record) {
        case .success: out.status = .ok
        case .failure(let problem): out.differs(problem.reason)
        }
    }
}

/// What was found where a record should be.
package struct AdviceFinding: Sendable, Hashable {
    package enum Status: String, Sendable, Hashable, CaseIterable {
        case ok, missing, differs
        /// The DNS did not answer.
        case unknown
    }

    /// What should be there.
    package let record: DNSRecordAdvice.Record
    package var status = Status.missing
    package var security = DNSSecurity.insecure
    /// What is there, as far as it is of the same kind.
    package var found: [[UInt8]] = []
    /// For people; names in them are printable.
    package var notes: [String] = []
    /// Something that ought to be changed.
    package var isProblem = false

    init(_ record: DNSRecordAdvice.Record) { self.record = record }

    mutating func note(_ text: String, problem: Bool = false) {
        notes.append(text)
        if problem { isProblem = true }
    }

    mutating func missing() {
        status = .missing
        if record.isRequired { isProblem = true }
    }

    mutating func differs(_ why: String) {
        status = .differs
        note(why, problem: true)
    }
}
