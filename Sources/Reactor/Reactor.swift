package import Base
import CEpoll
import Handoff

/// The event loop. One thread owns one reactor and runs `while running { turn() }`; everything it hands out belongs to that
/// thread too. Other threads speak to it through `handle` only.
///
/// A turn, in this order: wait, socket events, mailbox, timers, kept input, one flush per connection, what was left for
/// after it, deferred closes.
/// Nothing is freed inside a callback.
package final class Reactor {
    package let limits: ReactorLimits
    package let handle: ReactorHandle
    /// The turn's time: read once, after the wait.
    package private(set) var now: Instant
    package internal(set) var statistics = LoopStatistics()
    /// Called at the end of each turn with the nanoseconds it took, the wait not counted.
    package var turnHook: ((UInt64) -> Void)?
    /// Whose loop this is: posted jobs, which may carry no reference to it, find it here.
    package weak var owner: AnyObject?

    let io: any IOBackend
    private let time: any TimeSource
    private var wallThisTurn: WallTime?
    private static let wakeData = UInt64.max

    var connections: SlotMap<Connection>
    var listeners: [Listener] = []
    var listenersArePaused = false
    /// The listeners rest because descriptors ran out.
    var lacksDescriptors = false
    var timers: TimerWheel
    var ownerTimers = OwnerTimers()
    /// Connections to flush and to watch anew at the end of the turn.
    private var dirty: [Connection] = []
    var offers: [Connection] = []
    private var afterwards: [(Reactor) -> Void] = []
    var closings: [Connection] = []
    var livePairs: [Token] = []
    var sweepArmed = false
    /// Where every read goes: what was kept of a connection's input, and behind it what just came.
    let scratch: UnsafeMutableRawBufferPointer

    package init(io: any IOBackend, time: any TimeSource, limits: ReactorLimits = ReactorLimits()) {
        self.io = io
        self.time = time
        self.limits = limits
        handle = ReactorHandle(capacity: limits.mailboxCapacity)
        now = time.monotonic()
        connections = SlotMap(capacity: limits.connections)
        timers = TimerWheel(now: now)
        scratch = .allocate(byteCount: limits.inputBytesMax + limits.readBytesPerEvent, alignment: 64)
        io.attachWake(handle.mailbox.eventDescriptor)
    }

    deinit { scratch.deallocate() }

    /// Civil time, read at most once a turn.
    package var wall: WallTime {
        if let wallThisTurn { return wallThisTurn }
        let wall = time.wall()
        wallThisTurn = wall
        return wall
    }

    package func connection(for token: Token) -> Connection? { connections[token] }

    package var connectionCount: Int { connections.count }
    /// TLS sessions that hold a BIO pair and have finished their handshake.
    package var livePairCount: Int { livePairs.count }

    // MARK: The loop

    /// Turns until `handle.stop()`, then closes everything.
    package func run() {
        while !handle.isStopping { turn() }
        shutDown()
    }

    /// Closes every connection with `.stopping`, and the listeners.
    package func shutDown() {
        runAfterwards()
        stopListening()
        for c in connections.values { c.close(.stopping) }
        while !closings.isEmpty { closeMarked() }
    }

    /// One turn. Tests and the simulator call it from outside.
    package func turn() {
        let count = wait()
        let start = time.monotonic()
        now = start
        wallThisTurn = nil
        for i in 0..<count { handle(io.event(i)) }
        runJobs()
        fireTimers()
        offerKept()
        flushDirty()
        if !afterwards.isEmpty { runAfterwards() }
        if !closings.isEmpty { closeMarked() }
        finishTurn(start, count)
    }

    private func wait() -> Int {
        let timeout = waitMilliseconds()
        guard timeout != 0, handle.mailbox.prepareToWait() else { return io.wait(timeoutMilliseconds: 0) }
        let count = io.wait(timeoutMilliseconds: timeout)
        handle.mailbox.finishWait(signalled: false)
        return count
    }

    /// 0 with work at hand, -1 with no timer armed.
    private func waitMilliseconds() -> Int32 {
        if !dirty.isEmpty || !offers.isEmpty || !afterwards.isEmpty || !closings.isEmpty || handle.isStopping {
            return 0
        }
        guard let look = timers.nextLook() else { return -1 }
        let current = time.monotonic()
        guard look > current else { return 0 }
        return Int32(min((look.nanoseconds - current.nanoseconds + 999_999) / 1_000_000, 3_600_000))
    }

    private func handle(_ event: IOEvent) {
        if event.data == Reactor.wakeData { return handle.mailbox.finishWait(signalled: true) }
        let token = Token(raw: event.data)
        if token.slot >= Listener.firstSlot { return acceptTurn(Int(token.slot - Listener.firstSlot)) }
        // An event of a connection closed earlier in this batch dies here.
        guard let c = connections[token] else { return }
        ioTurn(c, event.ready)
        InProgress.end()
    }

    private func runJobs() {
        var budget = limits.mailboxJobsPerTurn
        statistics.mailboxDepthMax = max(statistics.mailboxDepthMax, handle.mailbox.depth)
        while budget > 0, let job = handle.mailbox.next() {
            job(self)
            InProgress.end()
            statistics.jobs &+= 1
            budget -= 1
        }
    }

    /// Later in this turn, when its replies are out: for what a peer that waits for one need not wait for. As many as the
    /// turn has events and jobs.
    package func afterFlush(_ job: @escaping (Reactor) -> Void) { afterwards.append(job) }

    private func runAfterwards() {
        let jobs = afterwards
        afterwards.removeAll(keepingCapacity: true)
        for job in jobs {
            job(self)
            InProgress.end()
        }
        // What they had to say goes out with the turn too.
        flushDirty()
    }

    /// A driver that asks for its input again while being offered it is served a few times, then next turn.
    private func offerKept() {
        var rounds = 8
        while !offers.isEmpty, rounds > 0 {
            let batch = offers
            offers.removeAll(keepingCapacity: true)
            for c in batch {
                c.wantsOffer = false
                offerTurn(c)
                InProgress.end()
            }
            rounds -= 1
        }
    }

    private func flushDirty() {
        guard !dirty.isEmpty else { return }
        // What `drained` writes goes out next turn: one flush per connection per turn.
        var batch: [Connection] = []
        swap(&batch, &dirty)
        for c in batch {
            c.isDirty = false
            flushTurn(c)
            // It was read before the driver began to look for it.
            if c.watchesEnd, c.inputEnd != nil { tellEnd(c) }
            watch(c)
            InProgress.end()
        }
        if dirty.isEmpty {
            batch.removeAll(keepingCapacity: true)
            swap(&batch, &dirty)
        }
    }

    private func finishTurn(_ start: Instant, _ events: Int) {
        let spent = time.monotonic().nanoseconds &- start.nanoseconds
        statistics.turns &+= 1
        statistics.events &+= UInt64(events)
        statistics.busyNanoseconds &+= spent
        statistics.lagNanosecondsMax = max(statistics.lagNanosecondsMax, spent)
        statistics.connections = connections.count
        turnHook?(spent)
    }

    // MARK: What connections ask of it

    /// Has `c` flushed and its interest set at the end of this turn.
    func touch(_ c: Connection) {
        guard !c.isDirty else { return }
        c.isDirty = true
        dirty.append(c)
    }

    /// Changes what is watched, only when it changed.
    func watch(_ c: Connection) {
        guard c.state != .closing, c.state != .closed else { return }
        let wanted = c.interest
        guard wanted != c.armed else { return }
        c.armed = wanted
        io.modify(c.descriptor, wanted, data: c.token.raw)
    }
}
