import Base
package import Protocols

/// What the evidence about a client adds up to for one receiving domain, and what follows. Pure; made at RCPT, shown by
/// `explain` and in the refusal. At most one line for each list of the domain, and three.
package struct ClientScore: Sendable, Hashable {
    package enum Decision: String, Sendable, Hashable, CaseIterable { case accept, quarantine, reject }

    /// One piece of evidence. Points 0: noted, but it counts nothing.
    package struct Line: Sendable, Hashable {
        package let points: Int
        package let text: String
    }

    package let total: Int
    package let lines: [Line]
    package let decision: Decision
    /// Of a refusal; the caller puts the id behind it.
    package let reply: Reply?
    private let thresholds: String

    private static let detailMax = 600
    private static let namedMax = 4

    /// `isExempt`: the recipient takes mail of everybody.
    // RFC 5321 §4.5.1
    package init(_ evidence: ClientEvidence, _ policy: DomainDefense.Score, isExempt: Bool = false) {
        let lines = Self.lines(evidence, policy)
        let total = lines.reduce(0) { $0 + $1.points }
        self.lines = lines
        self.total = total
        let decision = Self.decide(total, policy)
        self.decision = isExempt ? .accept : decision
        reply = self.decision == .reject ? Self.reply(evidence, policy, lines) : nil
        thresholds = Self.thresholds(policy, isExempt && decision != .accept)
    }

    package static func decide(_ total: Int, _ policy: DomainDefense.Score) -> Decision {
        if policy.rejectAt > 0, total >= policy.rejectAt { return .reject }
        return policy.quarantineAt > 0 && total >= policy.quarantineAt ? .quarantine : .accept
    }

    // MARK: Evidence

    private static func lines(_ evidence: ClientEvidence, _ policy: DomainDefense.Score) -> [Line] {
        var lines: [Line] = []
        for list in policy.lists {
            guard let finding = evidence.lists.first(where: { $0.zone == list.zone }) else { continue }
            if let line = line(list, finding) { lines.append(line) }
        }
        if let line = reverse(evidence.reverse, policy.reverseWeight) { lines.append(line) }
        if let helo = evidence.helo, helo.counts, policy.heloWeight != 0 {
            lines.append(Line(points: policy.heloWeight, text: "HELO \(evidence.heloName.shown) is \(helo.phrase)"))
        }
        if evidence.spokeEarly, policy.earlyTalkerWeight != 0 {
            lines.append(Line(points: policy.earlyTalkerWeight, text: "it spoke before the banner"))
        }
        return lines
    }

    private static func line(_ list: DomainDefense.DNSList, _ finding: DNSListFinding) -> Line? {
        let zone = list.zone.shown
        switch finding.outcome {
        case .listed:
            let answers = finding.answers.prefix(namedMax).map(\.description).joined(separator: " ")
            if list.matches(finding) { return Line(points: list.weight, text: "listed by \(zone) (\(answers))") }
            return Line(points: 0, text: "\(zone) answers \(answers), which is not counted")
        case .notListed: return nil
        case .unanswered: return Line(points: 0, text: "\(zone) did not answer")
        case .declined: return Line(points: 0, text: "\(zone) will not answer our resolver")
        case .broken: return Line(points: 0, text: "\(zone) answers as no list does")
        }
    }

    private static func reverse(_ result: AuthResult?, _ weight: Int) -> Line? {
        guard let result, weight != 0 else { return nil }
        switch result {
        case .fail, .permerror: return Line(points: weight, text: "no reverse name leads back to it")
        case .temperror: return Line(points: 0, text: "its reverse name could not be looked up")
        case .pass, .absent, .softfail, .neutral, .policy: return nil
        }
    }

    // MARK: Words

    /// Names what counted against the client, and what the first such list says of it.
    private static func reply(
        _ evidence: ClientEvidence, _ policy: DomainDefense.Score, _ lines: [Line]
    ) -> Reply {
        let hits = policy.lists.filter { list in list.weight > 0 && evidence.lists.contains { list.matches($0) } }
        var zones: [String] = []
        for list in hits.sorted(by: { $0.weight > $1.weight }) where !zones.contains(list.zone.shown) {
            zones.append(list.zone.shown)
        }
        var reasons = lines.filter { $0.points > 0 && !$0.text.hasPrefix("listed by ") }.map(\.text)
        if !zones.isEmpty { reasons.insert("listed by " + zones.prefix(namedMax).joined(separator: ", "), at: 0) }
        var text = "Mail from \(evidence.address) is refused: "
        text += String(reasons.joined(separator: "; ").unicodeScalars.prefix(300))
        let said = zones.prefix(namedMax).compactMap { zone in
            evidence.lists.first { $0.zone.shown == zone && !$0.text.isEmpty }.map { "\(zone): \($0.text.shown)" }
        }
        if let first = said.first { text = text + "\n" + first }
        return Reply(550, EnhancedStatus(5, 7, 1), text)
    }

    private static func thresholds(_ policy: DomainDefense.Score, _ isExempt: Bool) -> String {
        if isExempt { return "this recipient takes mail of everybody" }
        let parts = [
            policy.quarantineAt > 0 ? "Junk from \(policy.quarantineAt)" : "",
            policy.rejectAt > 0 ? "refused from \(policy.rejectAt)" : "",
        ]
        let text = parts.filter { !$0.isEmpty }.joined(separator: ", ")
        return text.isEmpty ? "decides nothing" : text
    }

    /// The figures: `score 6 (Junk from 6, refused from 8): +5 listed by zen.example (127.0.0.2); +1 …`.
    package var detail: String {
        let words = lines.map { ($0.points > 0 ? "+\($0.points) " : $0.points < 0 ? "\($0.points) " : "") + $0.text }
        let all = "score \(total) (\(thresholds))" + (words.isEmpty ? "" : ": " + words.joined(separator: "; "))
        return String(all.unicodeScalars.prefix(Self.detailMax))
    }

    /// For the ledger; nil when there is nothing to tell.
    package func event(subject: [UInt8], reply: Reply? = nil, afterMicroseconds: UInt64 = 0) -> DefenseEvent? {
        if lines.isEmpty { return nil }
        let effect: DefenseEvent.Effect =
            switch decision {
            case .reject: .refused
            case .quarantine: .quarantined
            case .accept: .noted
            }
        var event = DefenseEvent(
            .score, effect, subject: subject, detail: detail, reply: reply ?? self.reply,
            afterMicroseconds: afterMicroseconds)
        event.figures = .score(total)
        return event
    }
}

extension HELOFinding {
    fileprivate var phrase: String {
        switch self {
        case .good: "a name"
        case .noDomain: "no domain name"
        case .malformed: "no name at all"
        case .bareAddress: "an address without brackets"
        case .otherAddress: "another address"
        case .ours: "our own name"
        }
    }
}

extension [UInt8] {
    /// What can stand in a reply: everything but printable ASCII as a question mark, at most 255 octets.
    fileprivate var shown: String {
        var out = String.UnicodeScalarView()
        for c in prefix(255) { out.append(Unicode.Scalar(ASCII.isPrintable(c) ? c : 0x3F)) }
        return String(out)
    }
}
