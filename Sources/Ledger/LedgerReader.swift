package import Base
import CEpoll
package import Protocols

/// Reads a ledger's folder, with or without a writer at work there, and changes nothing. Holds no file open between calls;
/// segments that retention removes meanwhile are as if they had been empty. Blocks on the disk: not for a loop.
package struct LedgerReader: Sendable {
    /// Records given out of one id.
    package static let recordsMax = 1_000
    /// How much later than its id's time a decision may have been written.
    private static let slackMilliseconds: Int64 = 3_600_000

    private let folder: LedgerFolder

    package init(path: String) { folder = LedgerFolder(path: path) }

    /// What is known of a message or session, in the order it was written: at most `recordsMax`.
    package func records(of id: MessageID) -> [LedgerRecord] {
        var out: [LedgerRecord] = []
        let starts = folder.segments()
        for (i, start) in starts.enumerated() where out.count < Self.recordsMax {
            // A segment that was complete before the id was drawn cannot know it.
            if i + 1 < starts.count, starts[i + 1].milliseconds + Self.slackMilliseconds < id.milliseconds { continue }
            collect(id, start, &out)
        }
        return out
    }

    private func collect(_ id: MessageID, _ start: MessageID, _ out: inout [LedgerRecord]) {
        // Before the segment: a writer may be adding to both.
        let indexFile = LedgerFile.reading(folder.index(start))
        guard let log = LedgerFile.reading(folder.log(start)) else { return }
        let size = log.size
        let limit = Self.recordsMax - out.count
        guard let indexFile, let index = LedgerIndex(indexFile) else {
            return collect(id, log, from: 0, to: size, &out)
        }
        if index.isSorted, index.dataOctets == size {
            let offsets = index.offsets(of: id.rawValue, in: indexFile, limit: limit)
            if read(id, offsets, log, &out) { return }
            return collect(id, log, from: 0, to: size, &out)
        }
        guard !index.isSorted else { return collect(id, log, from: 0, to: size, &out) }
        let (offsets, last) = LedgerIndex.search(id.rawValue, in: indexFile, limit: limit)
        guard read(id, offsets, log, &out) else { return collect(id, log, from: 0, to: size, &out) }
        // What was written since, or never came into the index.
        var scanner = FrameScanner(log, from: last ?? 0, to: size)
        var isFirst = last != nil
        while out.count < Self.recordsMax, let frame = scanner.next() {
            if isFirst, frame.offset == last {
                isFirst = false
                continue
            }
            if frame.head.id == id.rawValue, let record = LedgerRecord(scanner.record(frame)) { out.append(record) }
        }
    }

    /// False, and nothing added, when the index leads to something else.
    private func read(_ id: MessageID, _ offsets: [Int], _ log: LedgerFile, _ out: inout [LedgerRecord]) -> Bool {
        var found: [LedgerRecord] = []
        let size = log.size
        for offset in offsets {
            guard offset >= 0, offset < size else { return false }
            var scanner = FrameScanner(
                log, from: offset, to: min(size, offset + LedgerFrame.headOctets + LedgerBounds.octets),
                chunk: FrameScanner.smallChunk)
            guard let frame = scanner.next(), frame.offset == offset, frame.head.id == id.rawValue else { return false }
            if let record = LedgerRecord(scanner.record(frame)) { found.append(record) }
        }
        out += found
        return true
    }

    private func collect(_ id: MessageID, _ log: LedgerFile, from: Int, to: Int, _ out: inout [LedgerRecord]) {
        var scanner = FrameScanner(log, from: from, to: to)
        while out.count < Self.recordsMax, let frame = scanner.next() {
            if frame.head.id == id.rawValue, let record = LedgerRecord(scanner.record(frame)) { out.append(record) }
        }
    }

    // MARK: All records

    /// Every record of that time or later, in the order they were written, until `visit` returns false. One segment is
    /// open at a time, one record in memory.
    package func scan(since: WallTime, _ visit: (LedgerRecord) -> Bool) {
        _ = scan(from: nil, since: since, octetsMax: Int.max, visit)
    }

    /// Like `scan`, and stops after about `octetsMax` octets of segments; where to go on, or nil at the end.
    package func scan(
        from cursor: LedgerCursor?, since: WallTime, octetsMax: Int, _ visit: (LedgerRecord) -> Bool
    ) -> LedgerCursor? {
        let starts = folder.segments()
        var read = 0
        for (i, start) in starts.enumerated() {
            if let cursor, start.rawValue < cursor.segment { continue }
            if i + 1 < starts.count, starts[i + 1].milliseconds + Self.slackMilliseconds < since.microseconds / 1_000 {
                continue
            }
            guard let log = LedgerFile.reading(folder.log(start)) else { continue }
            let from = cursor?.segment == start.rawValue ? cursor?.offset ?? 0 : 0
            var scanner = FrameScanner(log, from: from, to: log.size)
            while let frame = scanner.next() {
                if frame.head.microseconds >= since.microseconds, let record = LedgerRecord(scanner.record(frame)) {
                    guard visit(record) else { return nil }
                }
                if read + scanner.goodEnd - from >= octetsMax {
                    return LedgerCursor(segment: start.rawValue, offset: scanner.goodEnd)
                }
            }
            read += scanner.goodEnd - from
        }
        return nil
    }
}

/// How far a scan has come.
package struct LedgerCursor: Sendable, Hashable {
    fileprivate var segment: Int64
    fileprivate var offset: Int
}
