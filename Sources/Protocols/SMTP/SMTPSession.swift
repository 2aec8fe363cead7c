package import Base

/// The SMTP receiver: bytes in, effects and reply bytes out. Pure: no clock, no socket, no randomness.
///
/// A driver owns it, one per connection, on one thread. Its turn is:
///
///     repeat { n = receive(unread, body: &sink); drop n; while let e = nextEffect() { … } } while n > 0
///     write(takeOutput())
///
/// `receive` stops (returns less than it got) for a line that is not whole, for an answer it needs, at STARTTLS, at the
/// close, and when `outputIsFull`. After `resume` call `receive` again with what is left. Memory is bounded by
/// `SMTPLimits`; between transactions a session holds little more than the name of the client.
package struct SMTPSession: ~Copyable {
    enum Phase: UInt8 { case greeting, command, discardingLine, authResponse, data, chunk, handshake, closed }
    enum Waiting {
        case nothing
        case sender(Ticket)
        case verify(Ticket)
        case unknown(Ticket, isKnown: Bool)
        case authenticate(Ticket)
        case submit(Ticket)
    }

    let configuration: SMTPSessionConfiguration
    package let peer: SMTPPeer
    /// When the connection was opened.
    package let openedAt: Instant
    /// What the session's own refusals end with; nil: nothing. Set before the first octet. An answer of the driver's that
    /// refuses carries the id the driver gave it.
    package var refusalID: MessageID?

    var phase = Phase.greeting
    var waiting = Waiting.nothing
    var blockedOnRecipients = false
    var greeted = false
    var isESMTP = false
    var hadCommand = false
    var tls: TLSFacts?
    var helo: [UInt8] = []
    /// The last MAIL was refused: what was pipelined behind it fails, too.
    var mailRefused = false
    var identity: [UInt8]?
    var sasl = SASLExchange.idle
    var transaction: Transaction?
    var chunk = BDATCounter()
    var queue = ReplyQueue()
    var output: [UInt8] = []
    var effects: [Effect] = []
    var effectIndex = 0
    var lastTicket: UInt64 = 0
    /// Unconsumed octets known to hold no LF: a line fed drop by drop costs its length once.
    var scanned = 0
    var discarded = 0
    var discardEndsWithCR = false
    /// The command whose reply is due next; recipients in question count by themselves.
    var running: Verb?
    var outcomes = CommandOutcomes()
    var refusals = SessionRefusals()
    var errorWeight = 0
    var authFailures = 0
    /// The driver wants to be asked about commands that are none; see `Question.unknown`.
    package var asksAboutUnknown = false
    var messageCount = 0
    /// How many replies the end of the message gets; in SMTP one.
    var repliesOwed = 1
    /// What single recipients of it came to by themselves; empty: all share the message's fate.
    var ownReplies: [Reply?] = []

    package init(configuration: SMTPSessionConfiguration, peer: SMTPPeer, now: Instant) {
        self.configuration = configuration
        self.peer = peer
        openedAt = now
    }

    /// Queues the banner: the connection is open, or TLS is done on an implicit-TLS listener (`secured` came first).
    package mutating func start() {
        guard phase == .greeting else { return }
        output.append(contentsOf: configuration.banner)
        phase = .command
    }

    /// Consumes what it can and says how many octets that was. See the type's comment.
    package mutating func receive<Sink: BodySink>(_ bytes: Span<UInt8>, body: inout Sink) -> Int {
        var i = 0
        while canRead {
            let before = i
            switch phase {
            case .command, .authResponse, .discardingLine:
                guard i < bytes.count else { return i }
                receiveLine(bytes, from: &i, body: &body)
                if i == before { return i }
            case .data:
                guard i < bytes.count else { return i }
                receiveData(bytes, from: &i, body: &body)
            case .chunk:
                // A chunk of no octets ends at once.
                guard i < bytes.count || chunk.remaining == 0 else { return i }
                receiveChunk(bytes, from: &i, body: &body)
            case .greeting, .handshake, .closed: return i
            }
        }
        return i
    }

    private var canRead: Bool {
        if case .nothing = waiting { return phase == .data || phase == .chunk || !outputIsFull }
        return false
    }

    /// Answers a question. Tickets that are not open are ignored.
    package mutating func resume(_ ticket: Ticket, with answer: Answer) {
        guard phase != .closed else { return }
        switch waiting {
        case .sender(ticket): answeredSender(answer)
        case .verify(ticket): answeredVerify(answer)
        case .unknown(ticket, let isKnown): answeredUnknown(answer, isKnown)
        case .authenticate(ticket): answeredAuthenticate(answer)
        case .submit(ticket): answeredSubmit(answer)
        case .nothing, .sender, .verify, .unknown, .authenticate, .submit: answeredRecipient(ticket, answer)
        }
    }

    /// What one recipient of the message came to by itself, told before the question of its submission is answered, by the
    /// place of the recipient in the envelope. SMTP has no words for it and is told nothing.
    package mutating func settle(recipient index: Int, _ reply: Reply) {
        guard configuration.isLMTP, case .submit = waiting, index >= 0, index < repliesOwed else { return }
        if ownReplies.isEmpty { ownReplies = Array(repeating: nil, count: repliesOwed) }
        ownReplies[index] = reply
    }

    /// The handshake is done. What the client said before it is forgotten (RFC 3207 §4.2).
    package mutating func secured(_ facts: TLSFacts) {
        guard phase == .handshake || phase == .greeting else { return }
        abortTransaction()
        tls = facts
        greeted = false
        isESMTP = false
        helo = []
        mailRefused = false
        identity = nil
        scanned = 0
        if phase == .handshake { phase = .command }
    }

    /// The deadline passed: 421 and close, in whatever state.
    package mutating func timedOut() {
        running = nil
        end(isReceivingBody ? StandardReplies.dataTimeout : StandardReplies.timeout, .timeout)
    }
    /// The server stops: 421 and close.
    package mutating func shutdown() {
        running = nil
        end(StandardReplies.shutdown, .shutdown)
    }

    /// The client is sent away, in whatever state; `reply` is a 421 in the words of the driver.
    package mutating func dismiss(_ reply: Reply) {
        running = nil
        end(reply, .refused)
    }

    /// The peer is gone; nothing can be said any more.
    package mutating func peerClosed() {
        guard phase != .closed else { return }
        close(.peerClosed)
    }

    /// The next thing to do, in order; nil when there is none for now.
    package mutating func nextEffect() -> Effect? {
        guard effectIndex < effects.count else { return nil }
        let effect = effects[effectIndex]
        effectIndex += 1
        if effectIndex == effects.count {
            effects = []
            effectIndex = 0
        }
        return effect
    }

    package var hasOutput: Bool { !output.isEmpty }
    package var outputIsFull: Bool { output.count >= configuration.limits.outputOctets }

    /// The replies that are ready, in order. The session keeps no copy.
    package mutating func takeOutput() -> [UInt8] {
        let out = output
        output = []
        return out
    }

    /// `takeOutput` into a buffer the driver reuses.
    package mutating func takeOutput(into out: inout [UInt8]) {
        out.append(contentsOf: output)
        output = []
    }

    /// Octets of a message are expected, so the data timeout applies.
    package var isReceivingBody: Bool { phase == .data || phase == .chunk }
    package var isClosed: Bool { phase == .closed }
    package var isInTransaction: Bool { transaction != nil }
    package var isUnderTLS: Bool { tls != nil }
    /// As agreed; kept when the connection is gone.
    package var tlsFacts: TLSFacts? { tls }
    package var heloName: [UInt8] { helo }
    package var authenticatedIdentity: [UInt8]? { identity }

    /// A message has ended, and what becomes of it is still to be said.
    package var isSubmitting: Bool {
        if case .submit = waiting { return true }
        return false
    }

    /// Nothing is read until an answer comes; the peer is not to blame for the time that takes.
    package var isSuspended: Bool {
        if case .nothing = waiting { return blockedOnRecipients }
        return true
    }

    /// How long the driver waits for the peer before `timedOut`.
    package var currentTimeoutSeconds: Double {
        isReceivingBody ? configuration.limits.dataTimeoutSeconds : configuration.limits.commandTimeoutSeconds
    }
}
