package import Base

/// One name for an entry of the table while it lives; never fits a later one.
package struct DestinationID: Sendable, Hashable {
    let index: Int
    let generation: UInt32
}

/// The destinations that have rows, jobs or a past, and whose turn it is. Pure: time is an argument. `Item` is a job.
///
/// Bounded by the destinations of the queue: one small entry each, and `readyMax` items at most in each.
package struct DestinationTable<Item> {
    private(set) var limits: SchedulerConfiguration
    private var entries: [Destination<Item>] = []
    private var vacant: [Int] = []
    private var byName: [[UInt8]: Int] = [:]
    private var generation: UInt32 = 0
    private var clock = DueHeap()
    /// Entries with something to hand out, each once, in the order of their turns.
    private var turns = FIFO<Int>()
    /// Entries whose rows should be leased, each once.
    private var wishes = FIFO<Int>()
    private var touched: [Int] = []
    package private(set) var inFlight = 0
    package private(set) var readyCount = 0

    package init(_ limits: SchedulerConfiguration) { self.limits = limits }

    package var count: Int { byName.count }

    // MARK: entries

    private func index(_ id: DestinationID) -> Int? {
        guard id.index < entries.count, entries[id.index].generation == id.generation, entries[id.index].isLive else {
            return nil
        }
        return id.index
    }

    private mutating func make(_ name: [UInt8]) -> Int {
        if let known = byName[name] { return known }
        generation &+= 1
        let entry = Destination<Item>(name: name, generation: generation, window: windowStart)
        let at: Int
        if let free = vacant.popLast() {
            at = free
            entries[at] = entry
        } else {
            at = entries.count
            entries.append(entry)
        }
        byName[name] = at
        touch(at)
        return at
    }

    package mutating func id(of name: [UInt8]) -> DestinationID {
        let at = make(name)
        return DestinationID(index: at, generation: entries[at].generation)
    }

    package func find(_ name: [UInt8]) -> DestinationID? {
        byName[name].map { DestinationID(index: $0, generation: entries[$0].generation) }
    }

    package func name(of id: DestinationID) -> [UInt8] { index(id).map { entries[$0].name } ?? [] }

    /// Marks an entry as one to look at when the turn ends.
    private mutating func touch(_ at: Int) {
        guard !entries[at].isTouched else { return }
        entries[at].isTouched = true
        touched.append(at)
    }

    /// The end of a turn: entries that have nothing and remember nothing of use are forgotten. Returns those whose
    /// `isClosed` changed: whether new mail for them should go through the queue.
    package mutating func endTurn(now: Instant) -> [(name: [UInt8], isClosed: Bool)] {
        var changes: [(name: [UInt8], isClosed: Bool)] = []
        for at in touched {
            entries[at].isTouched = false
            guard entries[at].isLive else { continue }
            let isClosed = isClosed(at, now)
            if isClosed != entries[at].isClosed {
                entries[at].isClosed = isClosed
                changes.append((entries[at].name, isClosed))
            }
            if entries[at].isIdle { forget(at) }
        }
        touched.removeAll(keepingCapacity: touched.count <= 1_024)
        return changes
    }

    private mutating func forget(_ at: Int) {
        byName[entries[at].name] = nil
        entries[at].isLive = false
        entries[at].name = []
        vacant.append(at)
    }

    /// Whether something waits already, or nothing is handed out.
    private func isClosed(_ at: Int, _ now: Instant) -> Bool {
        if entries[at].isHeld || entries[at].isProbing || entries[at].isLeasing { return true }
        if let until = entries[at].pausedUntil, until > now { return true }
        if let due = entries[at].due, due <= now { return true }
        return entries[at].ready.count >= limits.readyMax / 2
    }

    // MARK: what there is to do

    /// A row of the store becomes due at `due`, or earlier ones are known already.
    package mutating func noteDue(_ name: [UInt8], at due: Instant) {
        let at = make(name)
        if entries[at].isLeasing {
            // The answer under way may be older than this.
            entries[at].hintedDue = min(entries[at].hintedDue ?? due, due)
            return
        }
        if let known = entries[at].due, known <= due { return }
        entries[at].due = due
        wake(at, due)
    }

    /// The store's answer for a wish: when the next row is due.
    package mutating func leased(_ id: DestinationID, nextDue: Instant?) {
        guard let at = index(id) else { return }
        touch(at)
        entries[at].isLeasing = false
        let hinted = entries[at].hintedDue
        entries[at].hintedDue = nil
        entries[at].due = [nextDue, hinted].compactMap { $0 }.min()
        if let due = entries[at].due {
            wake(at, due)
        } else if entries[at].pausedUntil == nil, entries[at].ready.isEmpty, entries[at].inFlight == 0 {
            // The rows went another way: there is nothing left to be careful with.
            entries[at].recover(window: windowStart)
        }
    }

    /// A job that is leased. False: too many wait already; give it back.
    package mutating func offer(_ item: Item, to name: [UInt8]) -> Bool {
        let at = make(name)
        guard entries[at].ready.count < limits.readyMax else { return false }
        append(item, at)
        return true
    }

    private mutating func append(_ item: Item, _ at: Int) {
        entries[at].ready.append(item)
        readyCount += 1
        touch(at)
        queue(at)
    }

    /// Puts an entry among those whose turn comes.
    private mutating func queue(_ at: Int) {
        guard !entries[at].isQueued, !entries[at].ready.isEmpty else { return }
        entries[at].isQueued = true
        entries[at].deficit = 0
        turns.append(at)
    }

    private mutating func wake(_ at: Int, _ time: Instant) {
        clock.push(time, DestinationID(index: at, generation: entries[at].generation))
    }

    // MARK: time

    /// Does what time alone brings about: pauses end, rows become due.
    package mutating func advance(to now: Instant) {
        while let (_, id) = clock.popDue(now) {
            guard let at = index(id) else { continue }
            touch(at)
            if let start = entries[at].nextStart, start <= now { entries[at].nextStart = nil }
            endPause(at, now)
            queue(at)
            wishForRows(at, now)
        }
    }

    /// When something is to be done by time alone; a hint, it may be too early.
    package var nextWake: Instant? { clock.first }

    /// A pause that is over: one goes first.
    private mutating func endPause(_ at: Int, _ now: Instant) {
        guard let until = entries[at].pausedUntil, until <= now else { return }
        entries[at].pausedUntil = nil
        if entries[at].due == nil, entries[at].ready.isEmpty, entries[at].inFlight == 0, !entries[at].isLeasing {
            // Nothing waits: a destination that was quiet for a pause is new again.
            entries[at].recover(window: windowStart)
        } else {
            entries[at].isProbing = true
            entries[at].feedback.probe()
        }
    }

    private var windowStart: Int { max(1, min(limits.windowStart, limits.windowMax)) }

    // MARK: leasing

    package struct LeaseWish: Sendable, Hashable {
        package let id: DestinationID
        package let name: [UInt8]
        package let rows: Int
    }

    /// Puts an entry among those whose rows should be leased, unless it may not have any now or they are not due.
    private mutating func wishForRows(_ at: Int, _ now: Instant) {
        guard let due = entries[at].due, !entries[at].isLeasing, !entries[at].isWishing, !entries[at].isHeld else {
            return
        }
        guard due <= now else { return wake(at, due) }
        if let until = entries[at].pausedUntil, until > now { return }
        guard leaseRoom(at) > 0 else {
            // `refill` comes back to it.
            entries[at].wantsRows = true
            return
        }
        entries[at].isWishing = true
        wishes.append(at)
    }

    /// The destinations whose rows should be leased now, at most `leaseSitesMax` and `rows` in all; each is marked until
    /// `leased` tells the answer.
    package mutating func takeWishes(now: Instant, rows: Int) -> [LeaseWish] {
        var out: [LeaseWish] = []
        var left = rows
        while out.count < limits.leaseSitesMax, left > 0, let at = wishes.popFirst() {
            guard entries[at].isWishing else { continue }
            entries[at].isWishing = false
            touch(at)
            let room = leaseRoom(at)
            guard entries[at].isLive, room > 0, !entries[at].isHeld, entries[at].due != nil else {
                wishForRows(at, now)
                continue
            }
            let count = min(room, left)
            left -= count
            entries[at].isLeasing = true
            entries[at].due = nil
            out.append(
                LeaseWish(
                    id: DestinationID(index: at, generation: entries[at].generation), name: entries[at].name,
                    rows: count))
        }
        return out
    }

    package var hasWishes: Bool { !wishes.isEmpty }

    /// Rows worth leasing for an entry: what keeps it busy for a while, no more.
    private func leaseRoom(_ at: Int) -> Int {
        let ready = entries[at].ready.count
        // After a pause one row goes first.
        if entries[at].isProbing { return entries[at].inFlight + ready == 0 ? 1 : 0 }
        let wanted = max(1, min(limits.readyMax / 2, max(16, 4 * entries[at].feedback.window)))
        return ready <= wanted / 2 ? min(limits.leaseRowsMax, wanted - ready) : 0
    }

    /// Rows that waited for room in memory are asked for.
    private mutating func refill(_ at: Int, _ now: Instant) {
        guard entries[at].wantsRows, leaseRoom(at) > 0 else { return }
        entries[at].wantsRows = false
        wishForRows(at, now)
    }

    // MARK: handing out

    /// The next item whose destination may have one more at work: by turns, a quantum of items each.
    package mutating func next(now: Instant) -> (id: DestinationID, item: Item)? {
        guard inFlight < limits.inFlightMax else { return nil }
        while let at = turns.first {
            guard mayStart(at, now) else {
                touch(at)
                turns.removeFirst()
                entries[at].isQueued = false
                continue
            }
            if entries[at].deficit <= 0 { entries[at].deficit = Self.quantum }
            return start(at, now)
        }
        return nil
    }

    private static var quantum: Int { 8 }

    private mutating func start(_ at: Int, _ now: Instant) -> (id: DestinationID, item: Item)? {
        guard let item = entries[at].ready.popFirst() else { return nil }
        touch(at)
        readyCount -= 1
        inFlight += 1
        entries[at].inFlight += 1
        entries[at].deficit -= 1
        if limits.ratePerMinute > 0 {
            let next = now.advanced(bySeconds: 60 / Double(limits.ratePerMinute))
            entries[at].nextStart = next
            wake(at, next)
        }
        if entries[at].ready.isEmpty {
            turns.removeFirst()
            entries[at].isQueued = false
        } else if entries[at].deficit <= 0 {
            turns.removeFirst()
            turns.append(at)
        }
        refill(at, now)
        return (DestinationID(index: at, generation: entries[at].generation), item)
    }

    private func mayStart(_ at: Int, _ now: Instant) -> Bool {
        guard entries[at].isLive, !entries[at].ready.isEmpty, !entries[at].isHeld else { return false }
        if let until = entries[at].pausedUntil, until > now { return false }
        if let start = entries[at].nextStart, start > now { return false }
        return entries[at].inFlight < allowed(at)
    }

    /// Items that may be at work at once.
    private func allowed(_ at: Int) -> Int {
        entries[at].isProbing ? 1 : min(entries[at].feedback.window, max(1, limits.windowMax))
    }

    /// What was handed out could not be taken by anybody: back to the front.
    package mutating func putBack(_ item: Item, _ id: DestinationID) {
        guard let at = index(id) else { return }
        touch(at)
        inFlight -= 1
        entries[at].inFlight -= 1
        entries[at].ready.prepend(item)
        readyCount += 1
        queue(at)
    }

    // MARK: news

    /// How what was handed out ended.
    package enum News: Sendable, Hashable {
        case reached, unreachable, throttled, notTried
    }

    /// An item is done; `random`: 0 to 1, spreads the pauses. Returns the pause that began, in seconds.
    package mutating func finished(
        _ id: DestinationID, _ news: News, recipients: Int, now: Instant, random: Double
    ) -> Double? {
        guard let at = index(id) else { return nil }
        touch(at)
        inFlight -= 1
        let isUsed = entries[at].inFlight >= entries[at].feedback.window
        entries[at].inFlight -= 1
        var pause: Double?
        switch news {
        case .reached:
            if entries[at].pauses > 0 { entries[at].recover(window: windowStart) }
            entries[at].feedback.succeeded(max: max(1, limits.windowMax), isUsed: isUsed)
            entries[at].rate.add(recipients, now)
        case .unreachable:
            entries[at].feedback.failed()
            pause = failed(at, now, random)
        case .throttled:
            entries[at].feedback.throttled()
            entries[at].feedback.failed()
            pause = failed(at, now, random)
        case .notTried: break
        }
        queue(at)
        refill(at, now)
        return pause
    }

    private mutating func failed(_ at: Int, _ now: Instant, _ random: Double) -> Double? {
        // What began before the pause tells nothing new.
        if let until = entries[at].pausedUntil, until > now { return nil }
        guard entries[at].isProbing || entries[at].feedback.failedCohorts >= limits.cohortsMax - Feedback.rounding
        else { return nil }
        let doubled = limits.pauseSecondsMin * Double(1 << min(20, entries[at].pauses))
        // Spread by a quarter: destinations that died together are not tried together.
        let seconds = min(limits.pauseSecondsMax, doubled) * (0.875 + 0.25 * min(1, max(0, random)))
        let until = now.advanced(bySeconds: seconds)
        entries[at].pause(until: until)
        wake(at, until)
        return seconds
    }

    // MARK: operators

    package mutating func hold(_ name: [UInt8]) {
        let at = make(name)
        touch(at)
        entries[at].isHeld = true
    }

    package mutating func release(_ name: [UInt8], now: Instant) {
        let at = make(name)
        touch(at)
        entries[at].isHeld = false
        entries[at].due = now
        wake(at, now)
    }

    /// Forgets the pause of one destination or of all.
    package mutating func forgive(_ name: [UInt8]?, now: Instant) {
        let these = name.map { [byName[$0]].compactMap { $0 } } ?? Array(byName.values)
        for at in these where entries[at].pausedUntil != nil {
            entries[at].pausedUntil = now
            wake(at, now)
        }
    }

    package mutating func configure(_ limits: SchedulerConfiguration) { self.limits = limits }

    /// Takes all that is ready from an entry, or from all: what is to be given back.
    package mutating func takeReady(_ id: DestinationID? = nil) -> [Item] {
        var out: [Item] = []
        let these = id.map { [index($0)].compactMap { $0 } } ?? Array(byName.values)
        for at in these where !entries[at].ready.isEmpty {
            touch(at)
            while let item = entries[at].ready.popFirst() {
                readyCount -= 1
                out.append(item)
            }
        }
        return out
    }

    // MARK: questions

    package func isHeld(_ id: DestinationID) -> Bool { index(id).map { entries[$0].isHeld } ?? false }

    package func isPaused(_ id: DestinationID, now: Instant) -> Bool {
        guard let at = index(id), let until = entries[at].pausedUntil else { return false }
        return until > now
    }

    package struct Picture: Sendable {
        package let name: [UInt8]
        package let inFlight: Int
        package let ready: Int
        package let window: Int
        package let ratePerMinute: Double
        package let limit: Limit
    }

    package enum Limit: Sendable, Hashable {
        case idle, concurrency, rate, held, slots
        case paused(until: Instant)
    }

    package func pictures(now: Instant, slotsFree: Int) -> [Picture] {
        byName.values.map { at in
            let e = entries[at]
            return Picture(
                name: e.name, inFlight: e.inFlight, ready: e.ready.count,
                window: allowed(at),
                ratePerMinute: e.rate.perMinute(now), limit: limit(e, now, slotsFree))
        }
    }

    private func limit(_ e: Destination<Item>, _ now: Instant, _ slotsFree: Int) -> Limit {
        if e.isHeld { return .held }
        if let until = e.pausedUntil, until > now { return .paused(until: until) }
        let waits = !e.ready.isEmpty || e.isLeasing || (e.due.map { $0 <= now } ?? false)
        guard waits else { return .idle }
        if let start = e.nextStart, start > now { return .rate }
        return slotsFree == 0 || inFlight >= limits.inFlightMax ? .slots : .concurrency
    }

    /// For tests.
    package func window(of name: [UInt8]) -> Int? { byName[name].map { entries[$0].feedback.window } }
}
