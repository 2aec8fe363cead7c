import CEpoll

/// An open file, closed with its last reference. Reads and writes name their place, so any number may share it.
final class LedgerFile {
    let descriptor: Int32

    private init(_ descriptor: Int32) { self.descriptor = descriptor }
    deinit { _ = mt_close(descriptor) }

    /// nil: it is not there, or cannot be read.
    static func reading(_ path: String) -> LedgerFile? {
        let descriptor = mt_open(path, O_RDONLY, 0)
        return descriptor < 0 ? nil : LedgerFile(descriptor)
    }

    static func writing(_ path: String, empty: Bool) throws(LedgerError) -> LedgerFile {
        let descriptor = mt_open(path, O_RDWR | O_CREAT | (empty ? O_TRUNC : 0), 0o600)
        if descriptor < 0 { throw LedgerError(path: path, code: -descriptor) }
        return LedgerFile(descriptor)
    }

    var size: Int { max(0, Int(mt_file_size(descriptor))) }

    /// At most `count` octets from `offset` on; fewer at the end or after an error.
    func read(_ count: Int, at offset: Int) -> [UInt8] {
        guard count > 0 else { return [] }
        return [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            while filled < count, let base = buffer.baseAddress {
                let n = mt_pread(descriptor, base + filled, count - filled, Int64(offset + filled))
                if n == -Int64(EINTR) { continue }
                guard n > 0 else { return }
                filled += Int(n)
            }
        }
    }

    /// False when not all of it could be written; what is there then is for the caller to cut off.
    func write(_ bytes: [UInt8], at offset: Int) -> Bool {
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

    func truncate(_ size: Int) { _ = mt_ftruncate(descriptor, Int64(size)) }
    func sync() { _ = mt_fdatasync(descriptor) }
}
