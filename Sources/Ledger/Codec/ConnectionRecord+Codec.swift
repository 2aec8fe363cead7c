import Base
import Policy
import Protocols

extension ConnectionRecord {
    /// For `LedgerWriter.record`.
    package func encoded() -> [UInt8] {
        var e = LedgerEncoder(.connection, id: id.rawValue, microseconds: time.microseconds)
        e.session(1, session)
        e.text(2, reason)
        if let reply { e.reply(3, reply) }
        e.number(4, commands)
        e.number(5, rejectedCommands)
        e.number(6, refusedRecipients)
        e.number(7, elapsedMicroseconds)
        if let iprev { e.iprev(8, iprev) }
        e.events(9, events)
        if connections != 1 { e.number(10, connections) }
        if !network.isEmpty { e.text(11, network) }
        if let evidence { e.evidence(12, evidence) }
        for tally in failures.prefix(FailureTally.domainsMax) { e.tally(13, tally) }
        for rules in rules.prefix(Self.rulesMax) { e.rules(14, rules) }
        if eventCount > 0 { e.number(15, eventCount) }
        return e.out
    }

    init?(_ head: LedgerHead, _ bytes: [UInt8]) {
        var d = LedgerDecoder(record: bytes)
        self.init(
            id: MessageID(rawValue: head.id), time: WallTime(microseconds: head.microseconds),
            session: SessionFacts(listener: [], peer: nil), reason: [])
        while let field = d.next() {
            var inner = d.group(field)
            switch field.tag {
            case 1: session = inner.session()
            case 2: reason = d.text(field)
            case 3: reply = inner.reply()
            case 4: commands = field.int
            case 5: rejectedCommands = field.int
            case 6: refusedRecipients = field.int
            case 7: elapsedMicroseconds = field.number
            case 8: iprev = inner.iprev()
            case 9: if events.count < DefenseEvent.eventsMax { events += inner.event().map { [$0] } ?? [] }
            case 10: connections = field.int
            case 11: network = d.text(field)
            case 12: evidence = inner.evidence()
            case 13: if failures.count < FailureTally.domainsMax { failures.append(inner.tally()) }
            case 14: if rules.count < Self.rulesMax { rules.append(inner.rules()) }
            case 15: eventCount = field.int
            default: break
            }
        }
        evidence?.belongs(to: session)
        if d.isBroken { return nil }
    }
}
