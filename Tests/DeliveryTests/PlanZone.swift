import Base
import Delivery
import MailAuth
import Protocols
import Testing

/// DNS as a few lines of text: `name TYPE state [>canonical] [data]`. Lines of one name and type are one answer. What has
/// no line does not exist (insecurely). Drives plans and remembers what they asked.
struct PlanZone {
    private var answers: [DNSQuestion: DNSAnswer] = [:]

    init(_ text: String) {
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ").map(String.init)
            guard words.count >= 3, let name = DNSName(words[0]), let type = Self.types[words[1]] else {
                Issue.record("not a line of a zone: \(line)")
                continue
            }
            add(DNSQuestion(name, type), Array(words[2...]))
        }
    }

    private static let types: [String: DNSRecordType] = [
        "A": .a, "AAAA": .aaaa, "MX": .mx, "TXT": .txt, "TLSA": .tlsa, "CNAME": .cname,
    ]

    private mutating func add(_ question: DNSQuestion, _ words: [String]) {
        var answer = answers[question] ?? DNSAnswer(status: .noData, ttl: 300)
        var words = words
        let states: [String: (DNSStatus, DNSSecurity)] = [
            "secure": (.noError, .secure), "insecure": (.noError, .insecure), "bogus": (.servFail, .bogus),
            "servfail": (.servFail, .insecure), "timeout": (.timeout, .insecure), "refused": (.refused, .insecure),
            "nodata": (.noData, .insecure), "secure-nodata": (.noData, .secure), "nxdomain": (.nxDomain, .insecure),
            "secure-nxdomain": (.nxDomain, .secure),
        ]
        guard let state = states[words.removeFirst()] else {
            Issue.record("unknown state at \(question)")
            return
        }
        (answer.status, answer.security) = state
        if let canonical = words.first, canonical.hasPrefix(">") {
            answer.canonicalName = DNSName(String(canonical.dropFirst()))
            words.removeFirst()
        }
        if let record = Self.record(question.type, words) { answer.records.append(record) }
        answers[question] = answer
    }

    private static func record(_ type: DNSRecordType, _ words: [String]) -> RecordData? {
        guard let first = words.first else { return nil }
        switch type {
        case .a: return IPAddress(first).map { .a($0) }
        case .aaaa: return IPAddress(first).map { .aaaa($0) }
        case .mx:
            guard let preference = UInt16(first), let host = DNSName(words[1]) else { return nil }
            return .mx(preference: preference, host: host)
        case .txt: return .txt(Array(words.joined(separator: " ").utf8))
        case .cname: return DNSName(first).map { .cname($0) }
        case .tlsa:
            let numbers = words.prefix(3).compactMap { UInt8($0) }
            return .tlsa(
                TLSAData(
                    usage: numbers[0], selector: numbers[1], matchingType: numbers[2],
                    data: [UInt8](repeating: 0xAB, count: Int(words[3]) ?? 0)))
        case .ptr: return nil
        }
    }

    struct Run {
        let verdict: DeliveryPlanVerdict
        let facts: Facts
        let rounds: Int

        func asked(_ name: String, _ type: DNSRecordType) -> Bool {
            DNSName(name).map { facts.known(DNSQuestion($0, type)) != nil } ?? false
        }

        var hosts: [PlannedHost] {
            if case .hosts(let hosts) = verdict.outcome { hosts } else { [] }
        }

        var failure: DeliveryFailure? {
            if case .failed(let failure) = verdict.outcome { failure } else { nil }
        }

        var names: [String] { hosts.map { String(decoding: $0.name, as: UTF8.self) } }
    }

    func run(_ plan: DeliveryPlan) -> Run {
        var gatherer = FactGatherer()
        while true {
            switch gatherer.advance(plan, now: Instant(nanoseconds: 1)) {
            case .verdict(let verdict): return Run(verdict: verdict, facts: gatherer.facts, rounds: gatherer.rounds)
            case .ask(let questions):
                for question in questions {
                    gatherer.learn(question, answers[question] ?? DNSAnswer(status: .nxDomain, ttl: 300))
                }
            case .gaveUp:
                Issue.record("the plan asks for ever")
                return Run(
                    verdict: DeliveryPlanVerdict(outcome: .hosts([])), facts: gatherer.facts, rounds: gatherer.rounds)
            }
        }
    }

    func plan(
        _ destination: String, rules: DeliveryRules = DeliveryRules(), sts: STSVerdict = .absent,
        demand: DeliveryPlan.Demand = .ordinary, seed: UInt64 = 1
    ) -> Run {
        run(
            DeliveryPlan(destination: Array(destination.utf8), rules: rules, sts: sts, demand: demand, seed: seed))
    }
}

extension String {
    var octets: [UInt8] { Array(utf8) }
}

extension MTASTSPolicy {
    static func sample(_ mode: Mode, _ patterns: [String], maxAge: Int = 86_400) -> STSVerdict {
        let lines =
            ["version: STSv1", "mode: \(mode.rawValue)"] + patterns.map { "mx: \($0)" } + ["max_age: \(maxAge)"]
        do {
            return .policy(try MTASTSPolicy(lines.joined(separator: "\n").octets), id: "1".octets)
        } catch {
            Issue.record("the sample policy is none: \(error)")
            return .absent
        }
    }
}
