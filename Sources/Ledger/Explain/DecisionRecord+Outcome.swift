package import Policy
import Protocols

/// What became of a message in the end, whoever decided: a rule of its domain, a defence, a filter, or the store.
extension DecisionRecord {
    package enum Outcome: String, Sendable, Hashable, CaseIterable {
        case accepted
        /// Taken, and put into Junk.
        case junk
        /// Taken, and kept in the queue until an operator says what becomes of it.
        case held
        case deferred, refused
        /// Taken and thrown away.
        case discarded
        /// Taken and kept apart, unread, as poison.
        case setAside = "set_aside"
    }

    /// Of the message; `accepted` as well when its recipients fared differently.
    package var outcome: Outcome {
        if let whole { return whole }
        let all = Set(recipients.map { outcome(of: $0) })
        guard let first = all.first, all.count == 1 else { return .accepted }
        return first
    }

    package func outcome(of recipient: Recipient) -> Outcome {
        if let whole { return whole }
        if recipient.isDiscarded { return .discarded }
        if recipient.folder == Self.junk { return .junk }
        return recipient.folder == Self.held ? .held : .accepted
    }

    /// What decided of the whole message in place of the rules of its domains; nil: they did, or the event found no room.
    package var deciding: DefenseEvent? {
        guard !cause.isEmpty, let whole else { return nil }
        let fitting = events.filter { !$0.control.isPlain && Self.fits($0, whole) }
        return fitting.last { $0.reply == reply } ?? fitting.last
    }

    /// The same of what became of one recipient's copy.
    package func deciding(_ recipient: Recipient) -> DefenseEvent? {
        if whole != nil { return deciding }
        switch outcome(of: recipient) {
        case .discarded: return events.last { $0.control == .milter && $0.effect == .discarded }
        case .held: return events.last { $0.control == .milter && $0.effect == .quarantined }
        case .junk:
            // The rule's own word needs nobody else's.
            if recipient.action == .quarantine || recipient.action == .reject { return nil }
            return events.last {
                $0.effect == .quarantined && ($0.control == .milter || $0.subject == recipient.domain)
            }
        case .accepted, .deferred, .refused, .setAside: return nil
        }
    }

    /// Who decided, in one word: a control of `DefenseEvent`, or `rule`.
    package func decider(_ event: DefenseEvent?) -> String {
        if let event { return event.control.rawValue }
        guard !cause.isEmpty else { return "rule" }
        return whole == .discarded || cause.starts(with: Self.filter) ? "milter" : "store"
    }

    /// What holds for all recipients alike, nil: each has its own.
    var whole: Outcome? {
        switch action {
        case .reject: .refused
        case .postpone: .deferred
        // A message that is taken has a cause only if it is thrown away, or set aside.
        case .accept, .quarantine:
            cause.isEmpty ? nil : events.contains { $0.control == .poison } ? .setAside : .discarded
        }
    }

    private static func fits(_ event: DefenseEvent, _ outcome: Outcome) -> Bool {
        switch outcome {
        case .refused: event.effect == .refused || event.effect == .closed
        case .deferred: event.effect == .deferred || event.effect == .closed
        case .discarded: event.effect == .discarded
        case .setAside: event.control == .poison
        case .accepted, .junk, .held: false
        }
    }

    private static let junk = Array("Junk".utf8)
    private static let held = Array("Queue (held)".utf8)
    private static let filter = Array("a filter".utf8)
}
