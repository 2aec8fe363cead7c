import Handoff
import Store
import Synchronization

/// A reader thread: one read-only connection, each job in a transaction of its own, so that it sees one moment.
final class ReaderCore {
    private let shared: StoreShared
    private let inbox: Mailbox<ReaderMessage>
    private var session: SQLiteReaderSession?

    init(shared: StoreShared, inbox: Mailbox<ReaderMessage>) {
        self.shared = shared
        self.inbox = inbox
    }

    func run() {
        while true {
            while let message = inbox.next() {
                if case .job(let job) = message { answer(job) }
            }
            if shared.readersStopping.load(ordering: .acquiring) { break }
            // A swept segment gives its room back only when nobody has it open.
            session?.spool.closeAll()
            inbox.wait()
        }
        session = nil
    }

    private func answer(_ job: ReaderJob) {
        do throws(StoreError) {
            let session = try open()
            try session.database.statement("BEGIN").run()
            job.run(session)
            session.database.rollback()
            if session.database.hasFailed { self.session = nil }
        } catch {
            session = nil
            job.fail(error)
        }
    }

    private func open() throws(StoreError) -> SQLiteReaderSession {
        if let session { return session }
        let made = SQLiteReaderSession(
            database: try Database(path: shared.paths.database, mode: .reader, options: shared.options),
            spoolPath: shared.paths.spool)
        session = made
        return made
    }
}
