import Base
import CEpoll
import Handoff
import Protocols

/// The body of the `resolver` thread: owns the context, the table of open questions and its epoll.
///
/// A question whose time is over is answered with a timeout, but its query stays in the table until libunbound gives it
/// up: asking again joins it, and when the answer comes after all it is in the cache. Bounded by `ResolverLimits`.
final class ResolverThread {
    private static let inboxEvent: UInt64 = 1
    private static let unboundEvent: UInt64 = 2

    private let configuration: ResolverConfiguration
    private let limits: ResolverLimits
    private let inbox: Mailbox<Resolver.Message>
    private let observer: (any ResolverObserver)?
    private let epoll: Int32
    private var context: UnboundContext
    private var open: [DNSQuestion: Query] = [:]
    private var waiting = 0
    private var nextSweep = Instant(nanoseconds: 0)
    private var cache: AnswerCache
    /// The last answer that was none of failure, or the last fresh start.
    private var lastLife = ResolverThread.now
    private var running = true
    /// When libunbound was started last.
    private var restarted = ResolverThread.now
    /// Nothing has answered for long: askers are told so at once, and probes look for the first sign of life.
    private var isSilent = false
    private var probes = 0
    private var nextProbe = Instant(nanoseconds: 0)
    private let life: ResolverLife

    init(
        _ configuration: ResolverConfiguration, limits: ResolverLimits, inbox: Mailbox<Resolver.Message>,
        observer: (any ResolverObserver)?, life: ResolverLife
    ) throws(ResolverError) {
        self.life = life
        self.configuration = configuration
        self.limits = limits
        self.inbox = inbox
        self.observer = observer
        context = try UnboundContext(configuration)
        cache = AnswerCache(
            entries: limits.cacheEntries, octets: limits.cacheOctets, seconds: limits.cacheSeconds)
        epoll = mt_epoll_create()
        guard epoll >= 0, mt_epoll_add(epoll, inbox.eventDescriptor, Self.readable, Self.inboxEvent) >= 0,
            mt_epoll_add(epoll, context.descriptor, Self.readable, Self.unboundEvent) >= 0
        else { throw ResolverError(description: "DNS: no descriptors left") }
    }

    deinit { _ = mt_close(epoll) }

    private static var readable: UInt32 { EPOLLIN.rawValue }

    func run() {
        // So that it is known before the first mail whether there is a DNS at all.
        if limits.probesAtStart { _ = query(for: Self.probeQuestion, Self.now) }
        while running { turn() }
        let queries = Array(open.values)
        for query in queries { answerAll(query, .timeout) }
    }

    /// Wait, callbacks, inbox, overdue.
    func turn() {
        let ready = wait()
        if ready & Self.unboundEvent != 0, !context.process() { restart() }
        takeMessages()
        sweep()
        life.note(open: open.count)
    }

    // MARK: Waiting

    /// The events that came, as a sum of their numbers.
    private func wait() -> UInt64 {
        guard inbox.prepareToWait() else { return Self.unboundEvent }
        var ready: UInt64 = 0
        withUnsafeTemporaryAllocation(of: epoll_event.self, capacity: 2) { events in
            guard let base = events.baseAddress else { return }
            let count = mt_epoll_wait(epoll, base, 2, waitMilliseconds)
            for i in 0..<max(0, Int(count)) { ready |= mt_event_data(base + i) }
        }
        inbox.finishWait(signalled: ready & Self.inboxEvent != 0)
        return ready
    }

    private var waitMilliseconds: Int32 {
        if waiting > 0 || isCrowded { return Int32(limits.sweepSeconds * 1000) }
        return isSilent ? Int32(limits.probeSeconds * 1000) : -1
    }

    private static var now: Instant { Instant(nanoseconds: mt_monotonic_ns()) }

    /// For a stopper that found the inbox full.
    static func pause() { _ = mt_poll_readable(-1, 1) }

    // MARK: Asking

    private func takeMessages() {
        var left = limits.perTurn
        while left > 0, running, let message = inbox.next() {
            left -= 1
            switch message {
            case .ask(let questions, let reply): ask(questions, reply)
            case .stop: running = false
            }
        }
    }

    private func ask(_ questions: [DNSQuestion], _ reply: @escaping DNSReply) {
        guard !questions.isEmpty else { return reply([]) }
        let batch = Batch(questions, reply: reply)
        let now = Self.now
        let deadline = now.advanced(bySeconds: configuration.timeoutSeconds)
        for (index, question) in questions.enumerated() {
            if let answer = cache.answer(to: question, now) {
                observer?.remembered(question)
                batch.set(answer, at: index)
                continue
            }
            guard let query = query(for: question, now) else {
                observer?.refused(question)
                batch.set(.timeout, at: index)
                continue
            }
            if isSilent {
                observer?.refused(question)
                batch.set(.timeout, at: index)
                continue
            }
            query.waiters.append(Query.Waiter(batch: batch, index: index, deadline: deadline))
            waiting += 1
        }
    }

    /// The open query for `question`, started if there is none; nil when a table is full.
    private func query(for question: DNSQuestion, _ now: Instant) -> Query? {
        guard waiting < limits.waiters else { return nil }
        if let query = open[question] { return query }
        guard open.count < (isSilent ? limits.probesMax : limits.open) else { return nil }
        // After a quiet time silence begins now.
        if open.isEmpty { lastLife = now }
        let query = Query(question, asked: now)
        query.finish = { [unowned self] query, answer in finished(query, answer) }
        guard context.ask(query) else { return nil }
        open[question] = query
        return query
    }

