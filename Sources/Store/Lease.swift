package import Base
package import Protocols

/// A queue row's name: never used twice, so that an old lease cannot fit a new row.
package struct QueueRowID: Sendable, Hashable {
    package let message: MessageID
    package let recipient: Int32

    package init(message: MessageID, recipient: Int32) {
        self.message = message
        self.recipient = recipient
    }
}

/// Who holds leases: one delivery process. 0 is nobody.
package struct LeaseOwner: Sendable, Hashable {
    package let rawValue: Int64
    package init(rawValue: Int64) { self.rawValue = rawValue }
}

/// The right to work on one queue row until a moment. `generation` is the fence: every transition names it, and a row
/// whose generation went on answers "not yours any more".
package struct Lease: Sendable, Hashable {
    /// What a row has that is accepted already leased.
    package static let firstGeneration: Int64 = 1

    package let row: QueueRowID
    package let generation: Int64
    package let until: WallTime

    package init(row: QueueRowID, generation: Int64, until: WallTime) {
        self.row = row
        self.generation = generation
        self.until = until
    }
}

/// A leased queue row with what an attempt needs; the body is read by slices.
package struct LeasedRecipient: Sendable, Hashable {
    package let lease: Lease
    package let recipient: RemoteRecipient
    /// Attempts that ended before this one.
    package let attempts: Int
    package let message: StoredMessage
    /// Whether the sender was told that it waits.
    package let isWarned: Bool

    package init(
        lease: Lease, recipient: RemoteRecipient, attempts: Int, message: StoredMessage, isWarned: Bool = false
    ) {
        self.lease = lease
        self.recipient = recipient
        self.attempts = attempts
        self.message = message
        self.isWarned = isWarned
    }
}

/// How an attempt at one queue row ended.
package struct Outcome: Sendable, Hashable {
    package let lease: Lease
    package let result: Result

    package enum Result: Sendable, Hashable {
        /// The peer took it, or it failed for good and its bounce (if any) is accepted by the same job: the row goes.
        case done
        /// Try again at the moment named; `status` is the last answer, for people and bounces.
        case deferred(until: WallTime, status: [UInt8], note: Note = Note())
    }

    /// What a deferral leaves on the row besides.
    package struct Note: Sendable, Hashable {
        /// The host that gave the answer.
        package var host: [UInt8]
        /// When the attempt ended; nil: there was none, and it does not count as one.
        package var attempted: WallTime?
        /// The sender has been told, in the same job.
        package var isWarned: Bool

        package init(
            host: [UInt8] = [], attempted: WallTime? = WallTime(microseconds: 0), isWarned: Bool = false
        ) {
            self.host = host
            self.attempted = attempted
            self.isWarned = isWarned
        }
    }

    package init(lease: Lease, result: Result) {
        self.lease = lease
        self.result = result
    }
}
