import Base
package import Protocols

/// Told on the scheduler's thread what it does; must not block. The server connects it to metrics and log.
package protocol SchedulerObserver: AnyObject, Sendable {
    /// A recipient's attempt ended; `delaySeconds` since the message was accepted, for those delivered.
    func ended(_ result: SchedulerResult, of recipients: Int, delaySeconds: Double)
    /// A notice about a message was accepted, or could not be.
    func noticed(_ kind: DeliveryNotice.Kind, isAccepted: Bool)
    func sitePaused(_ site: [UInt8], seconds: Double, failure: DeliveryFailure)
    /// Rows taken from the store, and how long that took.
    func leased(rows: Int, seconds: Double)
    func settled(rows: Int, fenced: Int, seconds: Double)
    /// The store did not take outcomes; they are kept and tried again.
    func settleFailed(rows: Int)
    /// Rows found at the start, and how long reading them took.
    func started(rows: Int, sites: Int, takenBack: Int, seconds: Double)
    /// After each turn: what is in memory.
    func holding(inFlight: Int, ready: Int, slotsFree: Int)
}

/// How an attempt at one recipient ended, as counted.
package enum SchedulerResult: String, Sendable, Hashable, CaseIterable {
    case delivered, deferred, failed, expired
    /// The row was not ours any more.
    case fenced
}

extension SchedulerObserver {
    package func ended(_ result: SchedulerResult, of recipients: Int, delaySeconds: Double) {}
    package func noticed(_ kind: DeliveryNotice.Kind, isAccepted: Bool) {}
    package func sitePaused(_ site: [UInt8], seconds: Double, failure: DeliveryFailure) {}
    package func leased(rows: Int, seconds: Double) {}
    package func settled(rows: Int, fenced: Int, seconds: Double) {}
    package func settleFailed(rows: Int) {}
    package func started(rows: Int, sites: Int, takenBack: Int, seconds: Double) {}
    package func holding(inFlight: Int, ready: Int, slotsFree: Int) {}
}

/// For those who do not count.
package final class SilentSchedulerObserver: SchedulerObserver {
    package init() {}
}
