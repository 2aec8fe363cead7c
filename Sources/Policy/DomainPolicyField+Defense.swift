import Base
import Protocols

/// How the domain defends itself: greylisting, tarpitting, evidence about clients, filters.
extension DomainPolicyField {
    static let defense = greylisting + tarpitting + scoring + filters

    private static let greylisting: [DomainPolicyField] = [
        choice(
            "greylist", \.greylistSwitch,
            summary: "Whether mail of unknown senders is put off once (greylisting): true or false."),
        duration(
            "greylist_delay", \.defense.greylist.delaySeconds, .minutes, 5 * 60...480 * 60,
            summary: "How long a new sender waits: 5 to 480 minutes, as 15, 15m or 1h."),
        // Longer than the longest delay, or nothing would ever pass.
        duration(
            "greylist_window", \.defense.greylist.windowSeconds, .hours, 12 * 3_600...30 * 86_400,
            summary: "Who does not come back within this time starts anew: 12 hours to 30 days, as 48, 48h or 2d."),
        duration(
            "greylist_expiry", \.defense.greylist.expirySeconds, .days, 86_400...3_650 * 86_400, zero: true,
            summary:
                "How long a known sender is remembered after its last mail: 1 to 3650 days, as 36 or 36d; 0: for ever."
        ),
        choice(
            "greylist_early_retry_reply", \.defense.greylist.earlyReply,
            summary: "What one who comes back too early is told: 450 (try later) or 421 (and the connection is closed)."
        ),
        domains(
            "greylist_skip_domains", \.defense.greylist.skipDomains,
            summary: "Sender domains that are never greylisted when SPF proves them (up to 100), or none."),
        optionalNumber(
            "greylist_skip_score", \.defense.greylist.skipScore, weights,
            summary: "Clients whose score is at most this are not greylisted (-100 to 100); none: all are."),
    ]

    private static let tarpitting: [DomainPolicyField] = [
        choice(
            "tarpit", \.tarpitSwitch,
            summary: "Whether clients that keep failing get their answers later (tarpitting): true or false."),
        duration(
            "tarpit_max_delay", \.defense.tarpit.maxSeconds, .seconds, 1...30,
            summary: "The longest such delay of one answer: 1 to 30 seconds, as 8 or 8s."),
        blocks(
            "tarpit_allow", \.defense.tarpit.allow,
            summary: "Clients that are never slowed: addresses and blocks as 192.0.2.0/24 (up to 100), or none."),
    ]

    private static let scoring: [DomainPolicyField] = [
        lists(
            "lists", \.defense.score.lists,
            summary: """
                DNS lists and what an entry counts, as zone=5 or zone:2-3,10=4 for those answers of 127.0.x.2 alone; \
                welcome lists count less than 0 (up to 32, -100 to 100 each), or none.
                """),
        number(
            "score_reverse", \.defense.score.reverseWeight, weights,
            summary: "What it counts when no reverse name leads back to the client: -100 to 100."),
        number(
            "score_helo", \.defense.score.heloWeight, weights,
            summary: "What it counts when HELO is no name, or our own, or another address: -100 to 100."),
        number(
            "score_early_talker", \.defense.score.earlyTalkerWeight, weights,
            summary: "What it counts when the client spoke before the banner: -100 to 100."),
        number(
            "score_reject", \.defense.score.rejectAt, 0...1_000,
            summary: "Clients whose score is at least this are refused (550): 1 to 1000; 0: none are."),
        number(
            "score_quarantine", \.defense.score.quarantineAt, 0...1_000,
            summary: "Mail of clients whose score is at least this goes to Junk: 1 to 1000; 0: none does."),
    ]

    private static let filters = [
        DomainPolicyField(
            name: "milters",
            summary: "Which mail filters of the listener look at mail for the domain: all, none, or their names.",
            defaultText: "all", read: { DefenseText.filters($0.defense.milters) },
            write: { policy, text in
                guard let value = DefenseText.filters(text) else { return false }
                policy.defense.milters = value
                return true
            })
    ]

    private static let weights = -100...100

    private static func number(
        _ name: String, _ path: any WritableKeyPath<DomainPolicy, Int> & Sendable, _ range: ClosedRange<Int>,
        summary: String
    ) -> DomainPolicyField {
        DomainPolicyField(
            name: name, summary: summary, defaultText: "\(DomainPolicy()[keyPath: path])",
            read: { "\($0[keyPath: path])" },
            write: { policy, text in
                guard let n = DefenseText.integer(text), range.contains(n) else { return false }
                policy[keyPath: path] = n
                return true
            })
    }

    private static func optionalNumber(
        _ name: String, _ path: any WritableKeyPath<DomainPolicy, Int?> & Sendable, _ range: ClosedRange<Int>,
        summary: String
    ) -> DomainPolicyField {
        let read: @Sendable (DomainPolicy) -> String = { $0[keyPath: path].map { "\($0)" } ?? "none" }
        return DomainPolicyField(
            name: name, summary: summary, defaultText: read(DomainPolicy()), read: read,
            write: { policy, text in
                if text == "none" {
                    policy[keyPath: path] = nil
                    return true
                }
                guard let n = DefenseText.integer(text), range.contains(n) else { return false }
                policy[keyPath: path] = n
                return true
            })
    }

