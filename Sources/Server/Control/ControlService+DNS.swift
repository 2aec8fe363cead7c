import Base
import MailAuth
import Policy
import Store

extension ControlService {
    /// The records to publish: every key that is in use, to be used, or was used a short time ago.
    func domainDNS(_ name: [UInt8], _ format: ControlFormat) -> ControlWork {
        let hostname = Array(hooks.hostname().utf8)
        let certificates = hooks.certificateKeys()
        let now = hooks.now()
        return .read { (session) throws(StoreError) in
            guard try session.domains().contains(where: { $0.name == name }) else { throw .notFound }
            var facts = DNSRecordAdvice.Facts(domain: name, hostname: hostname)
            facts.certificateKeys = certificates
            facts.keys = try session.dkimKeys(of: name).filter { $0.isPublished(at: now) }.map(\.advised)
            return Self.answer(DNSRecordAdvice.records(facts), format)
        }
    }

    private static func answer(_ records: [DNSRecordAdvice.Record], _ format: ControlFormat) -> ControlAnswer {
        if format == .json {
            return ControlAnswer(output: JSONValue.array(records.map { .object(members($0)) }).bytes + [ASCII.lf])
        }
        var out: [UInt8] = []
        for record in records { out += Array("; \(record.why)\n".utf8) + record.zoneText }
        return ControlAnswer(output: out)
    }

    static func members(_ record: DNSRecordAdvice.Record) -> [JSONMember] {
        [
            JSONMember("name", .text(ControlText.shown(record.name))), JSONMember("type", .text(record.type)),
            JSONMember("data", .text(String(decoding: record.data, as: UTF8.self))),
            JSONMember("why", .text(record.why)), JSONMember("kind", .text(record.kind.rawValue)),
            JSONMember("required", .boolean(record.isRequired)),
        ]
    }
}

extension DKIMKey {
    fileprivate var advised: DNSRecordAdvice.Key {
        let state: DNSRecordAdvice.Key.State =
            switch self.state {
            case .published: .published
            case .active: .active
            case .retired: .retired
            }
        return DNSRecordAdvice.Key(selector: selector, record: record, state: state)
    }
}
