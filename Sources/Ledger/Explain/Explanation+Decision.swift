import Base
import Policy
import Protocols

extension Explanation {
    mutating func add(_ record: DecisionRecord) {
        summary = "\(record.id.shownText): \(Self.word(record)) at \(ShownText.utc(record.time))"
        if let verdict = record.verdicts.first(where: { $0.action == record.action }) ?? record.verdicts.first {
            summary += ", rule \(verdict.rule.rawValue): \(verdict.reason.shownText)"
        } else if !record.cause.isEmpty {
            summary += ": \(record.cause.shownText)"
        }
        if let event = DefenseText.decisive(record.events), DefenseText.fits(event, record.action) {
            summary += ", \(DefenseText.summary(event))"
        }
        add("Message", Self.message(record))
        add("Recipients", Self.recipients(record))
        add("Why", record.verdicts.flatMap(Self.why))
        add("Defence", DefenseText.lines(record.events))
        add("Filters", FilterText.lines(record))
        add("Checks", CheckText.all(record))
        add("DNS", FactText.all(record))
        add("Time", Self.time(record))
        // What a user sends goes to domains that are not ours to set.
        let receiving = record.session.user.isEmpty ? record.recipients.map(\.domain) : []
        remedies += DefenseText.remedies(record.events, record.session, record.id.shownText, receiving: receiving)
        remedies += Remedies.of(record)
    }

    private static func word(_ record: DecisionRecord) -> String {
        switch record.action {
        case .accept: "accepted"
        case .quarantine: "accepted into quarantine"
        case .postpone: "deferred"
        case .reject: "refused"
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
        var out = record.recipients.map { recipient in
            var line = "\(ShownText.path(recipient.address)): \(recipient.action.rawValue)"
            if !recipient.folder.isEmpty { line += ", in \(recipient.folder.shownText)" }
            if let rule = recipient.rule { line += " (\(rule.rawValue))" }
            return line
        }
        let more = record.recipientCount - record.recipients.count
        if more > 0 { out.append("and \(more) more") }
        return out
    }

    private static func why(_ verdict: DecisionRecord.Verdict) -> [String] {
        let domain = verdict.domain.isEmpty ? "postmaster" : verdict.domain.shownText
        var out = [
            "\(domain): \(verdict.action.rawValue) by rule \(verdict.rule.rawValue): \(verdict.reason.shownText)"
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
        out.append(
            "\(timing.questions) DNS questions in \(timing.rounds) rounds, "
                + "\(ShownText.duration(timing.dns)) waited for them")
        return out
    }
}
