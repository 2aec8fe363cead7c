import Policy
package import Protocols

/// What defences did, line by line, and what an operator can set or release.
enum DefenseText {
    static func lines(_ events: [DefenseEvent]) -> [String] { events.flatMap(lines) }

    private static func lines(_ event: DefenseEvent) -> [String] {
        var line = "\(ShownText.duration(event.afterMicroseconds)) \(event.control.rawValue) \(event.effect.rawValue)"
        if !event.subject.isEmpty { line += " \(ShownText.path(event.subject))" }
        if !event.detail.isEmpty { line += ": \(event.detail.shownText)" }
        var out = [line]
        if let reply = event.reply { out.append("  reply: \(ShownText.reply(reply))") }
        return out
    }

    /// The event that decided what became of a session: the last one by which the client lost something, a defence's
    /// before any other; of plain rules the one that ended the session, and none that only follows from another.
    static func decisive(_ events: [DefenseEvent]) -> DefenseEvent? {
        if let event = events.last(where: { $0.effect.isLoss && !$0.control.isPlain }) { return event }
        let plain = events.indices.filter { events[$0].effect.isLoss && !DefenseRemedies.follows($0, in: events) }
        let last = plain.last { events[$0].effect == .closed } ?? plain.last
        return last.map { events[$0] } ?? events.last { $0.effect.isLoss }
    }

    /// `deferred by greylist: a new sender, …`
    static func summary(_ event: DefenseEvent) -> String {
        let detail = event.detail.isEmpty ? "" : ": \(event.detail.shownText)"
        return "\(event.effect.rawValue) by \(event.control.rawValue)\(detail)"
    }
}

extension ConnectionRecord {
    /// The reply that decided; of a record without such an event, the last that refused something.
    package var decidingReply: Reply? { DefenseText.decisive(events)?.reply ?? reply }
}
