import Base
import Handoff
import Protocols
import Store
import Synchronization

/// What the scheduler asks of the store, and what it does with the answers. Each question is under way once at a time.
extension SchedulerCore {
    private static let retrySeconds = 0.5
    private static let rowsInOneLease = 2_048
    private static let extendMax = 1_024
    private static let sweepRows = 256
    /// Settlements that wait before a sweep waits for them.
    private static let sweptMax = 1_024
    private static let sweepSeconds = 900.0
    private static let flushTLSSeconds = 10.0
    /// Between two readings of the whole queue.
    private static let readSeconds = 1.0

    func take(_ answer: StoreAnswer) {
        switch answer.kind {
        case .started(let result): read(result)
        case .leased(let wishes, let result, let askedAt): leased(wishes, result, askedAt)
        case .prepared(let settlements, let result): prepared(settlements, result)
        case .settled(let settlements, let result, let askedAt): settled(settlements, result, askedAt)
        case .extended(let keys, let isDone): extended(keys, isDone)
        case .released(let sites, let isDone):
            isReleasing = false
            // Where that failed the leases run out.
            if !isDone { lookForOrphans() }
            for site in sites { table.noteDue(site, at: now) }
        case .orphans(let result): orphans(result)
        case .aged(let site, let rows, let isAll): aged(site, rows, isAll)
        case .tlsResults(let rows, let isDone):
            isWritingTLS = false
            if !isDone { tls.putBack(rows) }
        }
    }

    private func failed() { retryAt = now.advanced(bySeconds: Self.retrySeconds) }

    /// Whether the store may be asked: not right after it failed.
    private var mayAsk: Bool {
        guard let at = retryAt else { return true }
        if at > now { return false }
        retryAt = nil
        return true
    }

    // MARK: reading the queue

    func readSoon() {
        if readAt == nil { readAt = now.advanced(bySeconds: Self.readSeconds) }
    }

    /// At the start and after lost hints: which destinations have rows.
    func readIfDue() {
        if shared.isHintLost.exchange(false, ordering: .acquiringAndReleasing) {
            readSoon()
            lookForOrphans()
        }
        guard let at = readAt, at <= now, !isReading, !isStopping, mayAsk else { return }
        readAt = nil
        isReading = true
        if hasStarted { return readSites(takenBack: 0, isFirst: false, askedAt: now) }
        let (owner, wall, askedAt) = (shared.gate.owner, wall, now)
        let isAsked = shared.gateway.write(
            { (session) throws(StoreError) in try session.takeBack(exceptOf: owner, now: wall) },
            completion: { [shared] result in
                switch result {
                case .success(let count):
                    Self.readSites(shared, wall, takenBack: count, isFirst: true, askedAt: askedAt)
                case .failure(let error): Self.tell(shared, .started(.failure(error)))
                }
            })
        if !isAsked { read(.failure(.unavailable(.busy))) }
    }

    private func readSites(takenBack: Int, isFirst: Bool, askedAt: Instant) {
        Self.readSites(shared, wall, takenBack: takenBack, isFirst: isFirst, askedAt: askedAt)
    }

    private static func readSites(
        _ shared: QueueScheduler, _ wall: WallTime, takenBack: Int, isFirst: Bool, askedAt: Instant
    ) {
        let tell: @Sendable (Result<StartPicture, StoreError>) -> Void = {
            _ = shared.inbox.post(.answer(StoreAnswer(kind: .started($0))))
        }
        let isAsked = shared.gateway.read(
            { (session) throws(StoreError) in
                StartPicture(
                    sites: try session.queueSites(at: wall), holds: try session.queueHolds(), takenBack: takenBack,
                    isFirst: isFirst, askedAt: askedAt)
            }, completion: tell)
        if !isAsked { tell(.failure(.unavailable(.busy))) }
    }

    private func read(_ result: Result<StartPicture, StoreError>) {
        isReading = false
        guard case .success(let picture) = result else {
            readAt = now.advanced(bySeconds: Self.retrySeconds)
            return
        }
        for hold in picture.holds { self.hold(hold.site) }
        for site in picture.sites {
            if let due = site.due { table.noteDue(site.site, at: instant(due)) }
        }
        guard picture.isFirst else { return }
        hasStarted = true
        if !isStopping { shared.gate.open() }
        observer.started(
            rows: picture.sites.reduce(0) { $0 + $1.rows }, sites: picture.sites.count, takenBack: picture.takenBack,
            seconds: now.seconds(since: picture.askedAt))
    }

