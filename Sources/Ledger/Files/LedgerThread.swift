import Base
import CEpoll
import Handoff
import Protocols

/// What the ledger's thread owns: the open segment and the list of the closed ones. Lives on that thread only.
final class LedgerThread {
    /// Octets of records that are written with one call.
    private static let batchOctets = 1 << 20
    /// With records coming in, the thread looks for more this often instead of being woken by each.
    private static let napMilliseconds: Int32 = 20
    private static let idleMilliseconds: Int32 = 60_000
    /// Entries at which a segment is full whatever its octets: they are kept until it is sorted.
    private static let entriesMax = 500_000
    private static let syncMicroseconds: Int64 = 1_000_000

    private let folder: LedgerFolder
    private var limits: LedgerLimits
    private let observer: (any LedgerObserver)?
    private let now: @Sendable () -> WallTime
    private var closed: [ClosedSegment] = []
    private var open: OpenSegment?
    private var lastStart: MessageID
    private var syncedAt: Int64 = 0
    private var tidiedAt: Int64 = 0

    init(
        _ folder: LedgerFolder, _ limits: LedgerLimits, _ observer: (any LedgerObserver)?,
        now: @escaping @Sendable () -> WallTime
    ) {
        self.folder = folder
        self.limits = limits
        self.observer = observer
        self.now = now
        lastStart = MessageID(rawValue: 0)
    }

    /// Until the writer stops and nothing is left.
    func run(_ inbox: Mailbox<LedgerMessage>, isStopping: () -> Bool) {
        recover()
        var wasBusy = false
        while true {
            let stops = isStopping()
            let isBusy = drain(inbox)
            tidy()
            if stops, !isBusy { break }
            if isBusy { wasBusy = true }
            if isStopping() || isBusy && inbox.depth > 0 { continue }
            if wasBusy {
                _ = mt_poll_readable(inbox.eventDescriptor, Self.napMilliseconds)
                wasBusy = isBusy
            } else {
                inbox.wait(timeoutMilliseconds: open?.isUnsynced == true ? 1_000 : Self.idleMilliseconds)
            }
        }
        open?.sync()
    }

    // MARK: Records

    /// One batch; whether there was anything.
    private func drain(_ inbox: Mailbox<LedgerMessage>) -> Bool {
        var batch = Batch()
        while batch.bytes.count < Self.batchOctets, let message = inbox.next() {
            switch message {
            case .record(let record):
                if batch.count > 0, !hasRoom(batch, and: record.count) { flush(&batch) }
                if !batch.add(record) { observer?.dropped(records: 1) }
            case .limits(let fresh): follow(fresh)
            case .wake: break
            }
        }
        guard batch.count > 0 else { return false }
        flush(&batch)
        return true
    }

    private func flush(_ batch: inout Batch) {
        defer { batch = Batch() }
        if open != nil, !hasRoom(batch, and: 0) { close() }
        guard let segment = open ?? begin(), segment.append(batch) else {
            observer?.dropped(records: batch.count)
            return
        }
        observer?.wrote(records: batch.count, octets: batch.bytes.count)
        report()
    }

    /// Whether the batch and a record of `more` octets fit into the open segment, or the next one when there is none.
    private func hasRoom(_ batch: Batch, and more: Int) -> Bool {
        let entries = (open?.count ?? 0) + batch.count + (more > 0 ? 1 : 0)
        let frames = batch.bytes.count + more + LedgerFrame.headOctets
        let total = (open?.octets ?? LedgerIndex.headOctets) + frames + (batch.count + 1) * LedgerIndexEntry.octets
        return total <= limits.segmentMax && entries <= Self.entriesMax
    }

    private func begin() -> OpenSegment? {
        makeRoom()
        let start = max(
            MessageID(startingAt: now().microseconds / 1_000), MessageID(rawValue: lastStart.rawValue + 1))
        do throws(LedgerError) {
            open = try OpenSegment(folder, start)
            lastStart = start
        } catch {
            open = nil
        }
        return open
    }

    private func close() {
        guard let segment = open else { return }
        open = nil
        closed.append(segment.seal())
        report()
    }

    // MARK: Upkeep

    private func tidy() {
        let time = now().microseconds
        if let open, open.isUnsynced, abs(time - syncedAt) >= Self.syncMicroseconds {
            syncedAt = time
            open.sync()
        }
        guard abs(time - tidiedAt) >= 1_000 * Int64(Self.idleMilliseconds) else { return }
        tidiedAt = time
        if let open, time / 1_000 - open.start.milliseconds > Int64(limits.segmentAge) * 1_000 { close() }
        let oldest = time - Int64(limits.age) * 1_000_000
        let before = closed.count
        while let first = closed.first, first.newest < oldest { removeFirst() }
        if closed.count != before { report() }
    }

    private func follow(_ fresh: LedgerLimits) {
        guard fresh != limits else { return }
        limits = fresh
        if let open, open.octets > fresh.segmentMax { close() }
        makeRoom()
        tidiedAt = 0
        report()
    }

    /// For one more segment within the bound.
    private func makeRoom() {
        var total = closed.reduce(0) { $0 + $1.octets } + limits.segmentMax + limits.segmentMax / 64
        while let first = closed.first, total > limits.octets {
            total -= first.octets
            removeFirst()
        }
    }

    private func removeFirst() { folder.remove(closed.removeFirst().start) }

    private func report() {
        guard let observer else { return }
        let octets = closed.reduce(open?.octets ?? 0) { $0 + $1.octets }
        observer.holds(segments: closed.count + (open == nil ? 0 : 1), octets: octets)
    }

    // MARK: Start

    /// Closed segments get their index if it is not whole; the last one is read through, its torn end cut off.
    private func recover() {
        folder.sweep()
        let starts = folder.segments()
        for start in starts.dropLast() {
            if let segment = ClosedSegment(folder, start) ?? OpenSegment.recovered(folder, start)?.seal() {
                closed.append(segment)
            }
        }
        if let last = starts.last {
            lastStart = last
            if let segment = ClosedSegment(folder, last) {
                closed.append(segment)
            } else {
                open = OpenSegment.recovered(folder, last)
            }
        }
        // Within the bound even when that was made smaller.
        makeRoom()
        tidy()
        report()
    }
}

/// Records on their way to the file, as frames.
struct Batch {
    private(set) var bytes: [UInt8] = []
    /// Offsets from the batch's beginning.
    private(set) var entries: [LedgerIndexEntry] = []
    private(set) var newest = Int64.min
    var count: Int { entries.count }

    /// False: not a record.
    mutating func add(_ record: [UInt8]) -> Bool {
        guard record.count <= LedgerBounds.octets, let head = LedgerHead(record) else { return false }
        entries.append(LedgerIndexEntry(id: head.id, offset: bytes.count))
        newest = max(newest, head.microseconds)
        LedgerFrame.append(record, to: &bytes)
        return true
    }
}

/// A segment that is complete, with a sorted index.
struct ClosedSegment {
    let start: MessageID
    /// Index included.
    let octets: Int
    /// Time of the newest record.
    let newest: Int64

    init(start: MessageID, octets: Int, newest: Int64) {
        self.start = start
        self.octets = octets
        self.newest = newest
    }

    /// nil: its index is not there, not whole, or not of this segment.
    init?(_ folder: LedgerFolder, _ start: MessageID) {
        guard let log = LedgerFile.reading(folder.log(start)), let file = LedgerFile.reading(folder.index(start)),
            let index = LedgerIndex(file), index.isSorted, index.dataOctets == log.size
        else { return nil }
        self.init(start: start, octets: log.size + file.size, newest: index.newest)
    }
}
