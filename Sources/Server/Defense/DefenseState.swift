package import Base
import Handoff
import Policy
package import Telemetry

/// What the defences remember across restarts: the greylist book, the operators' exceptions, and the journal they are
/// kept in. Made at start, before the listeners; stopped after the loops.
package struct DefenseState: Sendable {
    package let exceptions: DefenseExceptionsPublisher
    package let greylist: GreylistBook
    package let journal: DefenseJournal
    private let inbox: DefenseJournalInbox

    /// In `<storePath>/defense`. `rules` gives a receiving domain's rules in force.
    package static func open(
        storePath: String, metrics: GreylistMetrics, log: Log?, entriesMax: Int = 1_000_000,
        now: @escaping @Sendable () -> WallTime = { SystemTime().wall() }, rules: @escaping GreylistBook.Rules
    ) throws(DefenseJournalError) -> DefenseState {
        let exceptions = DefenseExceptionsPublisher()
        let inbox = DefenseJournalInbox(metrics: metrics)
        let book = GreylistBook(
            exceptions: exceptions, journal: inbox, metrics: metrics, entriesMax: entriesMax, rules: rules)
        let journal = try DefenseJournal.open(
            folder: storePath + "/defense", book: book, inbox: inbox, metrics: metrics, log: log, now: now)
        return DefenseState(exceptions: exceptions, greylist: book, journal: journal, inbox: inbox)
    }

    /// An operator adds or removes an exception. `completion` comes when it is on the disk (or could not be put there:
    /// false; it is in force all the same); at once when nothing changed.
    package func change(
        _ change: DefenseExceptionChange,
        completion: @escaping @Sendable (DefenseExceptionsPublisher.Result, Bool) -> Void
    ) {
        let result = exceptions.change(change) { inbox.post(.exception(change)) }
        guard result == .changed else { return completion(result, true) }
        inbox.sync { completion(result, $0) }
    }

    /// An operator makes known what waits and fits.
    package func release(
        _ filter: GreylistFilter, now: WallTime, completion: @escaping @Sendable (Int, Bool) -> Void
    ) {
        let count = greylist.release(filter, now: now)
        inbox.sync { completion(count, $0) }
    }

    /// An operator has what fits forgotten.
    package func forget(_ filter: GreylistFilter, completion: @escaping @Sendable (Int, Bool) -> Void) {
        let count = greylist.forget(filter)
        inbox.sync { completion(count, $0) }
    }

    package func stop() { journal.stop() }
}