    // MARK: leasing

    func leaseRows() {
        // Outcomes the store did not take yet must get there before rows are taken again.
        guard hasStarted, !isStopping, table.hasWishes, leaseWrites < 2, mayAsk else { return }
        let room = min(shared.gate.freeSlots, Self.rowsInOneLease)
        let wishes = room > 0 ? table.takeWishes(now: now, rows: room) : []
        guard !wishes.isEmpty else { return }
        let rows = wishes.reduce(0) { $0 + $1.rows }
        guard shared.gate.take(rows) else { return refused(wishes) }
        leaseWrites += 1
        let gate = shared.gate
        let (wall, until, askedAt) = (wall, gate.leaseEnd(wall), now)
        let isAsked = shared.gateway.write(
            { (session) throws(StoreError) in
                var batches: [LeasedBatch] = []
                for wish in wishes {
                    batches.append(
                        try session.lease(
                            site: wish.name, count: wish.rows, owner: gate.owner, until: until, now: wall))
                }
                return batches
            }, completion: { [shared] in Self.tell(shared, .leased(wishes, $0, askedAt: askedAt)) })
        if isAsked { return }
        leaseWrites -= 1
        gate.release(rows)
        refused(wishes)
        failed()
    }

    /// From a store thread. A place is kept in the mailbox for the few answers under way.
    private static func tell(_ shared: QueueScheduler, _ kind: StoreAnswer.Kind) {
        _ = shared.inbox.post(.answer(StoreAnswer(kind: kind)))
    }

    private func refused(_ wishes: [DestinationTable<DeliveryJob>.LeaseWish]) {
        for wish in wishes { table.leased(wish.id, nextDue: now.advanced(bySeconds: Self.retrySeconds)) }
    }

    private func leased(
        _ wishes: [DestinationTable<DeliveryJob>.LeaseWish], _ result: Result<[LeasedBatch], StoreError>,
        _ askedAt: Instant
    ) {
        leaseWrites -= 1
        guard case .success(let batches) = result else {
            shared.gate.release(wishes.reduce(0) { $0 + $1.rows })
            failed()
            return refused(wishes)
        }
        var count = 0
        for (wish, batch) in zip(wishes, batches) {
            count += batch.rows.count
            let jobs = AcceptedJobs.make(batch.rows, site: wish.name)
            shared.gate.release(wish.rows - jobs.count)
            for job in jobs { add(job) }
            table.leased(wish.id, nextDue: batch.nextDue.map(instant))
        }
        observer.leased(rows: count, seconds: now.seconds(since: askedAt))
    }

    // MARK: settling

    func settleAll() {
        guard mayAsk else { return }
        prepare()
        settle()
    }

    /// Notices are written where the message can be read, before its rows go.
    private func prepare() {
        guard !isPreparing, !toPrepare.isEmpty else { return }
        let batch = Array(toPrepare.prefix(64))
        toPrepare.removeFirst(batch.count)
        isPreparing = true
        let notice = recorder.rules.notice
        let isAsked = shared.gateway.read(
            { (session) throws(StoreError) in
                batch.map { settlement in Self.written(settlement, notice, session) }
            }, completion: { [shared] in Self.tell(shared, .prepared(batch, $0)) })
        if !isAsked { prepared(batch, .failure(.unavailable(.busy))) }
    }

    /// One settlement's notices: a message that cannot be read stands in no other's way.
    private static func written(
        _ settlement: Settlement, _ notice: OutcomeRules.Notice, _ session: any StoreReaderSession
    ) -> Result<[PreparedNotice], StoreError> {
        do throws(StoreError) {
            var made: [PreparedNotice] = []
            for news in settlement.notices {
                made.append(PreparedNotice(kind: news.kind, request: try notice(news, session)))
            }
            return .success(made)
        } catch {
            return .failure(error)
        }
    }

