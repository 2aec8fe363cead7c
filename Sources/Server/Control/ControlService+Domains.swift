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
            for (i, a) in assignments.enumerated() {
                if DomainPolicyField.named(a.name) == nil { return Self.unknownField(a.name) }
                if assignments[..<i].contains(where: { $0.name == a.name }) {
                    return .done(.failed("\(a.name) is given twice; nothing is changed", ExitStatus.data))
                }
            }
            let filters = hooks.defense.filterNames()
            return .write { (session) throws(StoreError) in
                for a in assignments { try session.setDomain(name, field: a.name, value: a.value) }
                return try Self.domainChanged(session, name, assignments.map(\.name), filters, format)
            }
        case .domainDNS(let text):
            guard let name = ControlAddress.domain(text) else { return Self.badDomain(text) }
            return domainDNS(name, format)
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

    /// What was set, as it is understood: `300` of `greylist_delay` is 5 hours.
    private static func domainChanged(
        _ session: any StoreReaderSession, _ name: [UInt8], _ changed: [String], _ filters: [[UInt8]]?,
        _ format: ControlFormat
    ) throws(StoreError) -> ControlAnswer {
        guard let domain = try session.domains().first(where: { $0.name == name }) else { throw .notFound }
        var members = [JSONMember("domain", .text(ControlText.shown(name)))]
        for field in DomainPolicyField.all where changed.contains(field.name) {
            members.append(JSONMember(field.name, .text(field.read(domain.policy))))
        }
        var answer = object(members, format)
        answer.changes = changed.count
        if changed.contains("milters"), let filters, case .named(let names) = domain.policy.defense.milters {
            let known = filters.isEmpty ? "none" : filters.map(ControlText.shown).joined(separator: ", ")
            for name in names where !filters.contains(ASCII.lowercased(name)) {
                answer.say(
                    "milters: smtp.milters has no filter \"\(ControlText.shown(name))\", so none looks at the mail "
                        + "by that name; there is \(known)")
            }
        }
        if format == .text { answer.say("`martlet domain show \(ControlText.shown(name))` shows all rules") }
        return answer
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
