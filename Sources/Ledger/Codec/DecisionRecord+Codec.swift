import Base
import Policy
import Protocols

extension DecisionRecord {
    /// Most recipients kept.
    package static let recipientsMax = 100
    /// Most receiving domains kept.
    package static let verdictsMax = 100

    /// For `LedgerWriter.record`. A few microseconds; on the loop that made it. `total`: microseconds that it all took, for
    /// who does not want to copy the record to say so.
    package func encoded(total: UInt64? = nil) -> [UInt8] {
        var e = LedgerEncoder(.decision, id: id.rawValue, microseconds: time.microseconds)
        e.session(1, session)
        e.text(2, sender)
        for recipient in recipients.prefix(Self.recipientsMax) { e.recipient(3, recipient) }
        e.number(4, max(recipientCount, recipients.count))
        e.number(5, size)
        e.text(6, messageID, limit: 998)
        e.code(7, action)
        e.text(8, cause)
        e.reply(9, reply)
        e.results(10, results)
        e.flag(11, policyFacts.clientIsTrusted)
        e.text(12, dmarcMode)
        e.number(13, dice)
        e.timing(14, timing, total: total ?? timing.total)
        e.number(18, removedClaims)
        e.events(19, events)
        e.changes(20, changes)
        e.number(21, max(changeCount, changes.count))
        if let evidence { e.evidence(22, evidence) }
        for tally in failures.prefix(FailureTally.domainsMax) { e.tally(23, tally) }
        var isWhole = verdicts.count <= Self.verdictsMax && !isAbridged
        for verdict in verdicts.prefix(Self.verdictsMax) { isWhole = e.verdict(15, verdict) && isWhole }
        isWhole = e.facts(16, facts) && isWhole
        e.flag(17, !isWhole)
        return e.out
    }

    init?(_ head: LedgerHead, _ bytes: [UInt8]) {
        var d = LedgerDecoder(record: bytes)
        var action: Disposition.Action?
        var session = SessionFacts(listener: [], peer: nil)
        var reply = Reply(code: 0, enhanced: nil, text: [])
        var rest = DecisionRecord(
            id: MessageID(rawValue: head.id), time: WallTime(microseconds: head.microseconds), session: session,
            action: .accept, reply: reply)
        while let field = d.next() {
            var inner = d.group(field)
            switch field.tag {
            case 1: session = inner.session()
            case 2: rest.sender = d.text(field)
            case 3: if rest.recipients.count < Self.recipientsMax { rest.recipients.append(inner.recipient()) }
            case 4: rest.recipientCount = field.int
            case 5: rest.size = field.int
            case 6: rest.messageID = d.text(field)
            case 7: action = Disposition.Action(code: field.number)
            case 8: rest.cause = d.text(field)
            case 9: reply = inner.reply()
            case 10: rest.results = inner.results()
            case 11: rest.policyFacts.clientIsTrusted = field.flag
            case 12: rest.dmarcMode = d.text(field)
            case 13: rest.dice = field.int
            case 14: rest.timing = inner.timing()
            case 15:
                if rest.verdicts.count < Self.verdictsMax, let verdict = inner.verdict() {
                    rest.verdicts.append(verdict)
                }
            case 16: if let (question, answer) = inner.fact() { rest.facts.learn(question, answer) }
            case 17: rest.isAbridged = field.flag
            case 18: rest.removedClaims = field.int
            case 19: if rest.events.count < DefenseEvent.eventsMax { rest.events += inner.event().map { [$0] } ?? [] }
            case 20:
                if rest.changes.count < FilterChange.changesMax { rest.changes += inner.change().map { [$0] } ?? [] }
            case 21: rest.changeCount = field.int
            case 22: rest.evidence = inner.evidence()
            case 23: if rest.failures.count < FailureTally.domainsMax { rest.failures.append(inner.tally()) }
            default: break
            }
        }
        rest.evidence?.belongs(to: session)
        guard !d.isBroken, let action else { return nil }
        self = rest
        self.action = action
        self.session = session
        self.reply = reply
    }
}

