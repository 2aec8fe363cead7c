import Handoff
package import Protocols
import Synchronization

/// What the rest of the server holds of the resolver. Asking posts to a mailbox and returns at once, whatever state the
/// DNS is in; the reply always comes, at the latest when the question's time is over.
///
/// Shareable: a mailbox. Bounded by it: when it is full `ask` says so and there will be no reply; the caller then goes
/// on as if every question had timed out.
package final class Resolver: DNSResolver {
    enum Message: Sendable {
        case ask([DNSQuestion], DNSReply)
        case stop
    }

    let inbox: Mailbox<Message>
    private let thread: ThreadHandle
    private let life = ResolverLife()

    /// Reads the settings and starts the `resolver` thread; the files they name are read here, so that a wrong one is
    /// an error now and not at the first question.
    package init(
        _ configuration: ResolverConfiguration, limits: ResolverLimits = ResolverLimits(),
        observer: (any ResolverObserver)? = nil
    ) throws(ResolverError) {
        try ResolverFiles.check(configuration)
        let inbox = Mailbox<Message>(capacity: limits.inbox)
        self.inbox = inbox
        inFlightMax = limits.open
        let started = StartSignal()
        let life = life
        thread = LoopThread.spawn("resolver") {
            do throws(ResolverError) {
                let loop = try ResolverThread(
                    configuration, limits: limits, inbox: inbox, observer: observer,
                    life: life)
                started.set(nil)
                loop.run()
            } catch {
                started.set(error)
            }
        }
        if let error = started.wait() {
            thread.join()
            throw error
        }
    }

    /// Asks all of them at once. False: nothing was asked, nobody will reply.
    package func ask(_ questions: [DNSQuestion], reply: @escaping DNSReply) -> Bool {
        inbox.post(.ask(questions, reply))
    }

    /// Whether any server has answered since the start. Until then this may be a network without DNS.
    package var hasAnswered: Bool { life.hasAnswered }

    /// Batches not yet looked at.
    package var depth: Int { inbox.depth }

    /// Questions that queries are open for, and batches not yet looked at.
    package var inFlight: Int { life.open + inbox.depth }
    /// The most queries at once.
    package let inFlightMax: Int

    /// Ends the thread; open questions are answered as timed out. Call once, last.
    package func stop() {
        while !inbox.post(.stop) { ResolverThread.pause() }
        thread.join()
    }
}

/// Whether DNS has ever answered, and how many queries are open; written by the resolver's thread, read by all.
final class ResolverLife: Sendable {
    private let answered = Atomic<Bool>(false)
    private let queries = Atomic<Int>(0)
    var hasAnswered: Bool { answered.load(ordering: .relaxed) }
    func note() { if !hasAnswered { answered.store(true, ordering: .relaxed) } }
    var open: Int { queries.load(ordering: .relaxed) }
    func note(open: Int) { queries.store(open, ordering: .relaxed) }
}

/// Told of every answer, on the resolver thread: must be quick and must not ask.
package protocol ResolverObserver: Sendable {
    /// A query ended, `shared` of its askers beside the first. `nanoseconds`: since it was asked.
    func answered(_ question: DNSQuestion, _ answer: DNSAnswer, nanoseconds: UInt64, shared: Int)
    /// A question was turned away because a table was full.
    func refused(_ question: DNSQuestion)
    /// A question was answered from memory.
    func remembered(_ question: DNSQuestion)
    /// libunbound was started afresh after a silence.
    func restarted()
}
