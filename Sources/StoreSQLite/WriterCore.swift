import CEpoll
import CSQLite
import Handoff
import Policy
import Protocols
import Store
import Synchronization

/// The writer thread: group commit, checkpoints, sweeps, and coming back after the disk failed. Confined to its thread.
///
/// Loop: drain the mailbox up to a batch, one transaction, commit (one fsync), then all answers. Nothing waits on purpose:
/// the batch is what came while the last commit ran.
final class WriterCore {
    private enum Answer {
        case accepted
        case job(@Sendable () -> Void)
        case failed(StoreError)
    }

    private let shared: StoreShared
    private var options: SQLiteOptions { shared.options }
    private var connection: WriterConnection?
    /// Kept across connections: loops hold the same objects through their snapshots.
    private var accounts: [AccountID: MailboxUsage]

    private var batch: [WriterMessage] = []
    private var answers: [Answer] = []
    private var batchOctets = 0
    private var applyStart: UInt64 = 0
    private var commitStart: UInt64 = 0

    private var available = true
    /// What requests are answered with while there is no connection.
    private var lastFailure = StoreError.unavailable(.inputOutput)
    private var retrySeconds: Double
    private var retryAt: UInt64 = 0
    private var nextSweep: UInt64 = 0
    private var checkpointAt: Int
    private var snapshotDue = false
    private var pageSize = 4096

    init(shared: StoreShared, accounts: [AccountID: MailboxUsage]) {
        self.shared = shared
        self.accounts = accounts
        retrySeconds = shared.options.retrySecondsMin
        checkpointAt = shared.options.walOctetsMax
    }

    func run() {
        connect()
        let inbox = shared.gateway.writer
        while true {
            drain()
            if !batch.isEmpty {
                process()
                betweenBatches()
                continue
            }
            if shared.writerStopping.load(ordering: .acquiring) { break }
            idle()
            inbox.wait(timeoutMilliseconds: waitMilliseconds())
        }
        finish()
    }

    private func drain() {
        batch.removeAll(keepingCapacity: true)
        batchOctets = 0
        while batch.count < options.batchRequestsMax, batchOctets < options.batchOctetsMax,
            let message = shared.gateway.writer.next()
        {
            switch message {
            case .accept(let request, _):
                if case .inline(let bytes) = request.body { batchOctets += bytes.count }
                batch.append(message)
            case .job: batch.append(message)
            case .wake: break
            }
        }
    }

    // MARK: a batch

    private func process() {
        if connection == nil { retryIfDue() }
        guard let connection else { return answerAll(lastFailure) }
        if shared.isDiskLow() {
            refuseAccepts(.unavailable(.diskFull))
            if batch.isEmpty { return }
        }
        applyStart = mt_monotonic_ns()
        do throws(StoreError) {
            if try !attempt(connection, careful: false) {
                guard try attempt(connection, careful: true) else { throw .unavailable(.inputOutput) }
            }
        } catch {
            return batchFailed(error, connection)
        }
        committed(connection)
    }

    /// Applies the batch and commits it. False: a request failed half way, everything is undone, and the batch must be
    /// done again with a savepoint around each request. Throws when the store cannot write.
    private func attempt(_ connection: WriterConnection, careful: Bool) throws(StoreError) -> Bool {
        let session = connection.session
        let start = session.mark
        answers.removeAll(keepingCapacity: true)
        try connection.begin()
        for message in batch {
            let changes = connection.database.totalChanges
            let before = session.mark
            if careful { try connection.database.statement("SAVEPOINT request").run() }
            do throws(StoreError) {
                answers.append(try apply(message, session))
            } catch {
                if connection.database.hasFailed { throw error }
                if careful {
                    try connection.database.statement("ROLLBACK TO request").run()
                } else if connection.database.totalChanges != changes {
                    connection.database.rollback()
                    session.mark = start
                    return false
                }
                session.mark = before
                answers.append(.failed(error))
            }
            if careful { try connection.database.statement("RELEASE request").run() }
        }
        try session.flushUsage()
        commitStart = mt_monotonic_ns()
        shared.observer?.commitBegan()
        try connection.commit()
        return true
    }

    private func apply(_ message: WriterMessage, _ session: SQLiteWriterSession) throws(StoreError) -> Answer {
        switch message {
        case .accept(let request, _):
            try session.accept(request)
            return .accepted
        case .job(let job): return .job(try job.run(session))
        case .wake: return .accepted
        }
    }

    private func committed(_ connection: WriterConnection) {
        let end = mt_monotonic_ns()
        if connection.session.mark.directoryChanged {
            connection.session.mark.directoryChanged = false
            snapshotDue = true
        }
        // Before the answers: who added an account must find it at the next RCPT, who filled one must not.
        connection.session.publishUsage()
        publishSnapshot()
        accounts = connection.session.mark.accounts
        for (message, answer) in zip(batch, answers) {
            switch (message, answer) {
            case (.accept(let request, let completion), .accepted): completion(.success(request.id))
            case (.accept(_, let completion), .failed(let error)): completion(.failure(error))
            case (.job, .job(let tell)): tell()
            case (.job(let job), .failed(let error)): job.fail(error)
            case (.accept, .job), (.job, .accepted), (.wake, _): break
            }
        }
        shared.observer?.batchCommitted(
            StoreBatch(
                requests: batch.count, octets: batchOctets, queueDepth: shared.gateway.writer.depth,
                applySeconds: StoreShared.seconds(from: applyStart, to: commitStart),
                commitSeconds: StoreShared.seconds(from: commitStart, to: end)))
    }