extension LedgerEncoder {
    fileprivate mutating func recipient(_ tag: Int, _ recipient: DecisionRecord.Recipient) {
        group(tag) { e in
            e.text(1, recipient.address)
            e.text(2, recipient.domain)
            e.code(3, recipient.action)
            if let rule = recipient.rule { e.code(4, rule) }
            e.text(5, recipient.folder)
            if recipient.isDiscarded { e.flag(6, true) }
        }
    }

    fileprivate mutating func timing(_ tag: Int, _ timing: DecisionRecord.Timing, total: UInt64) {
        group(tag) { e in
            e.number(1, total)
            e.number(2, timing.verdict)
            e.number(3, timing.dns)
            e.number(4, timing.questions)
            e.number(5, timing.rounds)
            if timing.recipients > 0 { e.number(6, timing.recipients) }
        }
    }

    /// False when the domain's rules found no room.
    fileprivate mutating func verdict(_ tag: Int, _ verdict: DecisionRecord.Verdict) -> Bool {
        let hasRoom = out.count < LedgerBounds.policies
        group(tag) { e in
            e.text(1, verdict.domain)
            e.code(2, verdict.action)
            e.code(3, verdict.rule)
            e.text(4, verdict.reason, limit: 1_024)
            for override in verdict.overrides.prefix(LedgerBounds.list) {
                e.group(5) { e in
                    e.code(1, override.kind)
                    e.text(2, override.comment)
                }
            }
            if let reply = verdict.reply { e.reply(6, reply) }
            if hasRoom { for text in PolicyText.differences(verdict.policy) { e.text(7, text) } }
        }
        return hasRoom || PolicyText.differences(verdict.policy).isEmpty
    }
}

extension LedgerDecoder {
    fileprivate mutating func recipient() -> DecisionRecord.Recipient {
        var out = DecisionRecord.Recipient(address: [], domain: [], action: .accept)
        while let field = next() {
            switch field.tag {
            case 1: out.address = text(field)
            case 2: out.domain = text(field)
            case 3: out.action = Disposition.Action(code: field.number) ?? .accept
            case 4: out.rule = Disposition.Rule(code: field.number)
            case 5: out.folder = text(field)
            case 6: out.isDiscarded = field.flag
            default: break
            }
        }
        return out
    }

    fileprivate mutating func timing() -> DecisionRecord.Timing {
        var out = DecisionRecord.Timing()
        while let field = next() {
            switch field.tag {
            case 1: out.total = field.number
            case 2: out.verdict = field.number
            case 3: out.dns = field.number
            case 4: out.questions = field.int
            case 5: out.rounds = field.int
            case 6: out.recipients = field.number
            default: break
            }
        }
        return out
    }

    fileprivate mutating func verdict() -> DecisionRecord.Verdict? {
        var action: Disposition.Action?
        var rule: Disposition.Rule?
        var out = DecisionRecord.Verdict(domain: [], action: .accept, rule: .noObjection)
        while let field = next() {
            var inner = group(field)
            switch field.tag {
            case 1: out.domain = text(field)
            case 2: action = Disposition.Action(code: field.number)
            case 3: rule = Disposition.Rule(code: field.number)
            case 4: out.reason = text(field)
            case 5: if out.overrides.count < Self.listMax { out.overrides += inner.override().map { [$0] } ?? [] }
            case 6: out.reply = inner.reply()
            case 7: PolicyText.apply(string(field), to: &out.policy)
            default: break
            }
        }
        guard let action, let rule else { return nil }
        out.action = action
        out.rule = rule
        return out
    }

    private mutating func override() -> Disposition.Override? {
        var kind: Disposition.Override.Kind?
        var comment: [UInt8] = []
        while let field = next() {
            switch field.tag {
            case 1: kind = Disposition.Override.Kind(code: field.number)
            case 2: comment = text(field)
            default: break
            }
        }
        return kind.map { Disposition.Override(kind: $0, comment: comment) }
    }
}
