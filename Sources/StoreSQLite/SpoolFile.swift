import CEpoll
package import Store

/// A segment being written. The seam for faults; confined to the spool thread.
package protocol SpoolFile: AnyObject {
    func write(_ bytes: [UInt8], at offset: Int64) throws(StoreError)
    func sync() throws(StoreError)
}

package final class PosixSpoolFile: SpoolFile {
    private let descriptor: Int32

    private init(descriptor: Int32) { self.descriptor = descriptor }

    package static func open(path: String) -> Result<any SpoolFile, StoreError> {
        let descriptor = mt_open(path, O_WRONLY | O_CREAT | O_EXCL, 0o600)
        return descriptor < 0
            ? .failure(StoreError(errno: descriptor)) : .success(PosixSpoolFile(descriptor: descriptor))
    }

    deinit { _ = mt_close(descriptor) }

    package func write(_ bytes: [UInt8], at offset: Int64) throws(StoreError) {
        var done = 0
        while done < bytes.count {
            let n = bytes.withUnsafeBytes { raw in
                mt_pwrite(descriptor, raw.baseAddress! + done, raw.count - done, offset + Int64(done))
            }
            if n == -Int64(EINTR) { continue }
            if n < 0 { throw StoreError(errno: Int32(n)) }
            if n == 0 { throw .unavailable(.diskFull) }
            done += Int(n)
        }
    }

    package func sync() throws(StoreError) {
        let status = mt_fdatasync(descriptor)
        if status < 0 { throw StoreError(errno: status) }
    }
}

extension StoreError {
    /// From a negative errno.
    package init(errno code: Int32) {
        switch -code {
        case ENOSPC, EDQUOT: self = .unavailable(.diskFull)
        case EWOULDBLOCK: self = .unavailable(.busy)
        case ENOENT: self = .notFound
        default: self = .unavailable(.inputOutput)
        }
    }
}
