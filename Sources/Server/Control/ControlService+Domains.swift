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

    private static func domainShow(
        _ session: any StoreReaderSession, _ name: [UInt8], _ format: ControlFormat
    ) throws(StoreError) -> ControlAnswer {
        guard let domain = try session.domains().first(where: { $0.name == name }) else { throw .notFound }
        var members = [JSONMember("domain", .text(ControlText.shown(name)))]
        for field in DomainPolicyField.all { members.append(JSONMember(field.name, .text(field.read(domain.policy)))) }
        return object(members, format)
    }
}