    private func publishSnapshot() {
        guard snapshotDue, let connection, let publish = shared.onDirectoryChanged else { return }
        guard let snapshot = try? connection.session.loadSnapshot() else { return }
        snapshotDue = false
        publish(snapshot)
    }

    private func answerAll(_ error: StoreError) {
        for message in batch { Self.fail(message, error) }
        batch.removeAll(keepingCapacity: true)
    }

    private func refuseAccepts(_ error: StoreError) {
        var kept: [WriterMessage] = []
        for message in batch {
            if case .accept = message { Self.fail(message, error) } else { kept.append(message) }
        }
        batch = kept
    }

    static func fail(_ message: WriterMessage, _ error: StoreError) {
        switch message {
        case .accept(_, let completion): completion(.failure(error))
        case .job(let job): job.fail(error)
        case .wake: break
        }
    }

    // MARK: failure and recovery

    /// Nothing of the batch is kept and everybody is told so; the data is never tried again. The connection goes: what it
    /// has in memory may not be what is on the disk.
    private func batchFailed(_ error: StoreError, _ failed: WriterConnection) {
        let detail = failed.database.failureDetail
        failed.database.rollback()
        let told = error.isTemporary ? error : .unavailable(.inputOutput)
        shared.observer?.writeFailed(told, requests: batch.count, detail: detail)
        answerAll(told)
        lastFailure = told
        lose()
    }

    /// Starts over with a new connection after a wait that grows.
    private func lose() {
        if let connection { lostAnchor = connection.anchor }
        connection = nil
        setAvailable(false)
        retryAt = mt_monotonic_ns() &+ UInt64(retrySeconds * 1e9)
        retrySeconds = min(retrySeconds * 2, options.retrySecondsMax)
    }

    /// Outlives the failed connection until there is a successor: see `WriterConnection.anchor`.
    private var lostAnchor: Database?

    private func retryIfDue() {
        if mt_monotonic_ns() >= retryAt { connect() }
    }

    private func connect() {
        do throws(StoreError) {
            let made = try WriterConnection(paths: shared.paths, options: options, accounts: accounts)
            try made.probe()
            try made.reserveSegments(shared.spool)
            pageSize =
                try made.database.statement("PRAGMA page_size").first { (row) throws(StoreError) in row.int(0) }
                ?? 4096
            connection = made
            lostAnchor = nil
            accounts = made.session.mark.accounts
            retrySeconds = options.retrySecondsMin
            snapshotDue = true
            publishSnapshot()
            setAvailable(true)
        } catch {
            shared.observer?.writeFailed(error, requests: 0, detail: "reopen")
            lastFailure = error.isTemporary ? error : .unavailable(.inputOutput)
            lose()
        }
    }

    private func setAvailable(_ now: Bool) {
        guard now != available else { return }
        available = now
        shared.observer?.availabilityChanged(now)
    }

    // MARK: between batches

    private func betweenBatches() {
        idleAt = mt_monotonic_ns() &+ idleNanoseconds
        guard let connection else { return }
        if connection.logOctets(pageSize: pageSize) >= checkpointAt { checkpoint(connection) }
        if mt_monotonic_ns() >= nextSweep { sweep() }
    }

    private func idle() {
        // While it is set no large body comes this way, so nobody else would see that there is room again.
        if shared.gateway.isDiskLow { _ = shared.isDiskLow() }
        if connection == nil { return retryIfDue() }
        publishSnapshot()
        if let connection, connection.logOctets(pageSize: pageSize) > 0, mt_monotonic_ns() >= idleAt {
            checkpoint(connection)
            idleAt = mt_monotonic_ns() &+ idleNanoseconds
        }
        if mt_monotonic_ns() >= nextSweep { sweep() }
    }

    /// When a writer that has had nothing to do is idle enough for a checkpoint.
    private var idleAt: UInt64 = 0
    private var idleNanoseconds: UInt64 { UInt64(max(1, options.idleMilliseconds)) * 1_000_000 }

    /// Passive: takes what no reader still needs and waits for nobody.
    private func checkpoint(_ connection: WriterConnection) {
        let start = mt_monotonic_ns()
        do throws(StoreError) {
            let pages = try connection.checkpoint(SQLITE_CHECKPOINT_PASSIVE)
            shared.observer?.checkpointed(
                pages: pages, seconds: StoreShared.seconds(from: start, to: mt_monotonic_ns()))
            let left = connection.logOctets(pageSize: pageSize)
            // A reader held it up: not again at every batch.
            checkpointAt = left + options.walOctetsMax
        } catch {
            shared.observer?.writeFailed(error, requests: 0, detail: connection.database.failureDetail)
            if connection.database.hasFailed { lose() }
        }
    }

    private func sweep() {
        nextSweep = mt_monotonic_ns() &+ UInt64(options.sweepSeconds * 1e9)
        guard let connection else { return }
        do throws(StoreError) {
            try connection.sweep(shared.spool)
        } catch {
            if connection.database.hasFailed { lose() }
        }
    }

    private func waitMilliseconds() -> Int32 {
        guard let connection else {
            let now = mt_monotonic_ns()
            return retryAt > now ? Int32(min(60_000, (retryAt - now) / 1_000_000 + 1)) : 0
        }
        if connection.logOctets(pageSize: pageSize) > 0 || snapshotDue || shared.gateway.isDiskLow {
            return options.idleMilliseconds
        }
        return Int32(min(60_000, max(1, options.sweepSeconds * 1000)))
    }

    private func finish() {
        guard let connection else { return }
        _ = try? connection.checkpoint(SQLITE_CHECKPOINT_TRUNCATE)
        self.connection = nil
        lostAnchor = nil
    }
}
