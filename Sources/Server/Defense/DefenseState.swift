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
    /// Of the limits and the tarpit; only good names outlive a restart.
    package let clients: ClientTable
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
        let clients = ClientTable { inbox.post(.good($0, from: now())) }
        let journal = try DefenseJournal.open(
            folder: storePath + "/defense", book: book, clients: clients, inbox: inbox, metrics: metrics, log: log,
            now: now)
        return DefenseState(
            exceptions: exceptions, greylist: book, journal: journal, clients: clients, inbox: inbox)
    }

    /// An operator adds or removes exceptions: how many changed, whether there was no room for one, and whether it is on
    /// the disk (it is in force all the same).
    package func change(
        _ wanted: [DefenseExceptionChange],
        completion: @escaping @Sendable (_ changed: Int, _ isFull: Bool, _ isSafe: Bool) -> Void
    ) {
        let (changed, isFull) = exceptions.change(wanted) { inbox.post(.exception($0)) }
        inbox.sync { completion(changed, isFull, $0) }
    }

    /// An operator makes known what waits and fits one of the filters.
    package func release(
        _ filters: [GreylistFilter], now: WallTime, completion: @escaping @Sendable (Int, Bool) -> Void
    ) {
        let count = greylist.release(filters, now: now)
        inbox.sync { completion(count, $0) }
    }

    /// An operator has what fits one of the filters forgotten.
    package func forget(_ filters: [GreylistFilter], completion: @escaping @Sendable (Int, Bool) -> Void) {
        let count = greylist.forget(filters)
        inbox.sync { completion(count, $0) }
    }

    package func stop() { journal.stop() }
}
