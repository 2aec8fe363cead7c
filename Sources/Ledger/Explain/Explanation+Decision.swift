import Base
import Policy
import Protocols

extension Explanation {
    mutating func add(_ record: DecisionRecord) {
        summary = "\(record.id.shownText): \(Self.word(record)) at \(ShownText.utc(record.time))" + Self.because(record)
        add("Message", Self.message(record))
        add("Recipients", Self.recipients(record))
        add("Why", Self.decided(record) + record.verdicts.flatMap { Self.why($0, record) })
        add("Defence", DefenseText.lines(record.events))
        add("Filters", FilterText.lines(record))
        add("Checks", CheckText.all(record))
        add("DNS", FactText.all(record))
        add("Time", Self.time(record))
        remedies += DefenseRemedies(record).of(record.events)
        remedies += Remedies.of(record)
    }

    private static func word(_ record: DecisionRecord) -> String {
        switch record.outcome {
        case .accepted:
            record.recipients.contains { record.outcome(of: $0) == .junk } ? "accepted, in part into Junk" : "accepted"
        case .junk: "accepted into Junk"
        case .held: "accepted and held in the queue"
        case .deferred: "deferred"
        case .refused: "refused"
        case .discarded: "accepted and discarded"
        case .setAside: "accepted and set aside"
        }
    }

    /// The rule, or what decided in its place.
    private static func because(_ record: DecisionRecord) -> String {
        if !record.cause.isEmpty { return ", " + cause(record) }
        var out = ""
        let decisions = record.recipients.map { record.deciding($0) }
        if let event = decisions.lazy.compactMap({ $0 }).first { out += ", \(DefenseText.summary(event))" }
        // Where the same decided of all recipients, rules had no part in it.
        if !decisions.isEmpty, decisions.allSatisfy({ $0 != nil }) { return out }
        if let verdict = record.verdicts.first(where: { $0.action == record.action }) ?? record.verdicts.first {
            out = ", rule \(verdict.rule.rawValue): \(verdict.reason.shownText)" + out
        }
        return out
    }

    /// `refused by milter: filter x refuses`
    private static func cause(_ record: DecisionRecord) -> String {
        record.deciding.map(DefenseText.summary)
            ?? "\(record.outcome.rawValue) by \(record.decider(nil)): \(record.cause.shownText)"
    }

    /// What decided in place of the rules.
    private static func decided(_ record: DecisionRecord) -> [String] {
        if !record.cause.isEmpty { return [cause(record)] }
        var seen: Set<String> = []
        return record.recipients.compactMap { record.deciding($0).map(DefenseText.summary) }.filter {
            seen.insert($0).inserted
        }
    }

    private static func message(_ record: DecisionRecord) -> [String] {
        var out = ["from: \(ShownText.path(record.sender)), \(record.size) octets"]
        if let author = record.results.dmarc?.author, !author.isEmpty {
            out.append("author domain: \(author.shownText)")
        }
        if !record.messageID.isEmpty { out.append("Message-ID: \(record.messageID.shownText)") }
        out += who(record.session)
        out.append("reply: \(ShownText.reply(record.reply))")
        return out
    }

    private static func recipients(_ record: DecisionRecord) -> [String] {
        var out = record.recipients.map { "\(ShownText.path($0.address)): \(fate($0, record))" }
        let more = record.recipientCount - record.recipients.count
        if more > 0 { out.append("and \(more) more") }
        return out
    }

    /// `accept, in Inbox (no_objection)`; `refused by milter: filter x refuses`
    private static func fate(_ recipient: DecisionRecord.Recipient, _ record: DecisionRecord) -> String {
        if !record.cause.isEmpty { return cause(record) }
        let event = record.deciding(recipient).map(DefenseText.summary)
        let folder = recipient.folder.isEmpty ? "" : ", in \(recipient.folder.shownText)"
        switch record.outcome(of: recipient) {
        case .discarded: return event ?? "discarded by milter"
        case .deferred where recipient.action != .postpone, .refused where recipient.action != .reject:
            return "\(record.outcome.rawValue) with the message, for the sake of another recipient's domain"
        case .accepted, .junk, .held, .deferred, .refused, .setAside:
            let rule = recipient.rule.map { " (\($0.rawValue))" } ?? ""
            return "\(recipient.action.rawValue)\(folder)" + (event.map { ", \($0)" } ?? rule)
        }
    }

    private static func why(_ verdict: DecisionRecord.Verdict, _ record: DecisionRecord) -> [String] {
        let domain = verdict.domain.isEmpty ? "postmaster" : verdict.domain.shownText
        let isOverruled =
            !record.cause.isEmpty
            || record.recipients.contains { $0.domain == verdict.domain && record.deciding($0) != nil }
        var out = [
            "\(domain): " + (isOverruled ? "without that " : "")
                + "\(verdict.action.rawValue) by rule \(verdict.rule.rawValue): \(verdict.reason.shownText)"
        ]
        for override in verdict.overrides {
            out.append("  set aside (\(override.kind.rawValue)): \(override.comment.shownText)")
        }
        for name in settings(of: verdict.rule) {
            guard let field = DomainPolicyField.named(name) else { continue }
            let value = field.read(verdict.policy)
            out.append("  setting: \(name)=\(value)" + (value == field.defaultText ? " (default)" : ""))
        }
        return out
    }

    /// The settings of a domain that a rule looks at.
    static func settings(of rule: Disposition.Rule) -> [String] {
        switch rule {
        case .noObjection, .trustedClient, .dmarcPass: []
        case .brokenFrom: ["broken_from"]
        case .spfFail: ["spf_fail", "trusted_forwarders"]
        case .spfTemporary: ["spf_fail", "dmarc_temperror"]
        case .dmarcPolicy: ["dmarc_enforce", "dmarc_exempt", "trusted_forwarders", "trusted_arc_sealers"]
        case .dmarcTemporary: ["dmarc_enforce", "dmarc_temperror"]
        }
    }

    private static func time(_ record: DecisionRecord) -> [String] {
        let timing = record.timing
        var out = [
            "\(ShownText.duration(timing.total)) in all, \(ShownText.duration(timing.verdict)) from the final dot to "
                + "the verdict"
        ]
        if timing.recipients > 0 {
            out.append("\(ShownText.duration(timing.recipients)) before it, recipients waited for DNS")
        }
        out.append(
            "\(timing.questions) DNS questions in \(timing.rounds) rounds, "
                + "\(ShownText.duration(timing.dns)) waited for them")
        return out
    }
}
