import CEpoll
import CSQLite
import Policy
import Store

/// The one connection that writes and checkpoints, with its session. Made by the writer thread, or by a command that has
/// the store to itself; never by two at once (the lock file sees to that).
final class WriterConnection {
    let database: Database
    let session: SQLiteWriterSession
    /// Frames in the write-ahead log, told by SQLite after each commit.
    private let logFrames: UnsafeMutablePointer<Int32>
    /// Never used after its first read. It keeps the log's index in memory when the writer's connection is closed after a
    /// failed sync, so that the next one goes on where the last good commit ended instead of finding in the page cache what
    /// never reached the disk.
    private(set) var anchor: Database?

    init(paths: StorePaths, options: SQLiteOptions, accounts: [AccountID: MailboxUsage]) throws(StoreError) {
        database = try Database(path: paths.database, mode: .writer, options: options)
        try Migrator.run(database)
        let anchor = try Database(path: paths.database, mode: .reader, options: options)
        _ = try anchor.statement("SELECT count(*) FROM meta").first { (_) throws(StoreError) in true }
        self.anchor = anchor
        session = SQLiteWriterSession(database: database, spoolPath: paths.spool)
        logFrames = .allocate(capacity: 1)
        logFrames.initialize(to: 0)
        sqlite3_wal_hook(
            database.handle,
            { context, _, _, frames in
                context?.assumingMemoryBound(to: Int32.self).pointee = frames
                return SQLITE_OK
            }, logFrames)
        session.mark.accounts = accounts
        for record in try session.accounts() {
            let usage = accounts[record.id] ?? MailboxUsage(octets: 0)
            usage.add(record.usedOctets - usage.current)
            session.mark.accounts[record.id] = usage
        }
    }

    deinit {
        sqlite3_wal_hook(database.handle, nil, nil)
        logFrames.deallocate()
        // First, so that the writer's connection is the last to close and tidies the log away.
        anchor = nil
    }

    /// Octets in the write-ahead log that are not yet in the database.
    func logOctets(pageSize: Int) -> Int { Int(logFrames.pointee) * pageSize }

    func begin() throws(StoreError) { try database.statement("BEGIN IMMEDIATE").run() }
    func commit() throws(StoreError) { try database.statement("COMMIT").run() }

    /// Proves that the disk takes a commit again.
    func probe() throws(StoreError) {
        try begin()
        do throws(StoreError) {
            try database.statement("UPDATE meta SET value = value + 1 WHERE key='probe'").run()
            try commit()
        } catch {
            database.rollback()
            throw error
        }
    }

    @discardableResult
    func checkpoint(_ mode: Int32) throws(StoreError) -> Int {
        let (log, done) = try database.checkpoint(mode)
        if done >= log { logFrames.pointee = 0 }
        return done
    }

    /// Removes segments no row names. Between transactions only.
    func sweep(_ spool: SpoolDirectory) throws(StoreError) {
        let idle = spool.idleSegments()
        if idle.isEmpty { return }
        // One probe of the index a segment: looking at all rows would hold up the mail.
        for segment in idle {
            let probe = try database.statement("SELECT 1 FROM spool_extent WHERE segment=? LIMIT 1")
            let isNamed = try probe.bind(1, segment.number).first { (_) throws(StoreError) in true } ?? false
            if !isNamed { spool.remove(segment) }
        }
    }

    /// Segment numbers rows remember must not be given out again.
    func reserveSegments(_ spool: SpoolDirectory) throws(StoreError) {
        let last = try database.statement("SELECT max(segment) FROM spool_extent").first {
            (row) throws(StoreError) in row.integer(0)
        }
        spool.reserve(above: last ?? 0)
    }
}