    private func prepared(
        _ batch: [Settlement], _ result: Result<[Result<[PreparedNotice], StoreError>], StoreError>
    ) {
        isPreparing = false
        guard case .success(let lists) = result else {
            // The store itself did not answer.
            toPrepare = batch + toPrepare
            return failed()
        }
        for (settlement, list) in zip(batch, lists) {
            switch list {
            case .success(let made):
                var ready = settlement
                ready.notices = []
                ready.requests = made.compactMap { item in item.request.map { (item.kind, $0) } }
                toSettle.append(ready)
            case .failure(let error) where error.isTemporary:
                // Behind the others, so that it holds nobody up.
                toPrepare.append(settlement)
                failed()
            case .failure:
                // The message cannot be read back: its sender cannot be told, and it cannot be sent either.
                for news in settlement.notices { observer.noticed(news.kind, isAccepted: false) }
                toSettle.append(settlement.untold)
            }
        }
    }

    private func settle() {
        guard !isSettling, !toSettle.isEmpty else { return }
        var batch: [Settlement] = []
        var rows = 0
        while rows < limits.settleMax, let next = toSettle.popFirst() {
            rows += next.outcomes.count
            batch.append(next)
        }
        isSettling = true
        let (all, askedAt) = (batch, now)
        let isAsked = shared.gateway.write(
            { (session) throws(StoreError) in try Self.apply(all, session) },
            completion: { [shared] in Self.tell(shared, .settled(all, $0, askedAt: askedAt)) })
        if !isAsked { settled(all, .failure(.unavailable(.busy)), now) }
    }

    /// In the writer's transaction; may run twice.
    private static func apply(_ batch: [Settlement], _ session: any StoreWriterSession) throws(StoreError)
        -> SettleResult
    {
        var result = SettleResult()
        let answers = try session.settle(batch.flatMap(\.outcomes))
        var at = 0
        for settlement in batch {
            let mine = answers[at..<at + settlement.outcomes.count]
            at += settlement.outcomes.count
            result.fenced.append(mine.count { !$0 })
            // Who lost the rows tells nobody about them.
            guard mine.contains(true) else { continue }
            for (kind, request) in settlement.requests {
                let isAccepted = try accept(request, session)
                result.noticed.append((kind, isAccepted))
                if isAccepted { result.sites += request.remote.map(\.site) }
            }
        }
        return result
    }

    /// False: it can never be accepted (its mailbox is gone). Nothing was changed then: these are found before the first write.
    private static func accept(_ request: AcceptRequest, _ session: any StoreWriterSession) throws(StoreError) -> Bool {
        do throws(StoreError) {
            try session.accept(request)
            return true
        } catch {
            switch error {
            case .notFound, .conflict, .invalid: return false
            case .unavailable, .corrupt: throw error
            }
        }
    }

    private func settled(_ batch: [Settlement], _ result: Result<SettleResult, StoreError>, _ askedAt: Instant) {
        isSettling = false
        let rows = batch.reduce(0) { $0 + $1.outcomes.count }
        guard case .success(let answer) = result else {
            // Kept: the leases are made longer meanwhile.
            for settlement in batch.reversed() { toSettle.prepend(settlement) }
            observer.settleFailed(rows: rows)
            return failed()
        }
        for (settlement, fenced) in zip(batch, answer.fenced) { settled(settlement, fenced: fenced) }
        for item in answer.noticed { observer.noticed(item.kind, isAccepted: item.isAccepted) }
        for site in answer.sites { table.noteDue(site, at: now) }
        observer.settled(rows: rows, fenced: answer.fenced.reduce(0, +), seconds: now.seconds(since: askedAt))
        settle()
    }

    private func settled(_ settlement: Settlement, fenced: Int) {
        if let lease = settlement.flight { end(lease) }
        if let due = settlement.nextDue { table.noteDue(settlement.site, at: instant(due)) }
        if fenced > 0 { observer.ended(.fenced, of: fenced, delaySeconds: 0) }
        if fenced == settlement.outcomes.count { return }
        if settlement.results.count == 1 {
            return observer.ended(settlement.results[0], of: 1, delaySeconds: settlement.ageSeconds)
        }
        for kind in SchedulerResult.allCases {
            let count = settlement.results.count { $0 == kind }
            if count > 0 { observer.ended(kind, of: count, delaySeconds: settlement.ageSeconds) }
        }
    }

    // MARK: rows leased to us that nobody works on

    /// When what was leased until now has run out.
    func lookForOrphans() {
        orphansAt = now.advanced(bySeconds: shared.gate.leaseSeconds + 1)
    }

