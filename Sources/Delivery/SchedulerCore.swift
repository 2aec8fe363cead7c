import Base
import Handoff
import Protocols
import Store
import Synchronization

/// The scheduler's thread: what is in memory of the queue, and what is to be done next. Confined to it.
///
/// One turn: messages, time, jobs handed out, rows leased, outcomes settled, leases made longer. Nothing polls; the next turn
/// comes with a message or at the earliest moment something is due.
final class SchedulerCore {
    /// A job in memory: ready, at a worker, or on its way into the store.
    struct Flight {
        let job: DeliveryJob
        /// When it went to the worker.
        var began: Instant
        /// The destination while it is at a worker, and which worker.
        var destination: DestinationID?
        var worker = 0
    }

    let shared: QueueScheduler
    let workers: [JobTaker]
    let observer: any SchedulerObserver
    let time: any TimeSource
    var limits: SchedulerConfiguration
    var recorder: OutcomeRecorder
    var table: DestinationTable<DeliveryJob>
    var flights: [QueueRowID: Flight] = [:]
    /// Jobs at each worker.
    var loads: [Int]
    var keeper: LeaseKeeper
    var random = SystemRandomNumberGenerator()
    var tls = TLSResultCollector()
    /// Destinations that are not reached, and why.
    var troubles: [[UInt8]: Trouble] = [:]

    struct Trouble {
        var failure: DeliveryFailure
        /// When rows that grew old waiting are looked for again.
        var nextSweep: Instant
        /// The sweep that goes on, and whether the store is at it.
        var sweep: Sweep?
        var isSweeping = false
    }

    /// Rows whose time is up come before those whose senders are only told that they wait.
    enum Sweep { case expired, delayed }

    // What waits for the store, and what it is doing.
    var toPrepare: [Settlement] = []
    var toSettle = FIFO<Settlement>()
    var toRelease: [Lease] = []
    /// Destinations with a sweep that waits for what it found before to be settled.
    var sweepsWaiting: Set<[UInt8]> = []
    var releaseSites: Set<[UInt8]> = []
    var hasStarted = false
    var isReading = false
    var isPreparing = false
    var isSettling = false
    var isExtending = false
    var isReleasing = false
    var isWritingTLS = false
    var leaseWrites = 0
    /// Not before: after a write or a read that failed.
    var retryAt: Instant?
    var readAt: Instant?
    var flushTLSAt: Instant?
    var dispatchAt: Instant?
    /// When rows leased to us that have no job are looked for.
    var orphansAt: Instant?
    var stopBy: Instant?

    var now: Instant
    var wall: WallTime

    init(
        _ shared: QueueScheduler, configuration: SchedulerConfiguration, rules: OutcomeRules, workers: [JobTaker],
        observer: any SchedulerObserver, time: any TimeSource
    ) {
        self.shared = shared
        self.workers = workers
        self.observer = observer
        self.time = time
        limits = configuration
        recorder = OutcomeRecorder(rules: rules)
        table = DestinationTable(configuration)
        loads = Array(repeating: 0, count: workers.count)
        keeper = LeaseKeeper(leaseSeconds: shared.gate.leaseSeconds)
        now = time.monotonic()
        wall = time.wall()
        readAt = now
    }

    /// Messages looked at in one turn.
    private static let messagesMax = 4_096
    /// How long a stop waits for workers and store.
    private static let stopSeconds = 60.0

    func run() {
        while true {
            let worked = turn()
            if isStopped { return }
            if !worked { shared.inbox.wait(timeoutMilliseconds: waitMilliseconds()) }
        }
    }

    var isStopping: Bool { shared.isStopping.load(ordering: .acquiring) }

    /// Whether a stop has nothing more to wait for.
    var isStopped: Bool {
        guard isStopping, let stopBy else { return false }
        let isQuiet =
            flights.isEmpty && toPrepare.isEmpty && toSettle.isEmpty && toRelease.isEmpty && !isPreparing
            && !isSettling && !isReleasing && !isWritingTLS && leaseWrites == 0
        return isQuiet || now >= stopBy
    }

    /// Does what is waiting. False: nothing was.
    @discardableResult
    func turn() -> Bool {
        now = time.monotonic()
        wall = time.wall()
        var messages = 0
        while messages < Self.messagesMax, let message = shared.inbox.next() {
            messages += 1
            take(message)
        }
        if isStopping { beginStop() }
        table.advance(to: now)
        readIfDue()
        dispatch()
        leaseRows()
        settleAll()
        extendLeases()
        takeOrphans()
        sweepOn()
        releaseAll()
        writeTLSResults()
        for change in table.endTurn(now: now) {
            if change.isClosed {
                shared.gate.closeSite(change.name)
            } else {
                shared.gate.openSite(change.name)
                troubles[change.name] = nil
            }
        }
        observer.holding(inFlight: table.inFlight, ready: table.readyCount, slotsFree: shared.gate.freeSlots)
        return messages > 0
    }

