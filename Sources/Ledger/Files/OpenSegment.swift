import CEpoll
import Protocols

/// The segment that grows, and its index. On the ledger's thread only.
final class OpenSegment {
    let start: MessageID
    private let folder: LedgerFolder
    private let log: LedgerFile
    /// nil after an error: readers then go through the segment itself.
    private var index: LedgerFile?
    private var entries: [LedgerIndexEntry] = []
    private var size = 0
    private var newest = Int64.min
    private(set) var isUnsynced = false

    /// A new one.
    init(_ folder: LedgerFolder, _ start: MessageID) throws(LedgerError) {
        self.folder = folder
        self.start = start
        log = try LedgerFile.writing(folder.log(start), empty: true)
        index = writeIndex(sorted: false)
    }

    private init(recovering log: LedgerFile, _ folder: LedgerFolder, _ start: MessageID) {
        self.folder = folder
        self.start = start
        self.log = log
        var scanner = FrameScanner(log, to: log.size)
        while let frame = scanner.next() {
            entries.append(LedgerIndexEntry(id: frame.head.id, offset: frame.offset))
            newest = max(newest, frame.head.microseconds)
        }
        size = scanner.goodEnd
        log.truncate(size)
        index = writeIndex(sorted: false)
    }

    /// What is on the disk, without its torn end. nil: it cannot be opened.
    static func recovered(_ folder: LedgerFolder, _ start: MessageID) -> OpenSegment? {
        do throws(LedgerError) {
            let log = try LedgerFile.writing(folder.log(start), empty: false)
            return OpenSegment(recovering: log, folder, start)
        } catch {
            return nil
        }
    }

    var count: Int { entries.count }
    var octets: Int { size + LedgerIndex.headOctets + entries.count * LedgerIndexEntry.octets }

    /// False when the disk did not take it; the segment is as before then.
    func append(_ batch: Batch) -> Bool {
        guard log.write(batch.bytes, at: size) else {
            log.truncate(size)
            return false
        }
        var added: [UInt8] = []
        let before = entries.count
        for entry in batch.entries {
            let placed = LedgerIndexEntry(id: entry.id, offset: size + entry.offset)
            entries.append(placed)
            LedgerIndex.append(placed, to: &added)
        }
        size += batch.bytes.count
        newest = max(newest, batch.newest)
        isUnsynced = true
        if let index, !index.write(added, at: LedgerIndex.headOctets + before * LedgerIndexEntry.octets) {
            self.index = nil
            _ = mt_unlink(folder.index(start))
        }
        return true
    }

    func sync() {
        log.sync()
        isUnsynced = false
    }

    /// Sorts the index; nothing is appended any more.
    func seal() -> ClosedSegment {
        sync()
        index = nil
        let sorted = writeIndex(sorted: true)
        return ClosedSegment(start: start, octets: size + (sorted?.size ?? 0), newest: newest)
    }

    /// In the place of any index there is, in one step.
    private func writeIndex(sorted: Bool) -> LedgerFile? {
        let bytes = LedgerIndex.file(entries, dataOctets: size, newest: newest, sorted: sorted)
        let path = folder.index(start)
        let draft = path + ".tmp"
        do throws(LedgerError) {
            let file = try LedgerFile.writing(draft, empty: true)
            if file.write(bytes, at: 0) {
                if sorted { file.sync() }
                if mt_rename(draft, path) == 0 { return file }
            }
        } catch {}
        _ = mt_unlink(draft)
        _ = mt_unlink(path)
        return nil
    }
}
