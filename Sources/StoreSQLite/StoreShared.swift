import CEpoll
import Policy
import Store
import Synchronization

/// Where the store's files are, all in one folder.
struct StorePaths: Sendable {
    let folder: String

    var database: String { folder + "/martlet.db" }
    var lock: String { folder + "/martlet.lock" }
    var spool: String { folder + "/spool" }
}

/// What the store's threads share.
final class StoreShared: Sendable {
    let paths: StorePaths
    let options: SQLiteOptions
    let gateway: StoreGateway
    let spool: SpoolDirectory
    let observer: (any StoreObserver)?
    let onDirectoryChanged: (@Sendable (DirectorySnapshot) -> Void)?
    /// Set by `stop`, looked at by each thread when its mailbox is empty.
    let spoolStopping = Atomic<Bool>(false)
    let writerStopping = Atomic<Bool>(false)
    let readersStopping = Atomic<Bool>(false)
    /// `SQLiteOptions.diskFreeMin`, or what a reload made of it.
    let diskFreeMin: Atomic<Int>
    private let nextDiskCheck = Atomic<UInt64>(0)

    init(
        paths: StorePaths, options: SQLiteOptions, gateway: StoreGateway, spool: SpoolDirectory,
        observer: (any StoreObserver)?, onDirectoryChanged: (@Sendable (DirectorySnapshot) -> Void)?
    ) {
        self.paths = paths
        self.options = options
        diskFreeMin = Atomic(options.diskFreeMin)
        self.gateway = gateway
        self.spool = spool
        self.observer = observer
        self.onDirectoryChanged = onDirectoryChanged
    }

    /// Whether the disk is short of space, by a look at most every `diskCheckSeconds`.
    func isDiskLow() -> Bool {
        let now = mt_monotonic_ns()
        let next = nextDiskCheck.load(ordering: .relaxed)
        guard now >= next else { return gateway.isDiskLow }
        nextDiskCheck.store(now &+ UInt64(options.diskCheckSeconds * 1e9), ordering: .relaxed)
        let free = options.diskFree(paths.folder)
        gateway.setDiskLow(free >= 0 && free < Int64(diskFreeMin.load(ordering: .relaxed)))
        return gateway.isDiskLow
    }

    static func seconds(from start: UInt64, to end: UInt64) -> Double { Double(end &- start) / 1e9 }
}

/// The lock that keeps a second process out. Held until it is let go.
final class StoreLock: Sendable {
    private let descriptor: Int32

    init(path: String) throws(StoreError) {
        descriptor = mt_open(path, O_RDWR | O_CREAT, 0o600)
        if descriptor < 0 { throw StoreError(errno: descriptor) }
        let status = mt_lock_exclusive(descriptor)
        if status < 0 {
            _ = mt_close(descriptor)
            throw StoreError(errno: status)
        }
    }

    deinit { _ = mt_close(descriptor) }
}
