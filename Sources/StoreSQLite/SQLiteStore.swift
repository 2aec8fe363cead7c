import CEpoll
import CSQLite
import Handoff
package import Policy
package import Store
import Synchronization

/// The default back-end: one folder with a SQLite database, a lock file and the spool of large bodies. Owns the store's
/// threads between `start` and `stop`.
package final class SQLiteStore: Sendable {
    package let gateway: StoreGateway
    /// What was in the directory when the store was opened.
    package let initialSnapshot: DirectorySnapshot

    private struct Threads {
        var writer: ThreadHandle?
        var spool: ThreadHandle?
        var readers: [ThreadHandle] = []
        var hasStarted = false
    }

    private let paths: StorePaths
    private let options: SQLiteOptions
    private let spool: SpoolDirectory
    private let accounts: [AccountID: MailboxUsage]
    private let threads = Mutex(Threads())
    private let lock: Mutex<StoreLock?>
    private let sharedState = Mutex<StoreShared?>(nil)

    /// Makes the folder's files if they are not there, brings the schema up to date, and keeps every other process out.
    /// `unavailable(.busy)`: another process has the store open.
    package static func open(path: String, options: SQLiteOptions = SQLiteOptions()) throws(StoreError) -> SQLiteStore {
        try SQLiteStore(path: path, options: options)
    }

    private init(path: String, options: SQLiteOptions) throws(StoreError) {
        paths = StorePaths(folder: path)
        self.options = options
        let lock = try DirectStore.prepare(paths)
        spool = try SpoolDirectory(path: paths.spool)
        let connection = try WriterConnection(paths: paths, options: options, accounts: [:])
        // The log of a process that died is brought into the database before anything is written behind it: its tail may
        // be in the page cache only.
        try connection.checkpoint(SQLITE_CHECKPOINT_TRUNCATE)
        try connection.reserveSegments(spool)
        try connection.sweep(spool)
        initialSnapshot = try connection.session.loadSnapshot()
        accounts = connection.session.mark.accounts
        self.lock = Mutex(lock)
        gateway = StoreGateway(readers: options.readers)
    }

    /// Starts the threads. `onDirectoryChanged` is called on the writer thread, once at the start and then after every commit
    /// that changed the directory, before the change is answered. Once only.
    package func start(
        observer: (any StoreObserver)? = nil,
        onDirectoryChanged: (@Sendable (DirectorySnapshot) -> Void)? = nil
    ) {
        let shared = StoreShared(
            paths: paths, options: options, gateway: gateway, spool: spool, observer: observer,
            onDirectoryChanged: onDirectoryChanged)
        let accounts = accounts
        threads.withLock { threads in
            guard !threads.hasStarted else { return }
            threads.hasStarted = true
            sharedState.withLock { $0 = shared }
            threads.writer = LoopThread.spawn("store-writer") { WriterCore(shared: shared, accounts: accounts).run() }
            threads.spool = LoopThread.spawn("spool-0") { SpoolCore(shared: shared).run() }
            for (index, inbox) in gateway.readers.enumerated() {
                threads.readers.append(
                    LoopThread.spawn("store-reader-\(index)") { ReaderCore(shared: shared, inbox: inbox).run() })
            }
        }
    }

    /// Below this much free space mail is refused, from the next look at the disk on. Any thread; of no use before `start`.
    package func setDiskFreeMin(_ octets: Int) {
        sharedState.withLock { $0 }?.diskFreeMin.store(octets, ordering: .relaxed)
    }

    /// Takes no more requests, commits or fails those it has, checkpoints, closes, and lets the lock go. Blocks.
    package func stop() {
        gateway.close()
        let running = threads.withLock { threads in
            let running = threads
            threads.writer = nil
            threads.spool = nil
            threads.readers = []
            return running
        }
        if let shared = sharedState.withLock({ $0 }) {
            // In the order work flows, so that a body the spool finishes still finds the writer.
            shared.spoolStopping.store(true, ordering: .releasing)
            while !gateway.spool.post(.wake) { sched_yield() }
            running.spool?.join()
            shared.readersStopping.store(true, ordering: .releasing)
            for (inbox, thread) in zip(gateway.readers, running.readers) {
                while !inbox.post(.wake) { sched_yield() }
                thread.join()
            }
            shared.writerStopping.store(true, ordering: .releasing)
            while !gateway.writer.post(.wake) { sched_yield() }
            running.writer?.join()
        }
        failLeftovers()
        lock.withLock { $0 = nil }
    }

    /// What was posted while the threads ended: this thread is the mailboxes' only consumer now.
    private func failLeftovers() {
        while let message = gateway.spool.next() {
            switch message {
            case .append(_, _, let done): done()
            case .finish(_, let completion): completion(.failure(.unavailable(.stopped)))
            case .wake: break
            }
        }
        while let message = gateway.writer.next() { WriterCore.fail(message, .unavailable(.stopped)) }
        for inbox in gateway.readers {
            while let message = inbox.next() {
                if case .job(let job) = message { job.fail(.unavailable(.stopped)) }
            }
        }
    }
}
