/// What one reactor has done since it started. Read on its thread, for instance by a posted job.
package struct LoopStatistics: Sendable, Equatable {
    package var turns: UInt64 = 0
    package var events: UInt64 = 0
    package var accepted: UInt64 = 0
    /// Accepted and closed at once: no slot, no descriptor, or not wanted by the owner.
    package var refused: UInt64 = 0
    package var connected: UInt64 = 0
    package var closed: UInt64 = 0
    package var jobs: UInt64 = 0
    package var timersFired: UInt64 = 0
    package var bytesRead: UInt64 = 0
    package var bytesWritten: UInt64 = 0
    package var handshakes: UInt64 = 0
    package var handshakesFailed: UInt64 = 0
    package var descriptorShortages: UInt64 = 0
    /// Time spent outside the wait.
    package var busyNanoseconds: UInt64 = 0
    /// Longest turn: how late the last event of a batch was handled at worst.
    package var lagNanosecondsMax: UInt64 = 0
    package var mailboxDepthMax = 0
    package var connections = 0

    package init() {}
}
