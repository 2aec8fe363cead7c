import CSQLite
import CSQLiteVFS
import Store

/// One connection, confined to the thread (or the command) that opened it.
final class Database {
    enum Mode {
        case writer, reader
    }

    let handle: OpaquePointer
    /// Set once the connection met an error of the disk or of a lock: whatever runs on it can no longer be trusted to
    /// have happened.
    private(set) var hasFailed = false
    private(set) var failureDetail = ""
    private var statements: [UnsafePointer<UInt8>: Statement] = [:]

    private static let memoryStatisticsOff: Void = { _ = mt_sqlite_no_memory_statistics() }()

    init(path: String, mode: Mode, options: SQLiteOptions) throws(StoreError) {
        _ = Self.memoryStatisticsOff
        var opened: OpaquePointer?
        let access = mode == .writer ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY
        // The writer's log frames go out in one write; without the VFS that does it they go out one by one.
        let vfs = mode == .writer ? mt_log_vfs(options.vfs).map { String(cString: $0) } ?? options.vfs : options.vfs
        // No mutex: a connection never leaves its thread.
        let code = sqlite3_open_v2(path, &opened, access | SQLITE_OPEN_NOMUTEX, vfs)
        guard code == SQLITE_OK, let opened else {
            sqlite3_close_v2(opened)
            throw StoreError(sqlite: code, detail: "open \(path)")
        }
        handle = opened
        sqlite3_extended_result_codes(opened, 1)
        sqlite3_busy_timeout(opened, options.busyMilliseconds)
        try configure(mode, options)
    }

    deinit {
        statements.removeAll()
        sqlite3_close_v2(handle)
    }

    private func configure(_ mode: Mode, _ options: SQLiteOptions) throws(StoreError) {
        if mode == .writer {
            // Only a database without pages takes the size.
            try execute("PRAGMA page_size=\(options.pageSize)")
            try execute("PRAGMA journal_mode=WAL")
            try execute("PRAGMA synchronous=FULL")
            // The writer checkpoints when it has nothing better to do, see `WriterCore`.
            try execute("PRAGMA wal_autocheckpoint=0")
        } else {
            try execute("PRAGMA query_only=1")
        }
        // A bad sector under a mapping is a signal that ends the process; a failed read is an error.
        try execute("PRAGMA mmap_size=0")
        try execute("PRAGMA temp_store=MEMORY")
        try execute("PRAGMA cache_size=-\(options.cacheBytes / 1024)")
    }

    func execute(_ sql: String) throws(StoreError) {
        let code = sqlite3_exec(handle, sql, nil, nil, nil)
        if code != SQLITE_OK { throw failure(code) }
    }

    /// The statement of `sql`, prepared at its first use and kept.
    func statement(_ sql: StaticString) throws(StoreError) -> Statement {
        let key = sql.utf8Start
        if let known = statements[key] { return known }
        let made = try Statement(sql, in: self)
        statements[key] = made
        return made
    }

    /// Turns a result code into our error and remembers whether the connection is to be trusted.
    func failure(_ code: Int32) -> StoreError {
        let text = String(cString: sqlite3_errmsg(handle))
        let error = StoreError(sqlite: code, detail: text)
        if error.isTemporary {
            hasFailed = true
            failureDetail = "\(text) (\(code))"
        }
        return error
    }

    var totalChanges: Int64 { sqlite3_total_changes64(handle) }
    var changes: Int { Int(sqlite3_changes64(handle)) }
    var isInTransaction: Bool { sqlite3_get_autocommit(handle) == 0 }

    /// Undoes the open transaction, if any. Cannot fail in a way that matters: a connection that cannot roll back is closed.
    func rollback() {
        for statement in statements.values { statement.reset() }
        if isInTransaction { sqlite3_exec(handle, "ROLLBACK", nil, nil, nil) }
    }

    /// Frames in the log and frames of them that are in the database now.
    func checkpoint(_ mode: Int32) throws(StoreError) -> (log: Int, done: Int) {
        var log: Int32 = 0
        var done: Int32 = 0
        let code = sqlite3_wal_checkpoint_v2(handle, nil, mode, &log, &done)
        // A reader in the way is no failure: the rest is done another time.
        if code & 0xFF == SQLITE_BUSY { return (Int(max(0, log)), Int(max(0, done))) }
        if code != SQLITE_OK { throw failure(code) }
        return (Int(max(0, log)), Int(max(0, done)))
    }
}

extension StoreError {
    init(sqlite code: Int32, detail: String) {
        switch code & 0xFF {
        case SQLITE_FULL: self = .unavailable(.diskFull)
        case SQLITE_BUSY, SQLITE_LOCKED: self = .unavailable(.busy)
        case SQLITE_CONSTRAINT: self = .conflict
        case SQLITE_CORRUPT, SQLITE_NOTADB: self = .corrupt(detail)
        case SQLITE_ERROR, SQLITE_MISUSE, SQLITE_RANGE, SQLITE_TOOBIG, SQLITE_MISMATCH: self = .invalid(detail)
        default: self = .unavailable(.inputOutput)
        }
    }
}
