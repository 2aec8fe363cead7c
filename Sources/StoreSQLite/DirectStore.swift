import CEpoll
import CSQLite
import Policy
package import Store

/// The store without threads, for the command line while no server runs: the same sessions, one transaction a call, the
/// lock held for as long as this lives. Confined to the thread that made it.
package final class DirectStore {
    private let paths: StorePaths
    private let lock: StoreLock
    private let spool: SpoolDirectory
    private let connection: WriterConnection

    /// `unavailable(.busy)`: a server (or another command) has the store open.
    package init(path: String, options: SQLiteOptions = SQLiteOptions()) throws(StoreError) {
        paths = StorePaths(folder: path)
        lock = try Self.prepare(paths)
        spool = try SpoolDirectory(path: paths.spool)
        connection = try WriterConnection(paths: paths, options: options, accounts: [:])
        try connection.checkpoint(SQLITE_CHECKPOINT_TRUNCATE)
    }

    deinit { _ = try? connection.checkpoint(SQLITE_CHECKPOINT_TRUNCATE) }

    /// The folder and its lock.
    static func prepare(_ paths: StorePaths) throws(StoreError) -> StoreLock {
        let made = mt_mkdir(paths.folder, 0o700)
        if made < 0, made != -EEXIST { throw StoreError(errno: made) }
        // A new folder's own name must outlast a power cut too.
        if made >= 0 { try SpoolDirectory.sync(path: paths.folder + "/..") }
        return try StoreLock(path: paths.lock)
    }

    package func write<T>(_ job: (any StoreWriterSession) throws(StoreError) -> T) throws(StoreError) -> T {
        let session = connection.session
        let before = session.mark
        try connection.begin()
        do throws(StoreError) {
            let value = try job(session)
            try session.flushUsage()
            try connection.commit()
            session.publishUsage()
            session.mark.directoryChanged = false
            return value
        } catch {
            connection.database.rollback()
            session.mark = before
            throw error
        }
    }

    package func read<T>(_ job: (any StoreReaderSession) throws(StoreError) -> T) throws(StoreError) -> T {
        try job(connection.session)
    }

    /// Reads everything once and says what is wrong with it.
    package func verify() throws(StoreError) -> VerifyReport {
        try StoreVerifier(connection.session, folder: paths.spool).run()
    }
}
