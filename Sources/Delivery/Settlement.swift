import Base
import Store

/// What one job's end does to the store: rows that go or wait, and the notices that go with them in the same transaction.
struct Settlement: Sendable {
    /// The lease of the job's first row: how the scheduler knows it. nil: no slot is held for it.
    let flight: Lease?
    let site: [UInt8]
    var outcomes: [Outcome] = []
    /// By outcome.
    var results: [SchedulerResult] = []
    /// Seconds since the message was accepted.
    var ageSeconds = 0.0
    /// To be written before this can be settled.
    var notices: [DeliveryNotice] = []
    /// The notices as messages, with their kinds.
    var requests: [(kind: DeliveryNotice.Kind, request: AcceptRequest)] = []

    /// The earliest moment one of its rows is due again.
    var nextDue: WallTime? {
        outcomes.compactMap { outcome in
            if case .deferred(let until, _, _) = outcome.result { until } else { nil }
        }.min()
    }
}
