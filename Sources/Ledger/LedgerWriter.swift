package import Base
import CEpoll
import Handoff
import Synchronization

/// The door to the ledger's thread, shared by everybody who records. Posting takes no lock and never waits: when the
/// thread falls behind by `LedgerLimits.inbox` records, or the disk is full, records are dropped and counted; mail is not
/// touched by it. Sendable because the mailbox is and the rest never changes.
package final class LedgerWriter: Sendable {
    private let inbox: Mailbox<LedgerMessage>
    private let isStopping = Atomic<Bool>(false)
    private let thread: Mutex<ThreadHandle?> = Mutex(nil)
    private let observer: (any LedgerObserver)?

    private init(_ limits: LedgerLimits, _ observer: (any LedgerObserver)?) {
        inbox = Mailbox(capacity: limits.inbox)
        self.observer = observer
    }

    /// Makes the folder if need be and starts the thread, which first mends what a crash left behind. One writer to a
    /// folder: whoever opens holds the store's lock.
    package static func open(
        _ path: String, _ limits: LedgerLimits = LedgerLimits(), observer: (any LedgerObserver)? = nil,
        now: @escaping @Sendable () -> WallTime = { SystemTime().wall() }
    ) throws(LedgerError) -> LedgerWriter {
        let made = mt_mkdir(path, 0o700)
        if made < 0, made != -EEXIST { throw LedgerError(path: path, code: -made) }
        let writer = LedgerWriter(limits, observer)
        let folder = LedgerFolder(path: path)
        let handle = LoopThread.spawn("ledger") {
            LedgerThread(folder, limits, observer, now: now)
                .run(writer.inbox) { writer.isStopping.load(ordering: .acquiring) }
        }
        writer.thread.withLock { $0 = handle }
        return writer
    }

    /// Hands over one record, as `encoded()` made it. Any thread.
    package func record(_ bytes: sending [UInt8]) {
        if !inbox.post(.record(bytes)) { observer?.dropped(records: 1) }
    }

    /// The bounds from now on; what is beyond them goes at once. May block. False: the thread does not take it.
    @discardableResult
    package func configure(_ limits: LedgerLimits) -> Bool {
        Patience.insist { isStopping.load(ordering: .acquiring) || inbox.post(.limits(limits)) }
    }

    /// What was handed over before is written; returns when the thread has ended. Later records are lost.
    package func stop() {
        guard !isStopping.exchange(true, ordering: .acquiringAndReleasing) else { return }
        // A full inbox needs no waking.
        _ = inbox.post(.wake)
        thread.withLock { $0.take() }?.join()
    }
}

/// What the ledger's thread is told.
enum LedgerMessage: Sendable {
    case record([UInt8])
    /// `inbox` stays as it was.
    case limits(LedgerLimits)
    case wake
}
