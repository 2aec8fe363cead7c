package import Base

/// What is remembered of a triplet that waits, or of a sender that has shown that it comes back. Pure; kept by the
/// greylist book and its journal.
package struct GreylistRecord: Sendable, Hashable {
    package var state: State
    /// When the wait began.
    package var firstSeen: WallTime
    /// The last attempt.
    package var lastSeen: WallTime
    /// Attempts put off while it waited; mail taken since, once it is known.
    package var attempts: UInt32

    package init(state: State, firstSeen: WallTime, lastSeen: WallTime, attempts: UInt32) {
        self.state = state
        self.firstSeen = firstSeen
        self.lastSeen = lastSeen
        self.attempts = attempts
    }

    package enum State: String, Sendable, Hashable, CaseIterable {
        /// Seen once.
        case new
        /// Came back before its time.
        case waiting
        /// Came back in time: its mail is taken.
        case known
    }
}
