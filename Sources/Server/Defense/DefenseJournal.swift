package import Base
import CEpoll
import Handoff
import Policy
import Synchronization
package import Telemetry

/// Where changes are handed to the journal's thread. Posting takes no lock and never waits: what does not fit is dropped
/// and counted, stays in memory, and makes the thread rewrite the journal before it tells anybody that all is on the disk.
/// Shareable because the mailbox and the flag are, and the gate is a lock that only operators' commands take.
package final class DefenseJournalInbox: Sendable {
    enum Message: Sendable {
        case change(DefenseChange)
        /// To be told when everything before is on the disk, or that it is not.
        case sync(@Sendable (Bool) -> Void)
        case wake
    }

    let mailbox: Mailbox<Message>
    /// A change was dropped since the thread last asked.
    private let lost = Atomic<Bool>(false)
    /// Whether nobody will answer any more. Held while a sync is posted, so that none comes after the last look.
    private let isClosed = Mutex(false)
    private let metrics: GreylistMetrics

    package init(metrics: GreylistMetrics, capacity: Int = 16_384) {
        mailbox = Mailbox(capacity: capacity)
        self.metrics = metrics
    }

    func post(_ change: DefenseChange) {
        guard !mailbox.post(.change(change)) else { return }
        lost.store(true, ordering: .releasing)
        metrics.journalDropped.add()
    }

    /// `completion` runs on the journal's thread, or here, with false, when that has too much to do or has ended.
    func sync(_ completion: @escaping @Sendable (Bool) -> Void) {
        let isPosted = isClosed.withLock { isClosed in !isClosed && mailbox.post(.sync(completion)) }
        if !isPosted { completion(false) }
    }

    /// Whether changes were dropped; asking forgets it. Only the journal's thread.
    func takeLost() -> Bool { lost.exchange(false, ordering: .acquiringAndReleasing) }

    /// No sync is taken after this. Only the journal's thread, which answers those that are there.
    func close() { isClosed.withLock { $0 = true } }
}

/// The thread that keeps what the defences remember: appends changes to `journal`, syncs once a second or when an
/// operator waits for it, rewrites the file when it is twice what lives, and sweeps the greylist book part by part.
///
/// Shareable because everything that changes lives on the thread; this is the handle that starts and stops it.
package final class DefenseJournal: Sendable {
    /// How long it takes to sweep the whole book.
    package static let sweepSeconds = 3_600.0

    private let inbox: DefenseJournalInbox
    private let isStopping = Atomic<Bool>(false)
    private let thread: Mutex<ThreadHandle?> = Mutex(nil)
    /// Changes that were read at start, and octets that could not be.
    package let read: (changes: Int, lostOctets: Int)

    private init(_ inbox: DefenseJournalInbox, _ reading: DefenseJournalFile.Reading) {
        self.inbox = inbox
        read = (reading.changes, reading.lostOctets)
    }

    /// Makes the folder if need be, reads the journal into `book` and its exceptions, and starts the thread. Before
    /// anybody decides; one process to a folder: whoever opens holds the store's lock.
    package static func open(
        folder: String, book: GreylistBook, clients: ClientTable? = nil, inbox: DefenseJournalInbox,
        metrics: GreylistMetrics, log: Log?,
        now: @escaping @Sendable () -> WallTime = { SystemTime().wall() }
    ) throws(DefenseJournalError) -> DefenseJournal {
        try DefenseJournalFile.makeFolder(folder)
        var exceptions = book.exceptions.current
        let start = (now: SystemTime().monotonic(), wall: now())
        let reading = try DefenseJournalFile.read(folder: folder) { change in
            switch change {
            case .exception(let change): _ = change.apply(to: &exceptions)
            case .good(let client, let until): clients?.restore(client, until: until, start)
            case .put, .remove: book.load(change)
            }
        }
        book.exceptions.load(exceptions)
        // Opened here, so that a start that cannot write fails as one.
        let file = DefenseJournalFile(folder: folder)
        let isKept = try file.open(reading)
        report(reading, isKept: isKept, log)
        let journal = DefenseJournal(inbox, reading)
        let handover = Start(file)
        let handle = LoopThread.spawn("defense") {
            guard let file = handover.take() else { return }
            DefenseJournalThread(file, book, clients, inbox, metrics, log, now: now)
                .run { journal.isStopping.load(ordering: .acquiring) }
        }
        journal.thread.withLock { $0 = handle }
        return journal
    }

    private static func report(_ reading: DefenseJournalFile.Reading, isKept: Bool, _ log: Log?) {
        guard let log, reading.changes > 0 || reading.lostOctets > 0 else { return }
        log.write(reading.isDamaged ? .error : .info, "defense.journal_read") { line in
            line.add("changes", reading.changes)
            line.add("lost_octets", reading.lostOctets)
            if reading.isDamaged {
                line.add(
                    "damaged", isKept ? "kept as journal.damaged" : "cut off; journal.damaged could not be written")
            }
        }
    }

    /// Tells when what was changed before is on the disk.
    package func sync(_ completion: @escaping @Sendable (Bool) -> Void) { inbox.sync(completion) }

    /// What was handed over before is written and synced; returns when the thread has ended.
    package func stop() {
        guard !isStopping.exchange(true, ordering: .acquiringAndReleasing) else { return }
        // A full inbox needs no waking.
        _ = inbox.mailbox.post(.wake)
        thread.withLock { $0.take() }?.join()
    }

    /// Hands the open file to the thread.
    private final class Start: Sendable {
        private let file: Mutex<DefenseJournalFile?>

        init(_ file: sending DefenseJournalFile) { self.file = Mutex(file) }

        func take() -> sending DefenseJournalFile? { file.withLock { $0.take() } }
    }
}

extension ClientTable {
    /// What is left of a good name by the clock on the wall, which goes on while the server does not.
    fileprivate func restore(_ client: GoodClient, until: WallTime, _ start: (now: Instant, wall: WallTime)) {
        var name = client.name
        let (left, overflow) = until.microseconds.subtractingReportingOverflow(start.wall.microseconds)
        name?.seconds = overflow ? 0 : Double(left) / 1e6
        if let seconds = name?.seconds, seconds <= 0 { name = nil }
        restore(GoodClient(key: client.key, name: name), now: start.now)
    }
}
