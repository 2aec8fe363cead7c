import Base
import MailAuth
import Protocols
import Testing

/// A few names and what DNS says of them; everything else is NXDOMAIN, or NODATA when there is something below it.
struct SPFZone {
    enum Entry {
        case records([RecordData])
        case failure(DNSStatus)
    }
    private(set) var names: [DNSName: [DNSRecordType: Entry]] = [:]
    private var failing: [DNSName: DNSStatus] = [:]

    mutating func add(_ name: DNSName, _ record: RecordData) {
        var list: [RecordData] = []
        if case .records(let before) = names[name]?[record.type] { list = before }
        names[name, default: [:]][record.type] = .records(list + [record])
    }

    mutating func fail(_ name: DNSName, _ type: DNSRecordType? = nil, _ status: DNSStatus = .timeout) {
        if let type { names[name, default: [:]][type] = .failure(status) } else { failing[name] = status }
    }

    /// `name TYPE value` lines; TXT takes the rest of the line, `FAIL` all types.
    init(_ text: String = "") {
        for line in text.split(separator: "\n") {
            let parts = line.split(separator: " ", maxSplits: 2).map(String.init)
            guard let name = DNSName(parts[0]) else { continue }
            let value = parts.count > 2 ? parts[2] : ""
            switch parts[1] {
            case "TXT": add(name, .txt(Array(value.utf8)))
            case "A": IPAddress(value).map { add(name, .a($0)) }
            case "AAAA": IPAddress(value).map { add(name, .aaaa($0)) }
            case "PTR": DNSName(value).map { add(name, .ptr($0)) }
            case "MX": DNSName(value).map { add(name, .mx(preference: 10, host: $0)) }
            case "CNAME": DNSName(value).map { add(name, .cname($0)) }
            default: fail(name)
            }
        }
    }

    func answer(_ question: DNSQuestion) -> DNSAnswer {
        var name = question.name
        for _ in 0..<12 {
            if case .failure(let status) = names[name]?[question.type] { return DNSAnswer(status: status) }
            if case .records(let records) = names[name]?[question.type] { return .records(records) }
            if case .records(let alias) = names[name]?[.cname], let target = alias.first?.target {
                name = target
                continue
            }
            if let status = failing[name] { return DNSAnswer(status: status) }
            let exists = names.keys.contains { $0.isWithin(name) } || failing.keys.contains { $0.isWithin(name) }
            return DNSAnswer(status: exists ? .noData : .nxDomain)
        }
        return DNSAnswer(status: .servFail)
    }

    struct Run {
        var verdict: SPFVerdict
        var asked: [DNSQuestion]
        var rounds: Int
    }

    /// Ask and replay to the end, within the rounds that the real driver allows.
    func run(_ check: SPFCheck) -> Run? {
        var facts = Facts()
        // The last round of answers is followed by one more evaluation.
        for round in 1...GatherLimits().rounds + 1 {
            do throws(Missing) {
                return Run(verdict: try check.evaluate(facts), asked: facts.questions, rounds: round)
            } catch {
                for key in error.keys {
                    if let question = key.question { facts.learn(question, answer(question)) }
                }
            }
        }
        Issue.record("more rounds than a message may have")
        return nil
    }

    func verdict(
        ip: String = "192.0.2.3", helo: String = "mail.example.net", from: String = "user@example.com"
    ) -> SPFVerdict? {
        guard let ip = IPAddress(ip) else { return nil }
        return run(
            SPFCheck(
                ip: ip, helo: Array(helo.utf8), mailFrom: Array(from.utf8), receiver: Array("mx.receiver.example".utf8),
                now: WallTime(seconds: 1_700_000_000)))?.verdict
    }
}