    private func take(_ message: SchedulerMessage) {
        switch message {
        case .accepted(let jobs): for job in jobs { add(job) }
        case .queued(let sites, let due): for site in sites { table.noteDue(site, at: instant(due)) }
        case .report(let report): take(report)
        case .changed(let change): take(change)
        case .status(let tell): tell(status())
        case .answer(let answer): take(answer)
        case .configure(let configuration, let times):
            recorder.rules.follow(times)
            var next = configuration
            next.slotsMax = limits.slotsMax
            limits = next
            table.configure(next)
        case .wake: break
        }
    }

    private func take(_ change: QueueChange) {
        switch change {
        case .held(let site): hold(site)
        case .released(let site): table.release(site, now: now)
        case .rows: readSoon()
        case .retry(let site):
            table.forgive(site, now: now)
            if let site { table.noteDue(site, at: now) } else { readSoon() }
        }
    }

    func hold(_ site: [UInt8]) {
        table.hold(site)
        if let id = table.find(site) { giveBack(table.takeReady(id)) }
    }

    private func beginStop() {
        if stopBy == nil { stopBy = now.advanced(bySeconds: Self.stopSeconds) }
        giveBack(table.takeReady())
    }

    // MARK: jobs

    /// A job whose rows are leased and whose slot is reserved.
    func add(_ job: DeliveryJob) {
        guard let first = job.recipients.first else { return shared.gate.release() }
        let key = first.lease.row
        let site = first.recipient.site
        // Another lease of a row that is worked on: it runs out.
        guard flights[key] == nil else {
            shared.gate.release()
            return lookForOrphans()
        }
        flights[key] = Flight(job: job, began: now)
        keeper.add(key, now: now)
        let id = table.id(of: site)
        let mayWait = !isStopping && !table.isHeld(id) && !table.isPaused(id, now: now)
        if !mayWait || !table.offer(job, to: site) { giveBack([job]) }
    }

    /// Hands out what may go, a job to the worker its destination lives at, or to one with less to do.
    private func dispatch() {
        if let at = dispatchAt, at <= now { dispatchAt = nil }
        guard !isStopping, dispatchAt == nil, !workers.isEmpty else { return }
        while let (id, job) = table.next(now: now) {
            guard let lease = job.recipients.first?.lease, isFlying(lease) else {
                _ = table.finished(id, .notTried, recipients: 0, now: now, random: 0)
                continue
            }
            guard let worker = submit(job) else {
                table.putBack(job, id)
                // All are full: a report will come before that, or they are stopping.
                dispatchAt = now.advanced(bySeconds: 0.05)
                return
            }
            flights[lease.row]?.destination = id
            flights[lease.row]?.worker = worker
            flights[lease.row]?.began = now
            loads[worker] += 1
        }
    }

    private func submit(_ job: DeliveryJob) -> Int? {
        let home = Int(SiteHash.of(job.destination) % UInt64(workers.count))
        var order = [home]
        if workers.count > 1, let least = loads.indices.min(by: { loads[$0] < loads[$1] }) {
            // Its connections are at home; a crowd there is worth another connection elsewhere.
            order = loads[home] > 32 + 2 * loads[least] ? [least, home] : [home, least]
        }
        for worker in order where workers[worker](job) { return worker }
        return loads.indices.first { !order.contains($0) && workers[$0](job) }
    }

    private func take(_ report: JobReport) {
        // The job may end again before it is accounted for: a worker that was given up.
        dispatchAt = nil
        guard let lease = report.job.recipients.first?.lease else { return }
        let key = lease.row
        let flight = isFlying(lease) ? flights[key] : nil
        if let flight, flight.destination != nil { account(flight, key, report) }
        if !report.attempts.isEmpty {
            recorder.rules.remember(report.attempts)
            for attempt in report.attempts { tls.add(attempt) }
        }
        if case .notTried = report.site { return giveBack([report.job]) }
        var settlement = recorder.settlement(for: report, now: wall, random: random.next())
        if flight == nil { settlement = settlement.withoutFlight }
        if settlement.notices.isEmpty { toSettle.append(settlement) } else { toPrepare.append(settlement) }
    }

