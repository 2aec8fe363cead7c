import Base
import Policy
import Protocols

/// What one session's defences have done and know. Owned by its `SMTPConnection`; bounded by `DefenseEvent.eventsMax`.
struct SessionDefense {
    /// A trusted network, or an operator's exception: no limits, no delays.
    let isExempt: Bool
    /// When the banner goes out; nil: it did.
    var bannerDue: Instant?
    var talkedEarly = false
    /// The answer that is kept back.
    var held: Held?
    /// The id under which the session's refusals are explained; drawn with the first of them.
    var id: MessageID?
    /// Of the session.
    private(set) var events: [DefenseEvent] = []
    /// Of the transaction.
    private(set) var transaction: [DefenseEvent] = []
    /// Receiving domains whose score sends the message to the junk folder.
    var junk: Set<[UInt8]> = []
    /// What the client's score was for a receiving domain.
    var scores: [[UInt8]: Int] = [:]

    struct Held {
        let ticket: Ticket
        let answer: Answer
        let since: Instant
        let until: Instant
        /// The first in line at the gate; otherwise a login.
        let isRecipient: Bool

        /// What a client gets instead that ended its side: it must not learn sooner what others wait for.
        // RFC 5321 §3.8: 421 as the answer to any command, and the connection closes. RFC 3463 §3.5: X.4.2, bad connection.
        static let abandoned = Reply(
            421, EnhancedStatus(4, 4, 2), "You ended your side before the answer, closing connection")
    }

    init(isExempt: Bool) { self.isExempt = isExempt }

    mutating func beginTransaction() {
        transaction = []
        junk = []
        scores = [:]
    }

    mutating func add(_ event: DefenseEvent) {
        if events.count < DefenseEvent.eventsMax { events.append(event) }
        if transaction.count < DefenseEvent.eventsMax { transaction.append(event) }
    }

    /// Whether anything was done that somebody may ask about.
    var hasRefused: Bool { id != nil }
}
