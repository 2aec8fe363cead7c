import Base
import CEpoll
import Handoff
import Reactor
import Synchronization

/// One thread of the load generator: its reactor, its connections, its share of the work. Thread-confined.
///
/// Open loop: message k is due at start + k / rate whatever the server does, and its latency counts from there, so a
/// stalled server cannot hide the messages it kept waiting.
final class LoadWorker {
    let plan: LoadPlan
    let index: Int
    let reactor: Reactor
    let progress: LoadProgress
    var result = LoadResult()
    var random: Seeded
    /// The last session a server gave us.
    var resumable: TLSSession?

    private var clients: [LoadClient] = []
    /// Clients at `.ready` with nothing due.
    private var idle: [Int] = []
    /// Clients without a connection.
    private var closed: [Int] = []
    private var opening = 0
    private var begun = 0
    private var ended = 0
    private let quota: Int
    private let start: UInt64
    private var sourceCounter: Int
    private var isFinishing = false
    private var graceEnd: UInt64 = .max

    init(plan: LoadPlan, index: Int, progress: LoadProgress, start: UInt64) throws {
        self.plan = plan
        self.index = index
        self.progress = progress
        self.start = start
        random = Seeded(seed: plan.seed &+ UInt64(index) &* 0x1234_5678_9ABC)
        quota = plan.messages.map { plan.share(of: $0, index) } ?? .max
        sourceCounter = index
        let count = plan.share(of: plan.connections, index)
        var limits = ReactorLimits()
        limits.connections = count + 64
        limits.outputBytesMax = max(limits.outputBytesMax, plan.sizes.largest * 2 + (1 << 20))
        limits.lingerSeconds = 0.2
        reactor = Reactor(io: try EpollBackend(), time: SystemTime(), limits: limits)
        clients = (0..<count).map { LoadClient(worker: self, index: $0) }
        closed = Array((0..<count).reversed())
    }

    func run() {
        progress.handles.withLock { $0[index] = reactor.handle }
        reactor.turnHook = { [unowned self] _ in afterTurn() }
        tick()
        openMore()
        reactor.run()
        progress.results.withLock { $0.append(result) }
        _ = progress.workersDone.add(1, ordering: .releasing)
    }

    /// Keeps time when nothing else happens.
    private func tick() {
        reactor.after(0.05) { [unowned self] in tick() }
        let now = mt_monotonic_ns()
        if isFinishing || now >= progress.deadline.load(ordering: .relaxed) { finish(now) }
    }

    private func afterTurn() {
        if let ledger = plan.ledger {
            while let mark = ledger.nextDurable(index) { clients[mark.client].ledgerIsDurable(mark.number) }
        }
        if plan.rate != nil { serveDue() }
        if case .messages = plan.kind, begun >= quota, ended >= begun { finish(mt_monotonic_ns()) }
    }

    // MARK: Connections

    /// Where the next connection comes from: spread over 127.0.0.0/8.
    func nextSource() -> SocketAddress? {
        guard plan.sources > 1 else { return nil }
        let n = sourceCounter % plan.sources
        sourceCounter += plan.workers
        return SocketAddress(
            bytes: [127, UInt8(1 + (n >> 16) & 0x7F), UInt8(truncatingIfNeeded: n >> 8), UInt8(1 + (n & 0xFF) % 254)],
            port: 0)
    }

    /// Opens as many connections as the kind of load wants now.
    private func openMore() {
        guard !isFinishing else { return }
        if plan.rate != nil { return serveDue() }
        var wanted = Int.max
        switch plan.kind {
        case .messages: wanted = quota == .max ? .max : max(0, quota - begun - opening - idle.count)
        case .idle, .drip: wanted = max(0, 64 - opening)
        }
        while wanted > 0, openOne() { wanted -= 1 }
    }

    private func openOne() -> Bool {
        guard let client = closed.popLast() else { return false }
        opening += 1
        clients[client].open()
        return true
    }

    /// The client got as far as it goes without a message.
    func opened() {
        opening -= 1
        if case .messages = plan.kind { return }
        result.heldOpen += 1
        openMore()
    }

    func clientClosed(_ client: Int, wasOpening: Bool, retryAfter seconds: Double) {
        if wasOpening { opening -= 1 }
        if seconds > 0 {
            reactor.after(seconds) { [unowned self] in
                closed.append(client)
                openMore()
            }
        } else {
            closed.append(client)
            openMore()
        }
    }

    // MARK: Messages

    /// `client` can take a message: gives it one, or keeps it, or ends its connection.
    func ready(_ client: Int) {
        if isFinishing { return clients[client].quit() }
        guard let intended = takeDue(mt_monotonic_ns()) else {
            if begun >= quota { return clients[client].quit() }
            return idle.append(client)
        }
        begin(client, intended)
    }

    func isNoLongerIdle(_ client: Int) {
        if let place = idle.firstIndex(of: client) { idle.remove(at: place) }
    }

    /// When the next message should have begun, if one is due; counts it as begun.
    private func takeDue(_ now: UInt64) -> UInt64? {
        guard begun < quota, now < progress.deadline.load(ordering: .relaxed) else { return nil }
        guard let due = dueTime(begun) else {
            begun += 1
            return now
        }
        guard due <= now else { return nil }
        begun += 1
        return due
    }

    /// Nanoseconds at which this worker's `n`th message is due; nil in a closed loop.
    private func dueTime(_ n: Int) -> UInt64? {
        guard let rate = plan.rate else { return nil }
        return start + UInt64(Double(n * plan.workers + index) / rate * 1e9)
    }

    private func serveDue() {
        guard !isFinishing, begun < quota else { return }
        let now = mt_monotonic_ns()
        while let client = idle.last {
            guard let intended = takeDue(now) else { return }
            idle.removeLast()
            begin(client, intended)
        }
        // Everybody is busy: open connections for what is due, up to the limit.
        var missing = 0
        while begun + missing + opening < quota, let due = dueTime(begun + opening + missing), due <= now,
            missing < closed.count
        {
            missing += 1
        }
        while missing > 0, openOne() { missing -= 1 }
    }

    private func begin(_ client: Int, _ intended: UInt64) {
        let number = UInt32(truncatingIfNeeded: (begun - 1) * plan.workers + index)
        clients[client].begin(LedgerID(run: plan.run, number: number), intended: intended)
    }

    func messageEnded() {
        ended += 1
    }

    private func finish(_ now: UInt64) {
        if !isFinishing {
            isFinishing = true
            graceEnd = now + UInt64(plan.timeoutSeconds * 1e9)
            for client in clients { client.finish() }
            idle.removeAll()
        }
        let isBusy: Bool
        if case .messages = plan.kind { isBusy = ended < begun } else { isBusy = false }
        guard isBusy, now < graceEnd else { return reactor.handle.stop() }
    }
}