    /// The store leases nobody what is ours, so that a clock that jumps sends nothing twice: rows whose job got lost on the
    /// way are found here.
    func takeOrphans() {
        guard let at = orphansAt, at <= now, !isStopping, mayAsk else { return }
        orphansAt = nil
        let (owner, wall) = (shared.gate.owner, wall)
        let isAsked = shared.gateway.read(
            { (session) throws(StoreError) in
                try session.expiredLeases(of: owner, limit: Self.extendMax, at: wall)
            }, completion: { [shared] in Self.tell(shared, .orphans($0)) })
        if !isAsked { lookForOrphans() }
    }

    private func orphans(_ result: Result<[OwnedLease], StoreError>) {
        guard case .success(let found) = result else { return lookForOrphans() }
        if found.count >= Self.extendMax { lookForOrphans() }
        var known = Set(flights.values.lazy.flatMap { $0.job.recipients.lazy.map(\.lease.row) })
        for lease in toRelease { known.insert(lease.row) }
        for item in found where !known.contains(item.lease.row) {
            toRelease.append(item.lease)
            releaseSites.insert(item.site)
        }
    }

    // MARK: leases

    func extendLeases() {
        guard !isExtending, let next = keeper.next, next <= now, mayAsk else { return }
        let keys = keeper.takeDue(now: now, limit: Self.extendMax).filter { flights[$0] != nil }
        var leases: [Lease] = []
        for key in keys {
            guard let flight = flights[key] else { continue }
            // What waits here or for the store is not lost, however long that takes.
            if flight.destination != nil, now.seconds(since: flight.began) > limits.jobSecondsMax {
                giveUp(flight)
            } else {
                leases += flight.job.recipients.map(\.lease)
            }
        }
        guard !leases.isEmpty else { return }
        isExtending = true
        let until = shared.gate.leaseEnd(wall)
        let all = leases
        let isAsked = shared.gateway.write(
            { (session) throws(StoreError) in try session.extend(all, until: until) },
            completion: { [shared] result in
                Self.tell(shared, .extended(keys, isDone: (try? result.get()) != nil))
            })
        if !isAsked { extended(keys, false) }
    }

    private func extended(_ keys: [QueueRowID], _ isDone: Bool) {
        isExtending = false
        if !isDone { failed() }
        for key in keys where flights[key] != nil { keeper.add(key, now: now, isUrgent: !isDone) }
    }

    /// The worker never told: its rows are tried again after a lease's time; what it still says is fenced off.
    private func giveUp(_ flight: Flight) {
        guard let first = flight.job.recipients.first else { return }
        if let id = flight.destination {
            _ = table.finished(id, .notTried, recipients: 0, now: now, random: 0)
        }
        var settlement = Settlement(flight: nil, site: first.recipient.site)
        let later = Outcome.Result.deferred(
            until: shared.gate.leaseEnd(wall), status: [], note: Outcome.Note(attempted: nil))
        settlement.outcomes = flight.job.recipients.map { Outcome(lease: $0.lease, result: later) }
        toSettle.append(settlement)
        end(first.lease)
    }

    func releaseAll() {
        guard !isReleasing, !toRelease.isEmpty, mayAsk else { return }
        let leases = Array(toRelease.prefix(Self.extendMax))
        toRelease.removeFirst(leases.count)
        let sites = Array(releaseSites)
        if toRelease.isEmpty { releaseSites.removeAll() }
        isReleasing = true
        let wall = wall
        let isAsked = shared.gateway.write(
            { (session) throws(StoreError) in try session.release(leases, now: wall) },
            completion: { [shared] result in
                Self.tell(shared, .released(sites: sites, isDone: (try? result.get()) != nil))
            })
        if isAsked { return }
        isReleasing = false
        toRelease = leases + toRelease
        releaseSites.formUnion(sites)
        failed()
    }

    // MARK: rows that grow old while their destination is not reached

    func sweepAged(_ site: [UInt8]) {
        guard !isStopping, let trouble = troubles[site], trouble.sweep == nil, trouble.nextSweep <= now else { return }
        troubles[site]?.nextSweep = now.advanced(bySeconds: Self.sweepSeconds)
        troubles[site]?.sweep = .expired
        sweepsWaiting.insert(site)
    }

