import Base
import Policy
import Store

extension ControlService {
    func domainWork(_ request: ControlRequest, _ format: ControlFormat) -> ControlWork {
        switch request {
        case .domainAdd(let text):
            guard let name = ControlAddress.domain(text) else { return Self.badDomain(text) }
            return .write { (session) throws(StoreError) in
                try session.addDomain(name)
                let shown = ControlText.shown(name)
                return Self.changed(
                    "added domain \(shown); next: `martlet domain dns \(shown)`", [JSONMember("domain", .text(shown))],
                    format)
            }
        case .domainRemove(let text):
            guard let name = ControlAddress.domain(text) else { return Self.badDomain(text) }
            return .write { (session) throws(StoreError) in
                do throws(StoreError) {
                    try session.removeDomain(name)
                } catch .conflict {
                    return .failed("domain \(ControlText.shown(name)) still has accounts; remove them first")
                }
                let shown = ControlText.shown(name)
                return Self.changed("removed domain \(shown)", [JSONMember("domain", .text(shown))], format)
            }
        case .domainList:
            return .read { (session) throws(StoreError) in try Self.domainList(session, format) }
        case .domainShow(let text):
            guard let name = ControlAddress.domain(text) else { return Self.badDomain(text) }
            return .read { (session) throws(StoreError) in try Self.domainShow(session, name, format) }
        case .domainSet(let text, let assignments):
            guard let name = ControlAddress.domain(text) else { return Self.badDomain(text) }
            for a in assignments where DomainPolicyField.named(a.name) == nil { return Self.unknownField(a.name) }
            return .write { (session) throws(StoreError) in
                for a in assignments { try session.setDomain(name, field: a.name, value: a.value) }
                return try Self.domainShow(session, name, format)
            }
        case .domainDNS(let text):
            guard let name = ControlAddress.domain(text) else { return Self.badDomain(text) }
            let hostname = hooks.hostname()
            return .read { (session) throws(StoreError) in
                guard try session.domains().contains(where: { $0.name == name }) else { throw .notFound }
                return DomainRecords.answer(domain: ControlText.shown(name), hostname: hostname, format)
            }
        default: return .done(.failed("not a domain request"))
        }
    }

    private static func unknownField(_ name: String) -> ControlWork {
        let names = DomainPolicyField.all.map(\.name)
        let hint = ConfigText.suggestion(for: name, among: names).map { "; did you mean \"\($0)\"?" }
        let next = hint ?? "; there are " + names.joined(separator: ", ")
        return .done(.failed("a domain has no setting \"\(name)\"" + next, ExitStatus.data))
    }

    private static func domainList(_ session: any StoreReaderSession, _ format: ControlFormat) throws(StoreError)
        -> ControlAnswer
    {
        let accounts = try session.accounts()
        let rows = try session.domains().map { domain -> [JSONValue] in
            let count = accounts.filter { ControlAddress.domainPart($0.address) == domain.name }.count
            return [.text(ControlText.shown(domain.name)), .boolean(domain.policy.enabled), .integer(count)]
        }
        return list(
            ["DOMAIN", "ENABLED", "ACCOUNTS"], ["domain", "enabled", "accounts"], rows,
            empty: "no domains; add one with `martlet domain add NAME`", format)
    }

    private static func domainShow(
        _ session: any StoreReaderSession, _ name: [UInt8], _ format: ControlFormat
    ) throws(StoreError) -> ControlAnswer {
        guard let domain = try session.domains().first(where: { $0.name == name }) else { throw .notFound }
        var members = [JSONMember("domain", .text(ControlText.shown(name)))]
        for field in DomainPolicyField.all { members.append(JSONMember(field.name, .text(field.read(domain.policy)))) }
        return object(members, format)
    }
}

/// The DNS records that make a domain's mail arrive here and be believed elsewhere.
enum DomainRecords {
    private struct Record {
        let name: String
        let type: String
        let data: String
        let why: String
    }

    static func answer(domain: String, hostname: String, _ format: ControlFormat) -> ControlAnswer {
        let records = records(domain, hostname)
        if format == .json {
            let values = records.map {
                JSONValue.object([
                    JSONMember("name", .text($0.name)), JSONMember("type", .text($0.type)),
                    JSONMember("data", .text($0.data)), JSONMember("why", .text($0.why)),
                ])
            }
            return ControlAnswer(output: JSONValue.array(values).bytes + [ASCII.lf])
        }
        var text = ""
        for r in records {
            let data = r.type == "TXT" ? "\"\(r.data)\"" : r.data
            text += "; \(r.why)\n\(r.name). 3600 IN \(r.type) \(data)\n"
        }
        return ControlAnswer(output: Array(text.utf8))
    }

    private static func records(_ domain: String, _ hostname: String) -> [Record] {
        [
            Record(name: domain, type: "MX", data: "10 \(hostname).", why: "Mail for \(domain) comes to this server."),
            // RFC 7208 §5.4: the MX hosts may send.
            Record(name: domain, type: "TXT", data: "v=spf1 mx -all", why: "SPF: only the MX may send for the domain."),
            Record(
                name: "_dmarc.\(domain)", type: "TXT", data: "v=DMARC1; p=none; rua=mailto:postmaster@\(domain)",
                why: "DMARC: report only; move to p=quarantine, then p=reject, when the reports look right."),
            // RFC 8460 §3
            Record(
                name: "_smtp._tls.\(domain)", type: "TXT", data: "v=TLSRPTv1; rua=mailto:postmaster@\(domain)",
                why: "TLS-RPT: others report here when TLS to this server fails."),
        ]
    }
}
