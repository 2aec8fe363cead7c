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
    private(set) var isUnsynced = false

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
        /// There is more behind a damaged change than the torn end of a crash.
        var isDamaged = false
    }

    static func makeFolder(_ folder: String) throws(DefenseJournalError) {
        let made = mt_mkdir(folder, 0o700)
        if made < 0, made != -EEXIST { throw DefenseJournalError(path: folder, code: -made) }
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
        /// Whether `count` octets are there from `at` on.
        func fill(_ count: Int) -> Bool {
            if buffer.count - at >= count { return true }
            buffer.removeFirst(at)
            at = 0
            while buffer.count < count {
                let offset = reading.goodOctets + buffer.count
                let more = [UInt8](unsafeUninitializedCapacity: bufferOctets) { room, filled in
                    filled = Int(max(0, mt_pread(descriptor, room.baseAddress, room.count, Int64(offset))))
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
        reading.lostOctets = size - reading.goodOctets
        // A crash tears the last write only.
        reading.isDamaged = reading.lostOctets > DefenseFrame.payloadMax + DefenseFrame.headOctets
        return reading
    }

    /// For appending behind `goodOctets`; what is there after them is cut off.
    func open(goodOctets: Int) throws(DefenseJournalError) {
        let opened = mt_open(path, O_RDWR | O_CREAT, 0o600)
        if opened < 0 { throw DefenseJournalError(path: path, code: -opened) }
        descriptor = opened
        octets = goodOctets
        _ = mt_ftruncate(opened, Int64(goodOctets))
        guard goodOctets == 0 else { return }
        if !append(DefenseFrame.magic) { throw DefenseJournalError(path: path, code: EIO) }
    }

    /// False when not all of it could be written; nothing of it is kept then.
    func append(_ bytes: [UInt8]) -> Bool {
        guard Self.write(bytes, to: descriptor, at: octets) else {
            _ = mt_ftruncate(descriptor, Int64(octets))
            return false
        }
        octets += bytes.count
        isUnsynced = true
        return true
    }

    /// False when the disk did not take it.
    func sync() -> Bool {
        guard isUnsynced else { return true }
        isUnsynced = false
        return mt_fdatasync(descriptor) >= 0
    }

    /// Keeps a damaged file for people to look at.
    func setAside() {
        _ = mt_rename(path, folder + "/journal.damaged")
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
        syncFolder()
        if descriptor >= 0 { _ = mt_close(descriptor) }
        descriptor = new
        octets = written
        isUnsynced = false
        return true
    }

    var diskFree: Int { Int(max(0, mt_disk_free(folder))) }

    private func syncFolder() {
        let opened = mt_open(folder, O_RDONLY | O_DIRECTORY, 0)
        guard opened >= 0 else { return }
        _ = mt_fsync(opened)
        _ = mt_close(opened)
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
