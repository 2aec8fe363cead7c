/// What `martlet top` is shown of the running server: figures of one moment, and sums since the start of which two
/// snapshots give rates. Made on the server (`ServerMetrics.topSnapshot`, completed by the daemon), sent as JSON, decoded
/// by the command.
package struct TopSnapshot: Sendable, Equatable, Codable {
    /// Microseconds of the monotonic clock, for rates.
    package var monotonic = 0
    /// Seconds since 1970.
    package var time = 0
    package var uptimeSeconds = 0
    package var version = ""
    package var hostname = ""

    // Sums since the start.
    package var connections = 0
    package var messagesAccepted = 0
    package var messagesRefused = 0
    package var messagesDeferred = 0
    package var recipientsAccepted = 0
    package var recipientsRefused = 0
    package var octets = 0
    package var delivered = 0
    package var deliveryDeferred = 0
    package var deliveryFailed = 0
    package var commits = 0
    package var commitMicroseconds = 0
    package var dnsQueries = 0
    package var turns = 0
    package var turnMicroseconds = 0
    package var refusals: [Refusal] = []

    // Now.
    package var sessions: [Session] = []
    package var sessionsMax = 0
    package var held = 0
    package var inFlight = 0
    package var queued = 0
    package var due = 0
    package var storeQueue = 0
    package var dnsInFlight = 0
    package var diskFree = 0
    package var pressure: [Resource] = []
    /// Empty: nothing is scarce.
    package var limiting = ""
    package var slowed: [Slowed] = []

    /// Events of one control and effect.
    package struct Refusal: Sendable, Equatable, Codable {
        package var control: String
        package var effect: String
        package var count: Int

        package init(control: String, effect: String, count: Int) {
            self.control = control
            self.effect = effect
            self.count = count
        }
    }

    package struct Session: Sendable, Equatable, Codable {
        package var listener: String
        package var open: Int

        package init(listener: String, open: Int) {
            self.listener = listener
            self.open = open
        }
    }

    package struct Resource: Sendable, Equatable, Codable {
        package var name: String
        /// `calm`, `elevated`, `high`, `critical`.
        package var level: String
        /// For people.
        package var figures: String

        package init(name: String, level: String, figures: String = "") {
            self.name = name
            self.level = level
            self.figures = figures
        }
    }

    package struct Slowed: Sendable, Equatable, Codable {
        package var client: String
        package var open: Int
        package var failures: Int
        package var refused: Int
        package var milliseconds: Int

        package init(_ line: ClientLine) {
            client = line.client
            open = line.open
            failures = line.failures
            refused = line.refused
            let seconds = line.slowedSeconds
            milliseconds = seconds > 0 && seconds < 1e9 ? Int(seconds * 1_000) : 0
        }
    }

    /// Slowed clients of one snapshot.
    package static let slowedMax = 50

    package init() {}
}
