import CEpoll
import Ledger

/// A file operation of the journal that failed.
package struct DefenseJournalError: Error, CustomStringConvertible {
    package let path: String
    package let code: Int32

    package var description: String { "\(path): \(String(cString: strerror(code)))" }
}

/// The journal's file: read once at start, then appended to and now and then replaced by a shorter one. Lives on one
/// thread.
final class DefenseJournalFile {
    private static let bufferOctets = 1 << 20

    private let folder: String
    private var descriptor: Int32 = -1
    private(set) var octets = 0
    private var hasUnsyncedOctets = false
    /// The file's name in the folder may be lost with the power.
    private var hasUnsyncedName = false

    /// What was written may not be on the disk yet.
    var isUnsynced: Bool { hasUnsyncedOctets || hasUnsyncedName }

    private var path: String { folder + "/journal" }

    init(folder: String) { self.folder = folder }
    deinit { if descriptor >= 0 { _ = mt_close(descriptor) } }

    /// How reading ended.
    struct Reading: Sendable {
        var changes = 0
        /// Where the last good change ended.
        var goodOctets = 0
        /// Octets after it.
        var lostOctets = 0
        /// What is behind the last good change is more than one torn change: people may want to look at it.
        var isDamaged = false
    }

    static func makeFolder(_ folder: String) throws(DefenseJournalError) {
        let made = mt_mkdir(folder, 0o700)
        if made < 0, made != -EEXIST { throw DefenseJournalError(path: folder, code: -made) }
        guard let slash = folder.lastIndex(of: "/"), slash > folder.startIndex else { return }
        let parent = String(folder[..<slash])
        let status = sync(folder: parent)
        if status < 0 { throw DefenseJournalError(path: parent, code: -status) }
    }

    /// Gives out every change up to the first that is not whole.
    static func read(folder: String, _ body: (DefenseChange) -> Void) throws(DefenseJournalError) -> Reading {
        var reading = Reading()
        let path = folder + "/journal"
        let descriptor = mt_open(path, O_RDONLY, 0)
        if descriptor == -ENOENT { return reading }
        if descriptor < 0 { throw DefenseJournalError(path: path, code: -descriptor) }
        defer { _ = mt_close(descriptor) }
        let size = Int(max(0, mt_file_size(descriptor)))
        var buffer: [UInt8] = []
        var at = 0
        var failure: Int32 = 0
        /// Whether `count` octets are there from `at` on.
        func fill(_ count: Int) -> Bool {
            if buffer.count - at >= count { return true }
            buffer.removeFirst(at)
            at = 0
            while buffer.count < count {
                let offset = reading.goodOctets + buffer.count
                let more = [UInt8](unsafeUninitializedCapacity: bufferOctets) { room, filled in
                    let status = mt_pread(descriptor, room.baseAddress, room.count, Int64(offset))
                    if status < 0 { failure = Int32(clamping: -status) }
                    filled = Int(max(0, status))
                }
                if more.isEmpty { return false }
                buffer += more
            }
            return true
        }
        func take(_ count: Int) {
            at += count
            reading.goodOctets += count
        }
        guard fill(DefenseFrame.magic.count), buffer.starts(with: DefenseFrame.magic) else {
            if failure != 0 { throw DefenseJournalError(path: path, code: failure) }
            reading.lostOctets = size
            reading.isDamaged = size >= DefenseFrame.magic.count
            return reading
        }
        take(DefenseFrame.magic.count)
        while fill(DefenseFrame.headOctets) {
            let length = Int(DefenseFrame.integer(buffer[...], at, 4))
            let whole = DefenseFrame.headOctets + length
            guard (1...DefenseFrame.payloadMax).contains(length), fill(whole) else { break }
            let payload = buffer[(at + DefenseFrame.headOctets)..<(at + whole)]
            guard UInt64(CRC32.of(Array(payload))) == DefenseFrame.integer(buffer[...], at + 4, 4) else { break }
            if let change = DefenseFrame.change(payload) { body(change) }
            reading.changes += 1
            take(whole)
        }
        // What could not be read may be good: it must not be cut off.
        if failure != 0 { throw DefenseJournalError(path: path, code: failure) }
        reading.lostOctets = size - reading.goodOctets
        reading.isDamaged = reading.lostOctets > DefenseFrame.payloadMax + DefenseFrame.headOctets
        return reading
    }

