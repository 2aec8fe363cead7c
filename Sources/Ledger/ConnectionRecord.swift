package import Base
package import Policy
package import Protocols

/// A session that ended without a message and was refused or misbehaved. Its id is drawn like a message's, so `explain`
/// finds either.
package struct ConnectionRecord: Sendable, Hashable {
    package var id: MessageID
    /// When it ended.
    package var time: WallTime
    package var session: SessionFacts
    /// Why it was refused or ended, for people: `too many errors`, `blocked`, `command timeout`.
    package var reason: [UInt8]
    /// The last reply that was not positive, or the greeting that refused.
    package var reply: Reply?
    package var commands = 0
    package var rejectedCommands = 0
    /// Of these recipients were refused.
    package var refusedRecipients = 0
    package var elapsedMicroseconds: UInt64 = 0
    package var iprev: AuthResults.IPRev?
    /// What defences did, in order; the first `DefenseEvent.eventsMax` are kept.
    package var events: [DefenseEvent] = []

    package init(id: MessageID, time: WallTime, session: SessionFacts, reason: [UInt8]) {
        self.id = id
        self.time = time
        self.session = session
        self.reason = reason
    }
}