    /// A number without a unit counts `unit`.
    private static func duration(
        _ name: String, _ path: any WritableKeyPath<DomainPolicy, Int> & Sendable, _ unit: DefenseText.Unit,
        _ range: ClosedRange<Int>, zero: Bool = false, summary: String
    ) -> DomainPolicyField {
        let read: @Sendable (DomainPolicy) -> String = { DefenseText.duration($0[keyPath: path]) }
        return DomainPolicyField(
            name: name, summary: summary, defaultText: read(DomainPolicy()), read: read,
            write: { policy, text in
                guard let n = DefenseText.duration(text, unit), range.contains(n) || (zero && n == 0) else {
                    return false
                }
                policy[keyPath: path] = n
                return true
            })
    }

    private static func blocks(
        _ name: String, _ path: any WritableKeyPath<DomainPolicy, [AddressBlock]> & Sendable, summary: String
    ) -> DomainPolicyField {
        DomainPolicyField(
            name: name, summary: summary, defaultText: "none",
            read: { policy in
                let list = policy[keyPath: path]
                return list.isEmpty ? "none" : list.map(\.description).joined(separator: ",")
            },
            write: { policy, text in
                guard let list = DefenseText.blocks(text) else { return false }
                policy[keyPath: path] = list
                return true
            })
    }

    private static func lists(
        _ name: String, _ path: any WritableKeyPath<DomainPolicy, [DomainDefense.DNSList]> & Sendable, summary: String
    ) -> DomainPolicyField {
        DomainPolicyField(
            name: name, summary: summary, defaultText: "none",
            read: { policy in
                let lists = policy[keyPath: path]
                return lists.isEmpty ? "none" : lists.map(\.description).joined(separator: ",")
            },
            write: { policy, text in
                guard let lists = try? DomainDefense.DNSList.parse(text) else { return false }
                policy[keyPath: path] = lists
                return true
            },
            part: { text in
                do throws(DomainDefense.DNSList.Fault) {
                    _ = try DomainDefense.DNSList.parse(text)
                    return nil
                } catch {
                    return error.description
                }
            })
    }
}

/// Texts that the fields of a defence are read from and written as.
private enum DefenseText {
    enum Unit: Int {
        case seconds = 1
        case minutes = 60
        case hours = 3_600
        case days = 86_400
    }

    /// One digit to four, with a sign or without.
    static func integer(_ text: String) -> Int? {
        var digits = Array(text.utf8.prefix(6))
        let isNegative = digits.first == ASCII.hyphen
        if isNegative || digits.first == ASCII.plus { digits.removeFirst() }
        guard digits.count <= 4, let n = Decimal.parse(digits.span) else { return nil }
        return isNegative ? -Int(n) : Int(n)
    }

    static func duration(_ text: String, _ unit: Unit) -> Int? {
        var digits = Array(text.utf8.prefix(12))
        var factor = unit.rawValue
        if let last = digits.last, let named = seconds(of: last) {
            factor = named
            digits.removeLast()
        }
        // At most 99,999,999 weeks.
        guard digits.count <= 8, let n = Decimal.parse(digits.span) else { return nil }
        return Int(n) * factor
    }

    /// In the largest unit that leaves no rest, so that it can be read without knowing which is meant.
    static func duration(_ n: Int) -> String {
        if n == 0 { return "0" }
        for (name, factor) in [("d", 86_400), ("h", 3_600), ("m", 60)] where n % factor == 0 {
            return "\(n / factor)\(name)"
        }
        return "\(n)s"
    }

    private static func seconds(of unit: UInt8) -> Int? {
        switch unit {
        case UInt8(ascii: "s"): 1
        case UInt8(ascii: "m"): 60
        case UInt8(ascii: "h"): 3_600
        case UInt8(ascii: "d"): 86_400
        case UInt8(ascii: "w"): 604_800
        default: nil
        }
    }

    static func blocks(_ text: String) -> [AddressBlock]? {
        if text == "none" { return [] }
        var out: [AddressBlock] = []
        for part in text.utf8.split(separator: ASCII.comma, omittingEmptySubsequences: false) {
            let word = SettingText.trimmed(part)
            guard word.count <= 64, let block = String(validating: word, as: UTF8.self).flatMap({ AddressBlock($0) }),
                out.count < DomainPolicy.domainsMax
            else { return nil }
            if !out.contains(block) { out.append(block) }
        }
        return out
    }

    static func filters(_ value: DomainDefense.Milters) -> String {
        switch value {
        case .all: return "all"
        case .off: return "none"
        case .named(let names): return names.isEmpty ? "none" : names.map(\.escapedText).joined(separator: ",")
        }
    }

    static func filters(_ text: String) -> DomainDefense.Milters? {
        if text == "all" { return .all }
        if text == "none" { return .off }
        var names: [[UInt8]] = []
        for part in text.utf8.split(separator: ASCII.comma, omittingEmptySubsequences: false) {
            let name = SettingText.trimmed(part)
            let isName = name.allSatisfy { ASCII.isAlphanumeric($0) || "-_.".utf8.contains($0) }
            guard isName, (1...DomainDefense.Milters.nameOctetsMax).contains(name.count),
                !"all".utf8.elementsEqual(name), !"none".utf8.elementsEqual(name),
                names.count < DomainDefense.Milters.namesMax
            else { return nil }
            if !names.contains(name) { names.append(name) }
        }
        return .named(names)
    }
}

extension DomainDefense.Milters {
    package static let namesMax = 32
    package static let nameOctetsMax = 64
}

extension DomainPolicy {
    fileprivate var greylistSwitch: Switch {
        get { defense.greylist.isOn ? .on : .off }
        set { defense.greylist.isOn = newValue == .on }
    }

    fileprivate var tarpitSwitch: Switch {
        get { defense.tarpit.isOn ? .on : .off }
        set { defense.tarpit.isOn = newValue == .on }
    }
}
