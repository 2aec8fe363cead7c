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
    /// The id under which the session's refusals are explained.
    let id: MessageID
    /// A client was told of it, so somebody may ask.
    var hasRefused = false
    /// Of the session.
    private(set) var events: [DefenseEvent] = []
    /// How many events there were, kept or not.
    private(set) var eventCount = 0
    /// Of the transaction.
    private(set) var transaction: [DefenseEvent] = []
    /// Microseconds that recipients of the transaction waited for DNS.
    var recipientWait: UInt64 = 0
    /// Receiving domains whose score sends the message to the junk folder.
    var junk: Set<[UInt8]> = []
    /// What the client's score was for a receiving domain.
    var scores: [[UInt8]: Int] = [:]

    /// What was found out about the client for the receiving domains that wanted it; nil: none did.
    private(set) var evidence: ClientEvidence?
    /// Failures that no record has yet; at most `FailureTally.domainsMax`.
    private(set) var failures: [FailureTally] = []
    /// Of the client, before the last failure.
    private(set) var lastFailuresBefore = 0
    private var lastTally: Int?

    /// What the session has to say waits.
    var holdsOutput: Bool {
        guard let held, case .output = held.what else { return false }
        return true
    }

    /// How long the recipients of a message wait for lists in DNS, both for their answers and the words of those that list
    /// the client. Beyond it they are no evidence: a list that is down must not hold up mail.
    static let listsSeconds = 5.0
    /// What is left of it for the message.
    private var listsLeft = listsSeconds
    /// nil: they are not waited for.
    private var listsSince: Instant?
    private var listQuestions: [DNSQuestion] = []

    /// When that is over; nil: they are not waited for.
    var listsDue: Instant? { listsSince?.advanced(bySeconds: listsLeft) }

    /// Bounded by the zones of the domains that are asked for; see `DomainDefense.DNSList.countMax`.
    mutating func waitForLists(_ questions: [DNSQuestion], from now: Instant) {
        listsSince = listsSince ?? now
        listQuestions += questions
    }

    /// The wait is over, with answers or without; what was asked in it.
    @discardableResult
    mutating func endListWait(_ now: Instant) -> [DNSQuestion] {
        guard let since = listsSince else { return [] }
        listsLeft = max(0, listsLeft - now.seconds(since: since))
        listsSince = nil
        defer { listQuestions = [] }
        return listQuestions
    }

    struct Held {
        let what: What
        let since: Instant
        let until: Instant

        enum What {
            /// The answer to the first in line at the gate.
            case recipient(Ticket, Answer)
            case login(Ticket, Answer)
            /// The replies to bad commands, and those before them that go out with them.
            case output
        }

        /// What a client gets instead that ended its side: it must not learn sooner what others wait for.
        // RFC 5321 §3.8: 421 as the answer to any command, and the connection closes. RFC 3463 §3.5: X.4.2, bad connection.
        static let abandoned = Reply(
            421, EnhancedStatus(4, 4, 2), "You ended your side before the answer, closing connection")
    }

    init(id: MessageID, isExempt: Bool) {
        self.id = id
        self.isExempt = isExempt
    }

    mutating func beginTransaction() {
        transaction = []
        recipientWait = 0
        junk = []
        scores = [:]
        listsLeft = Self.listsSeconds
        guard listsSince != nil else { return }
        listsSince = nil
        listQuestions = []
    }

    mutating func add(_ event: DefenseEvent) {
        eventCount += 1
        Self.add(event, to: &events)
        Self.add(event, to: &transaction)
    }

    /// What ends the session, or what a defence refuses last, takes the place of another where there is no room.
    private static func add(_ event: DefenseEvent, to events: inout [DefenseEvent]) {
        let isPlain = event.control.isPlain
        let plain = isPlain ? events.lazy.filter { $0.control.isPlain }.count : 0
        if events.count < DefenseEvent.eventsMax, plain < DefenseEvent.plainEventsMax { return events.append(event) }
        guard event.effect == .closed || !isPlain && event.effect.isLoss else { return }
        events.remove(at: events.lastIndex { isPlain ? $0.control.isPlain : true } ?? events.count - 1)
        events.append(event)
    }

    mutating func add(_ found: ClientEvidence) {
        if evidence == nil { evidence = found } else { evidence?.merge(found) }
    }

    /// Beyond the bound, domains are not told apart any more but left out.
    mutating func addFailure(_ domain: [UInt8], before: Int) {
        lastFailuresBefore = before
        lastTally = failures.firstIndex { $0.domain == domain }
        if lastTally == nil, failures.count < FailureTally.domainsMax {
            failures.append(FailureTally(domain: domain))
            lastTally = failures.count - 1
        }
        if let lastTally { failures[lastTally].count(failuresBefore: before) }
    }

    /// The answer to the last failure was held so long.
    mutating func addHeld(seconds: Int) { if let lastTally { failures[lastTally].heldSeconds += seconds } }

    /// For a message's record: what comes later is for another.
    mutating func takeFailures() -> [FailureTally] {
        guard !failures.isEmpty else { return [] }
        defer {
            failures = []
            lastTally = nil
        }
        return failures
    }
}