    /// Goes on with the sweeps, one batch of a destination at a time, as long as what they find is settled as fast.
    func sweepOn() {
        guard !sweepsWaiting.isEmpty, !isStopping else { return }
        while toPrepare.count + toSettle.count < Self.sweptMax, let site = sweepsWaiting.popFirst() {
            guard let trouble = troubles[site], let sweep = trouble.sweep, !trouble.isSweeping else { continue }
            look(site, sweep)
        }
    }

    private func look(_ site: [UInt8], _ sweep: Sweep) {
        let rules = recorder.rules
        if sweep == .delayed, rules.delayWarningSeconds <= 0 {
            // A reload turned the notices off: what would be found has nothing to be told, and would be found for ever.
            troubles[site]?.sweep = nil
            return
        }
        let expired = Self.lowestID(at: wall, minus: rules.maxAgeSeconds)
        let warned = sweep == .delayed ? Self.lowestID(at: wall, minus: rules.delayWarningSeconds) : expired
        let (shared, wall) = (shared, wall)
        let (owner, until) = (shared.gate.owner, shared.gate.leaseEnd(wall))
        let nothing = StoreAnswer.Kind.aged(site: site, [], isAll: true)
        troubles[site]?.isSweeping = true
        // Found by a reader, so that a long look holds nobody up; a failure waits for the next time.
        let isAsked = shared.gateway.read(
            { (session) throws(StoreError) in
                try session.aged(site, warned: warned, expired: expired, limit: Self.sweepRows, at: wall)
            },
            completion: { found in
                guard let rows = try? found.get(), !rows.isEmpty else { return Self.tell(shared, nothing) }
                let isAsked = shared.gateway.write(
                    { (session) throws(StoreError) in
                        try session.lease(rows: rows, owner: owner, until: until, now: wall)
                    },
                    completion: { leased in
                        let mine = (try? leased.get()) ?? []
                        // Rows that cannot be had now would be found again and again.
                        let isAll = rows.count < Self.sweepRows || mine.isEmpty
                        Self.tell(shared, .aged(site: site, mine, isAll: isAll))
                    })
                if !isAsked { Self.tell(shared, nothing) }
            })
        if !isAsked { aged(site, [], true) }
    }

    private func aged(_ site: [UInt8], _ rows: [LeasedRecipient], _ isAll: Bool) {
        guard let trouble = troubles[site] else {
            toRelease += rows.map(\.lease)
            releaseSites.insert(site)
            return
        }
        troubles[site]?.isSweeping = false
        for settlement in recorder.settlement(aged: rows, site: site, failure: trouble.failure, now: wall) {
            if settlement.notices.isEmpty { toSettle.append(settlement) } else { toPrepare.append(settlement) }
        }
        if isAll {
            let next: Sweep? =
                trouble.sweep == .expired && recorder.rules.delayWarningSeconds > 0 ? .delayed : nil
            troubles[site]?.sweep = next
            if next == nil { return }
        }
        sweepsWaiting.insert(site)
    }

    /// The least id a message accepted then can have.
    static func lowestID(at wall: WallTime, minus seconds: Double) -> MessageID {
        let milliseconds = max(0, wall.microseconds / 1_000 - Int64(min(max(seconds, 0), 4e9) * 1_000))
        return MessageID(rawValue: (milliseconds & ((1 << 42) - 1)) << 21)
    }

    // MARK: transport security

    func writeTLSResults() {
        guard !tls.isEmpty, !isWritingTLS, mayAsk else { return }
        let at = flushTLSAt ?? now.advanced(bySeconds: Self.flushTLSSeconds)
        flushTLSAt = at
        guard at <= now || tls.isFull || isStopping else { return }
        flushTLSAt = nil
        let rows = tls.takeAll()
        isWritingTLS = true
        let isAsked = shared.gateway.write(
            { (session) throws(StoreError) in try session.addTLSResults(rows) },
            completion: { [shared] result in
                Self.tell(shared, .tlsResults(rows, isDone: (try? result.get()) != nil))
            })
        if isAsked { return }
        isWritingTLS = false
        tls.putBack(rows)
        failed()
    }
}

extension Settlement {
    fileprivate var untold: Settlement {
        var out = self
        out.notices = []
        return out
    }
}
