import Base
package import Protocols

/// Keeps bodies in memory, as the stored copy would be.
package struct CollectingSink: BodySink {
    package var current: [UInt8] = []
    package var begins = 0
    package var discards = 0
    package var appends = 0

    package init() {}

    package mutating func begin() {
        current = []
        begins += 1
    }

    package mutating func append(_ bytes: Span<UInt8>) {
        current.append(bytes)
        appends += 1
    }

    package mutating func discard() {
        current = []
        discards += 1
    }
}

/// When open questions are answered.
package enum AnswerOrder: Sendable, Hashable {
    case atOnce, oldestFirst, newestFirst
    case shuffled(seed: UInt64)
}

/// An in-process stand-in for the server's driver: holds a session, its unread input, and answers its questions.
package final class SMTPTestDriver {
    package var session: SMTPSession
    package var sink = CollectingSink()
    package var output: [UInt8] = []
    package var bodies: [[UInt8]] = []
    package var envelopes: [Envelope] = []
    package var notes: [SessionNote] = []
    package var close: SessionClose?
    package var wantsTLS = false
    package var started = 0
    package var aborted = 0
    /// Most questions that were open together.
    package var openMost = 0
    /// False when `receive` claimed more than it was given.
    package var consumedWithinBounds = true
    private var input: [UInt8] = []
    private var open: [(Question, Ticket)] = []
    private let order: AnswerOrder
    private var random: SeededRandom
    private let world: (Question) -> Answer
    /// What a recipient of a complete message comes to by itself (LMTP).
    package var own: (EnvelopeRecipient) -> Reply? = { _ in nil }
    private var nextID: Int64 = 0

    package init(
        configuration: SMTPSessionConfiguration, order: AnswerOrder = .atOnce,
        world: @escaping (Question) -> Answer = { _ in .accepted }
    ) {
        session = SMTPSession(
            configuration: configuration, peer: SMTPPeer(address: Array("192.0.2.9".utf8)), now: Instant(nanoseconds: 0)
        )
        self.order = order
        self.world = world
        if case .shuffled(let seed) = order {
            random = SeededRandom(seed: seed)
        } else {
            random = SeededRandom(seed: 0)
        }
        session.start()
        pump()
    }

    /// Input in one piece. Dropped once the session is closed or waits for a handshake.
    package func feed(_ bytes: [UInt8]) {
        guard close == nil, !wantsTLS else { return }
        input += bytes
        pump()
        if case .shuffled = order, random.next() % 3 == 0 { answerOne() }
    }

    package func feed(_ text: String) { feed(Array(text.utf8)) }

    /// Answers until nothing is open.
    package func settle() {
        while !open.isEmpty { answerOne() }
    }

    package func secure() {
        guard wantsTLS else { return }
        wantsTLS = false
        input = []
        session.secured(TLSFacts(version: Array("TLSv1.3".utf8), cipher: Array("TLS_AES_256_GCM_SHA384".utf8)))
        pump()
    }

    /// The output so far, and forgets it.
    package func takeOutput() -> [UInt8] {
        let out = output
        output = []
        return out
    }

    package func timeOut() {
        session.timedOut()
        pump()
    }

    private func answerOne() {
        guard !open.isEmpty else { return }
        let i: Int
        switch order {
        case .atOnce, .oldestFirst: i = 0
        case .newestFirst: i = open.count - 1
        case .shuffled: i = Int(random.next() % UInt64(open.count))
        }
        let (question, ticket) = open.remove(at: i)
        session.resume(ticket, with: answer(question))
        pump()
    }

    private func answer(_ question: Question) -> Answer {
        guard case .submit(let envelope) = question else { return world(question) }
        for (index, recipient) in envelope.recipients.enumerated() {
            if let reply = own(recipient) { session.settle(recipient: index, reply) }
        }
        let answer = world(question)
        guard case .accepted = answer else { return answer }
        envelopes.append(envelope)
        bodies.append(sink.current)
        nextID += 1
        return .stored(MessageID(rawValue: nextID))
    }

    private func pump() {
        while true {
            let consumed = session.receive(input.span, body: &sink)
            if consumed > input.count || consumed < 0 { consumedWithinBounds = false }
            input.removeFirst(min(max(consumed, 0), input.count))
            let acted = takeEffects()
            session.takeOutput(into: &output)
            if close != nil || wantsTLS { input = [] }
            if consumed == 0, !acted { return }
        }
    }

    private func takeEffects() -> Bool {
        var acted = false
        while let effect = session.nextEffect() {
            acted = true
            switch effect {
            case .ask(let question, let ticket):
                if order == .atOnce {
                    session.resume(ticket, with: answer(question))
                } else {
                    open.append((question, ticket))
                    openMost = max(openMost, open.count)
                }
            case .startTLS: wantsTLS = true
            case .close(let reason): close = reason
            case .note(let note): notes.append(note)
            case .transactionStarted: started += 1
            case .transactionAborted: aborted += 1
            }
        }
        return acted
    }
}