    /// For appending behind what was read; what is there after that is cut off, and only that: the good part never
    /// leaves its place. False: a damaged end could not be kept.
    func open(_ reading: Reading) throws(DefenseJournalError) -> Bool {
        if reading.isDamaged, reading.goodOctets == 0 { try setAside() }
        let opened = mt_open(path, O_RDWR | O_CREAT, 0o600)
        if opened < 0 { throw DefenseJournalError(path: path, code: -opened) }
        descriptor = opened
        octets = reading.goodOctets
        let isKept = !reading.isDamaged || octets == 0 || keepEnd()
        let cut = mt_ftruncate(opened, Int64(octets))
        if cut < 0 { throw DefenseJournalError(path: path, code: -cut) }
        if octets == 0, !append(DefenseFrame.magic) { throw DefenseJournalError(path: path, code: EIO) }
        // Synced before anything else is, so that a crash does not bring back what was cut off, or lose the name.
        hasUnsyncedOctets = hasUnsyncedOctets || reading.lostOctets > 0
        hasUnsyncedName = true
        if !sync() { throw DefenseJournalError(path: path, code: EIO) }
        return isKept
    }

    /// Nothing of the file can be read, not even what it is: perhaps another version can.
    private func setAside() throws(DefenseJournalError) {
        let status = mt_rename(path, folder + "/journal.damaged")
        if status < 0 { throw DefenseJournalError(path: path, code: -status) }
    }

    /// Copies what is behind the good octets to `journal.damaged`, for people to look at. False: it could not.
    private func keepEnd() -> Bool {
        let copy = mt_open(folder + "/journal.damaged", O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        guard copy >= 0 else { return false }
        defer { _ = mt_close(copy) }
        var at = octets
        while true {
            var status: Int64 = 0
            let part = [UInt8](unsafeUninitializedCapacity: Self.bufferOctets) { room, filled in
                status = mt_pread(descriptor, room.baseAddress, room.count, Int64(at))
                filled = Int(max(0, status))
            }
            if status < 0 { return false }
            if part.isEmpty { return mt_fsync(copy) >= 0 }
            guard Self.write(part, to: copy, at: at - octets) else { return false }
            at += part.count
        }
    }

    /// False when not all of it could be written; nothing of it is kept then.
    func append(_ bytes: [UInt8]) -> Bool {
        guard Self.write(bytes, to: descriptor, at: octets) else {
            _ = mt_ftruncate(descriptor, Int64(octets))
            return false
        }
        octets += bytes.count
        hasUnsyncedOctets = true
        return true
    }

    /// False when the disk did not take it.
    func sync() -> Bool {
        if hasUnsyncedName { hasUnsyncedName = Self.sync(folder: folder) < 0 }
        guard hasUnsyncedOctets else { return !hasUnsyncedName }
        hasUnsyncedOctets = false
        return mt_fdatasync(descriptor) >= 0 && !hasUnsyncedName
    }

    /// Writes a new file with what `each` gives and puts it in the old one's place. False: the old one stays.
    func rewrite(_ each: ((DefenseChange) -> Void) -> Void) -> Bool {
        let temporary = folder + "/journal.tmp"
        let new = mt_open(temporary, O_RDWR | O_CREAT | O_TRUNC, 0o600)
        guard new >= 0 else { return false }
        var buffer = DefenseFrame.magic
        var written = 0
        var isGood = true
        func flush() {
            guard isGood else { return }
            isGood = Self.write(buffer, to: new, at: written)
            written += buffer.count
            buffer.removeAll(keepingCapacity: true)
        }
        each { change in
            DefenseFrame.append(change, to: &buffer)
            if buffer.count >= Self.bufferOctets { flush() }
        }
        flush()
        guard isGood, mt_fsync(new) >= 0, mt_rename(temporary, path) >= 0 else {
            _ = mt_close(new)
            _ = mt_unlink(temporary)
            return false
        }
        hasUnsyncedName = true
        if descriptor >= 0 { _ = mt_close(descriptor) }
        descriptor = new
        octets = written
        hasUnsyncedOctets = false
        // Where this fails, the next sync tries again, and says so.
        _ = sync()
        return true
    }

    var diskFree: Int { Int(max(0, mt_disk_free(folder))) }

    /// Makes the names in it last; a negative error code.
    private static func sync(folder: String) -> Int32 {
        let opened = mt_open(folder, O_RDONLY | O_DIRECTORY, 0)
        guard opened >= 0 else { return opened }
        defer { _ = mt_close(opened) }
        return mt_fsync(opened)
    }

    private static func write(_ bytes: [UInt8], to descriptor: Int32, at offset: Int) -> Bool {
        bytes.withUnsafeBytes { buffer in
            var done = 0
            while done < buffer.count, let base = buffer.baseAddress {
                let n = mt_pwrite(descriptor, base + done, buffer.count - done, Int64(offset + done))
                if n == -Int64(EINTR) { continue }
                guard n > 0 else { return false }
                done += Int(n)
            }
            return true
        }
    }
}
