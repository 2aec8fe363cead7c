import Base
package import Policy
import Protocols

// What defences did, as one group for each event. Controls and effects are numbered by their place here: only append.

extension DefenseEvent.Control: LedgerCoded {
    package static let ledgerCodes: [DefenseEvent.Control] = [
        .limit, .greylist, .tarpit, .score, .milter, .pressure, .poison, .proxy, .directory, .protocol, .login, .store,
        .rate,
    ]
}

extension DefenseEvent.Effect: LedgerCoded {
    package static let ledgerCodes: [DefenseEvent.Effect] = [
        .noted, .passed, .slowed, .deferred, .refused, .closed, .quarantined, .discarded, .modified,
    ]
}

extension LedgerEncoder {
    /// The first `DefenseEvent.eventsMax` of them.
    mutating func events(_ tag: Int, _ events: [DefenseEvent]) {
        for event in events.prefix(DefenseEvent.eventsMax) {
            group(tag) { e in
                e.code(1, event.control)
                e.code(2, event.effect)
                e.text(3, event.subject)
                e.text(4, event.detail, limit: 1_024)
                if let reply = event.reply { e.reply(5, reply) }
                e.number(6, event.afterMicroseconds)
                if let figures = event.figures { e.figures(7, figures) }
            }
        }
    }
}

extension LedgerDecoder {
    /// nil: a control or an effect that this version does not know.
    mutating func event() -> DefenseEvent? {
        var control: DefenseEvent.Control?
        var effect: DefenseEvent.Effect?
        var subject: [UInt8] = []
        var detail: [UInt8] = []
        var reply: Reply?
        var after: UInt64 = 0
        var figures: DefenseFigures?
        while let field = next() {
            var inner = group(field)
            switch field.tag {
            case 1: control = DefenseEvent.Control(code: field.number)
            case 2: effect = DefenseEvent.Effect(code: field.number)
            case 3: subject = text(field)
            case 4: detail = text(field)
            case 5: reply = inner.reply()
            case 6: after = field.number
            case 7: figures = inner.figures()
            default: break
            }
        }
        guard let control, let effect else { return nil }
        var out = DefenseEvent(control, effect, subject: subject, detail: "", reply: reply, afterMicroseconds: after)
        out.detail = detail
        out.figures = figures
        return out
    }
}
