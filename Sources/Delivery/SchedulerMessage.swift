package import Base
import Store

/// What the scheduler's mailbox takes.
package enum SchedulerMessage: Sendable {
    /// Rows accepted as leased, with a slot reserved for each job.
    case accepted([DeliveryJob])
    /// Rows were accepted that nobody leased.
    case queued(sites: [[UInt8]], due: WallTime)
    /// A worker is done with a job.
    case report(JobReport)
    /// An operator changed rows: look again.
    case changed(QueueChange)
    /// Asks for a picture of the moment.
    case status(@Sendable (SchedulerStatus) -> Void)
    /// The store's answer to something the scheduler asked.
    case answer(StoreAnswer)
    /// Other limits and times hold from now on.
    case configure(SchedulerConfiguration, OutcomeRules.Times)
    /// Look at the flags.
    case wake
}

/// What an operator's command means for the scheduler.
package enum QueueChange: Sendable, Hashable {
    /// Nothing of the site is handed out any more.
    case held(site: [UInt8])
    case released(site: [UInt8])
    /// Rows were released, made due or removed, of sites the command did not name: read the store again.
    case rows
    /// Forget the pause of one destination, or of all: the operator wants it tried now.
    case retry(site: [UInt8]?)
}

/// A picture of the scheduler, for `queue summary` and metrics.
package struct SchedulerStatus: Sendable {
    package var sites: [[UInt8]: Site] = [:]
    package var inFlight = 0
    package var ready = 0
    package var slotsFree = 0

    package struct Site: Sendable, Hashable {
        /// At workers now.
        package var inFlight: Int
        /// In memory, waiting for a place.
        package var ready: Int
        /// Jobs that may be at workers at once.
        package var window: Int
        package var limit: Limit
        /// Recipients done a minute, lately.
        package var ratePerMinute: Double

        package init(inFlight: Int, ready: Int, window: Int, limit: Limit, ratePerMinute: Double) {
            self.inFlight = inFlight
            self.ready = ready
            self.window = window
            self.limit = limit
            self.ratePerMinute = ratePerMinute
        }
    }

    /// Why a destination's mail does not go faster.
    package enum Limit: Sendable, Hashable {
        /// Nothing waits but for its time.
        case idle
        /// As many transactions as are allowed.
        case concurrency
        /// As many messages a minute as are allowed.
        case rate
        /// No host answers; tried again then.
        case unreachable(until: WallTime, why: [UInt8])
        /// An operator holds it.
        case held
        /// All the server's places are taken.
        case slots

        package var text: String {
            switch self {
            case .idle: "next attempt"
            case .concurrency: "concurrency"
            case .rate: "rate"
            case .unreachable: "unreachable"
            case .held: "held"
            case .slots: "slots"
            }
        }
    }

    package init() {}
}
