import CEpoll
package import Store

/// How the SQLite back-end behaves. The defaults are for production.
package struct SQLiteOptions: Sendable {
    /// Bytes of a database page; only a new database takes it. 4, 8 and 16 KiB measured within 15 % of each other at 4 KiB a
    /// body and 50 to 2,000 mailboxes; the smallest writes least when every message goes to another mailbox.
    package var pageSize = 4096
    package var cacheBytes = 64 << 20
    package var busyMilliseconds: Int32 = 200
    package var readers = 1
    /// Most requests and octets of one group commit.
    package var batchRequestsMax = 512
    package var batchOctetsMax = 16 << 20
    /// The writer checkpoints between batches when the log is this long, else only when it has nothing to do.
    package var walOctetsMax = 64 << 20
    package var idleMilliseconds: Int32 = 250
    package var sweepSeconds = 60.0
    /// Below this much free space mail is refused before the disk is full.
    package var diskFreeMin = 64 << 20
    package var diskCheckSeconds = 0.25
    /// First and longest wait before a store that failed is tried again.
    package var retrySecondsMin = 0.1
    package var retrySecondsMax = 5.0
    package var segmentOctetsMax = 64 << 20
    /// Appended octets the spool takes in before it looks for bodies to sync.
    package var spoolTurnOctetsMax = 16 << 20

    /// Bodies up to this many octets belong in the row; callers spool larger ones. CPU a message of the whole process, 50 in
    /// flight, row against spool: 4 KiB 27 and 25 µs, 8 KiB 36 and 24, 16 KiB 45 and 24, 64 KiB 124 and 38. Alike at 4 KiB,
    /// where the row needs one sync and a spooled body waits for two.
    package static let inlineMax = 6 << 10

    // Seams for tests.
    package var vfs: String?
    package var openSegment: @Sendable (_ path: String) -> Result<any SpoolFile, StoreError> = {
        PosixSpoolFile.open(path: $0)
    }
    /// Free octets of the file system `path` is on; negative: not known.
    package var diskFree: @Sendable (_ path: String) -> Int64 = { mt_disk_free($0) }

    package init() {}
}
