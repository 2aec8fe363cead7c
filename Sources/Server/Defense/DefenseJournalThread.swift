import Base
import CEpoll
import Handoff
import Policy
import Telemetry

/// What the journal's thread owns. Lives on that thread only.
final class DefenseJournalThread {
    /// Octets written with one call.
    private static let batchOctets = 1 << 18
    /// With changes coming in, the thread looks for more this often instead of being woken by each.
    private static let napMilliseconds: Int32 = 50
    private static let syncSeconds = 1.0
    private static let retrySeconds = 60.0
    /// A file smaller than this is not worth a rewrite.
    private static let smallOctets = 1 << 20
    /// What a frame has besides the key.
    private static let frameOctets = 32

    private let file: DefenseJournalFile
    private let book: GreylistBook
    private let clients: ClientTable?
    private let inbox: DefenseJournalInbox
    private let metrics: GreylistMetrics
    private let log: Log?
    private let now: @Sendable () -> WallTime
    private let clock = SystemTime()
    /// Changes are missing in the file.
    private var needsRewrite = false
    private var rewriteTried = Instant(nanoseconds: 0)
    private var synced = Instant(nanoseconds: 0)
    private var told = Instant(nanoseconds: 0)
    private var swept: Instant
    private var part = 0
    /// Octets at which the file is looked at again.
    private var rewriteAt = smallOctets

    init(
        _ file: DefenseJournalFile, _ book: GreylistBook, _ clients: ClientTable?, _ inbox: DefenseJournalInbox,
        _ metrics: GreylistMetrics,
        _ log: Log?, now: @escaping @Sendable () -> WallTime
    ) {
        self.file = file
        self.book = book
        self.clients = clients
        self.inbox = inbox
        self.metrics = metrics
        self.log = log
        self.now = now
        swept = clock.monotonic()
    }

    /// Until it is stopped and nothing is left.
    func run(isStopping: () -> Bool) {
        measure()
        var wasBusy = false
        while true {
            let stops = isStopping()
            let isBusy = drain()
            tend()
            if stops, !isBusy { break }
            if isStopping() || isBusy && inbox.mailbox.depth > 0 { continue }
            if isBusy || wasBusy {
                _ = mt_poll_readable(inbox.mailbox.eventDescriptor, Self.napMilliseconds)
            } else {
                inbox.mailbox.wait(timeoutMilliseconds: file.isUnsynced ? 1_000 : 10_000)
            }
            wasBusy = isBusy
        }
        // Who asked meanwhile is answered, who asks later is told at once.
        inbox.close()
        while drain() {}
        if needsRewrite { rewrite() }
        if !file.sync() { metrics.journalErrors.add() }
    }

    // MARK: Changes

    /// One batch; whether there was anything.
    private func drain() -> Bool {
        var bytes: [UInt8] = []
        var count = 0
        var waiting: [@Sendable (Bool) -> Void] = []
        var isBusy = false
        while bytes.count < Self.batchOctets, let message = inbox.mailbox.next() {
            isBusy = true
            switch message {
            case .change(let change):
                DefenseFrame.append(change, to: &bytes)
                count += 1
            case .sync(let completion):
                waiting.append(completion)
            case .wake:
                break
            }
        }
        write(bytes, count)
        if inbox.takeLost() { needsRewrite = true }
        if !waiting.isEmpty {
            // What a failed write or a full inbox left out is in memory: a rewrite is the way to put it on the disk.
            if needsRewrite { rewrite() }
            let isSafe = !needsRewrite && sync()
            for completion in waiting { completion(isSafe) }
        }
        return isBusy
    }

    private func write(_ bytes: [UInt8], _ count: Int) {
        guard count > 0 else { return }
        if file.append(bytes) {
            metrics.journalFrames.add(count)
        } else {
            metrics.journalDropped.add(count)
            failed("write")
            needsRewrite = true
        }
        metrics.journalOctets.set(file.octets)
    }

    private func sync() -> Bool {
        synced = clock.monotonic()
        if file.sync() { return true }
        failed("sync")
        // What the failed sync was to write may be gone without another error.
        needsRewrite = true
        return false
    }

    /// Counts each, tells of one a minute.
    private func failed(_ what: StaticString) {
        metrics.journalErrors.add()
        let time = clock.monotonic()
        guard told.nanoseconds == 0 || time.seconds(since: told) >= Self.retrySeconds else { return }
        told = time
        log?.error("defense.journal_failed") { $0.add("at", what) }
    }

    // MARK: Upkeep

    private func tend() {
        let time = clock.monotonic()
        if file.isUnsynced, time.seconds(since: synced) >= Self.syncSeconds { _ = sync() }
        if needsRewrite, time.seconds(since: rewriteTried) >= Self.retrySeconds { rewrite() }
        if file.octets >= rewriteAt {
            if file.octets >= max(Self.smallOctets, 2 * live) { rewrite() } else { measure() }
        }
        let step = DefenseJournal.sweepSeconds / Double(GreylistBook.parts)
        guard time.seconds(since: swept) >= step else { return }
        swept = time
        _ = book.sweep(part: part, now: now())
        part = (part + 1) % GreylistBook.parts
    }

    /// Octets the file would have if it were written anew.
    private var live: Int {
        let size = book.size
        var good = 0
        clients?.eachGood(now: clock.monotonic()) { _ in good += 1 }
        return size.octets + size.entries * Self.frameOctets + good * DefenseFrame.goodFrameOctets
    }

    private func measure() {
        rewriteAt = max(Self.smallOctets, file.octets + file.octets / 8, 2 * live)
        metrics.journalOctets.set(file.octets)
    }

    private func rewrite() {
        rewriteTried = clock.monotonic()
        // The last of a disk is for mail.
        guard file.diskFree > 2 * live else { return failed("rewrite") }
        let exceptions = book.exceptions.current
        let isDone = file.rewrite { emit in
            for change in exceptions.changes { emit(.exception(change)) }
            book.each { key, record, hasLapsed in emit(.put(key, record, hasLapsed: hasLapsed)) }
            let wall = now()
            clients?.eachGood(now: clock.monotonic()) { emit(.good($0, from: wall)) }
        }
        if isDone {
            needsRewrite = false
            metrics.journalRewrites.add()
        } else {
            failed("rewrite")
        }
        measure()
    }
}

extension DefenseExceptions {
    /// What makes them from nothing.
    var changes: [DefenseExceptionChange] {
        limits.map { DefenseExceptionChange(.limits($0), isRemoval: false) }
            + tarpit.map { DefenseExceptionChange(.tarpit($0), isRemoval: false) }
            + greylist.map { DefenseExceptionChange(.greylist($0), isRemoval: false) }
            + greylistDomains.map { DefenseExceptionChange(.greylistDomain($0), isRemoval: false) }
    }
}