    // MARK: Answering

    private func finished(_ query: Query, _ answer: DNSAnswer) {
        open[query.question] = nil
        let now = Self.now
        if Self.showsLife(query.question, answer) { foundLife(now) }
        cache.learn(query.question, answer, now)
        answerAll(query, answer)
    }

    private func answerAll(_ query: Query, _ answer: DNSAnswer) {
        report(query, answer, askers: query.waiters.count)
        let waiters = query.waiters
        query.waiters = []
        waiting -= waiters.count
        for waiter in waiters { waiter.batch.set(answer, at: waiter.index) }
    }

    private func report(_ query: Query, _ answer: DNSAnswer, askers: Int) {
        guard askers > 0, let observer else { return }
        let elapsed = Self.now.nanoseconds &- query.asked.nanoseconds
        observer.answered(query.question, answer, nanoseconds: elapsed, shared: askers - 1)
    }

    /// Answers those whose time is over. The table is small and this runs a few times a second at most.
    private func sweep() {
        let now = Self.now
        if isSilent, now >= nextProbe { probe(now) }
        guard waiting > 0 || isCrowded else { return }
        guard now >= nextSweep else { return }
        nextSweep = now.advanced(bySeconds: limits.sweepSeconds)
        let patience =
            isCrowded ? min(limits.crowdedSeconds, configuration.timeoutSeconds) : configuration.timeoutSeconds
        let due = now.advanced(bySeconds: configuration.timeoutSeconds - patience)
        var abandoned = 0
        // Replies only post, so nothing changes the table meanwhile.
        for query in open.values {
            expire(query, due)
            if query.waiters.isEmpty { abandoned += 1 }
        }
        // Before the first answer a few questions are enough: this network may have no DNS at all.
        let enough = life.hasAnswered ? limits.silenceQuestions : 1
        if open.count >= enough, now.seconds(since: lastLife) >= limits.silenceSeconds { return fallSilent(now) }
        guard isCrowded, abandoned >= open.count - abandoned,
            now.seconds(since: restarted) >= limits.crowdedSeconds
        else { return }
        // A fresh start is no sign of life.
        let life = lastLife
        restart()
        lastLife = life
    }

    // MARK: Silence

    /// Whether the answer came from somewhere else: libunbound itself knows the names of this machine and a few that
    /// exist nowhere (RFC 6303, RFC 6761), and a failure may be its own.
    private static func showsLife(_ question: DNSQuestion, _ answer: DNSAnswer) -> Bool {
        guard !answer.isTemporary || answer.security == .bogus else { return false }
        guard question.type != .ptr, let top = question.name.labels.last else { return question.type != .ptr }
        return !ownTops.contains { $0.elementsEqual(ASCII.lowercased(Array(top))) }
    }

    private static let ownTops = ["localhost", "test", "invalid", "onion", "arpa"].map { Array($0.utf8) }

    private func foundLife(_ now: Instant) {
        lastLife = now
        life.note()
        isSilent = false
        probes = 0
    }

    /// Who asks from now on is told at once: keeping all until their time is over would only fill the house. Who waits
    /// already is asked for again, unless there may be no DNS here at all.
    private func fallSilent(_ now: Instant) {
        isSilent = true
        probes = 0
        // At once: a few dead domains may look like a dead network, and the first answer ends that.
        nextProbe = now
        if !life.hasAnswered {
            for query in open.values where !query.waiters.isEmpty { answerAll(query, .timeout) }
        }
        restart()
    }

    /// A fresh libunbound has no back-off and no backlog; one question shows whether anybody is there again.
    private func probe(_ now: Instant) {
        probes += 1
        nextProbe = now.advanced(bySeconds: limits.probeSeconds * (probes > limits.probesEager ? 10 : 1))
        restart()
        _ = query(for: Self.probeQuestion, now)
    }

    private static let probeQuestion = DNSQuestion(.root, .txt)

    private var isCrowded: Bool { open.count >= limits.crowded }

    /// Tells those whose deadline is not after `end`.
    private func expire(_ query: Query, _ end: Instant) {
        guard let first = query.waiters.first, first.deadline <= end else { return }
        // Waiters stand in the order they came, and all have the same time.
        let due = query.waiters.prefix { $0.deadline <= end }
        report(query, .timeout, askers: due.count)
        query.waiters.removeFirst(due.count)
        waiting -= due.count
        for waiter in due { waiter.batch.set(.timeout, at: waiter.index) }
    }

    /// A new context; what somebody waits for is asked again, the rest is dropped. Without a new context the waiters
    /// time out, and the next silence tries again.
    private func restart() {
        lastLife = Self.now
        restarted = lastLife
        guard let fresh = try? UnboundContext(configuration),
            mt_epoll_add(epoll, fresh.descriptor, Self.readable, Self.unboundEvent) >= 0
        else { return }
        _ = mt_epoll_del(epoll, context.descriptor)
        // The old one is gone here and calls nobody back any more; only then may its queries go.
        context = fresh
        observer?.restarted()
        let queries = Array(open.values)
        for query in queries where query.waiters.isEmpty || !context.ask(query) {
            open[query.question] = nil
            answerAll(query, DNSAnswer(status: .servFail))
        }
    }
}