    private func account(_ flight: Flight, _ key: QueueRowID, _ report: JobReport) {
        guard let id = flight.destination else { return }
        let site = table.name(of: id)
        loads[flight.worker] -= 1
        flights[key]?.destination = nil
        let news: DestinationTable<DeliveryJob>.News
        var failure: DeliveryFailure?
        switch report.site {
        case .reached: news = .reached
        case .unreachable(let why): (news, failure) = (.unreachable, why)
        case .throttled(let why): (news, failure) = (.throttled, why)
        case .notTried: news = .notTried
        }
        let pause = table.finished(
            id, news, recipients: report.job.recipients.count, now: now,
            random: Double.random(in: 0...1, using: &random))
        guard let failure else { return }
        troubles[site]?.failure = failure
        if let pause {
            // Removed when the destination opens again.
            if troubles[site] == nil { troubles[site] = Trouble(failure: failure, nextSweep: now) }
            observer.sitePaused(site, seconds: pause, failure: failure)
            // What waits in memory waits in the store instead.
            giveBack(table.takeReady(id))
            sweepAged(site)
        }
    }

    /// Takes jobs out of memory; their rows are given back unattempted.
    func giveBack(_ jobs: [DeliveryJob]) {
        for job in jobs {
            toRelease += job.recipients.map(\.lease)
            if let first = job.recipients.first {
                releaseSites.insert(first.recipient.site)
                end(first.lease)
            }
        }
    }

    /// A job is out of memory: its slot is free.
    func end(_ lease: Lease) {
        guard isFlying(lease), let flight = flights.removeValue(forKey: lease.row) else { return }
        if flight.destination != nil { loads[flight.worker] -= 1 }
        shared.gate.release()
    }

    /// Whether the job in memory for the row is the one of this lease, not a later one.
    private func isFlying(_ lease: Lease) -> Bool {
        flights[lease.row]?.job.recipients.first?.lease.generation == lease.generation
    }

    // MARK: time

    func instant(_ time: WallTime) -> Instant {
        time <= wall ? now : now.advanced(bySeconds: OutcomeRecorder.seconds(from: wall, to: time))
    }

    func wallTime(_ instant: Instant) -> WallTime { OutcomeRecorder.later(wall, instant.seconds(since: now)) }

    func waitMilliseconds() -> Int32 {
        // What needs the store waits until it may be asked, and what is under way for its answer.
        let asked = [
            isExtending ? nil : keeper.next, isReading || isStopping ? nil : readAt, isWritingTLS ? nil : flushTLSAt,
            isStopping ? nil : orphansAt,
        ].compactMap { $0 }.map { max($0, retryAt ?? $0) }
        var next = ([table.nextWake, retryAt, dispatchAt, stopBy].compactMap { $0 } + asked).min()
        // What waits for places is woken by the report that frees one.
        if isStopping { next = [next, now.advanced(bySeconds: 1)].compactMap { $0 }.min() }
        // The clocks may part (a suspended machine, a step): looked at every minute.
        guard let next else { return 60_000 }
        return Int32(min(60_000, (next.seconds(since: now) * 1_000).rounded(.up)))
    }

    // MARK: a picture

    private func status() -> SchedulerStatus {
        var out = SchedulerStatus()
        out.inFlight = table.inFlight
        out.ready = table.readyCount
        out.slotsFree = shared.gate.freeSlots
        for picture in table.pictures(now: now, slotsFree: out.slotsFree) {
            let limit: SchedulerStatus.Limit =
                switch picture.limit {
                case .idle: .idle
                case .concurrency: .concurrency
                case .rate: .rate
                case .held: .held
                case .slots: .slots
                case .paused(let until):
                    .unreachable(
                        until: wallTime(until),
                        why: troubles[picture.name].map { OutcomeRecorder.words($0.failure) } ?? [])
                }
            if limit == .idle, picture.inFlight == 0, picture.ready == 0, picture.ratePerMinute < 0.5 { continue }
            out.sites[picture.name] = SchedulerStatus.Site(
                inFlight: picture.inFlight, ready: picture.ready, window: picture.window, limit: limit,
                ratePerMinute: picture.ratePerMinute)
        }
        return out
    }
}

extension Settlement {
    /// For a job that was given up: its slot is free already.
    fileprivate var withoutFlight: Settlement {
        var out = Settlement(flight: nil, site: site)
        out.outcomes = outcomes
        out.results = results
        out.ageSeconds = ageSeconds
        out.notices = notices
        return out
    }
}
