package import Base
package import Policy
package import Protocols

/// A session in which something was refused, or that misbehaved; or connections that were turned away before they were
/// one. Its id is drawn like a message's, so `explain` finds either.
package struct ConnectionRecord: Sendable, Hashable {
    package var id: MessageID
    /// When it ended; of several connections, when the first came.
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
    /// How many there were; not recorded by earlier versions.
    package var eventCount = 0
    /// How many connections were turned away alike and are told of by this record.
    package var connections = 1
    /// Where these came from, `192.0.2.0/24`; empty: one client, or several networks.
    package var network: [UInt8] = []
    /// Not in the ledger yet: the session goes on, or more may join these connections.
    package var isOpen = false
    /// What was found out about the client, as far as it was asked; nil: nothing was, or the record is of an earlier
    /// version.
    package var evidence: ClientEvidence?
    /// Failures that no earlier record of the session has, by receiving domain.
    package var failures: [FailureTally] = []
    /// The rules of the receiving domains that refused or counted something; at most `rulesMax`.
    package var rules: [Rules] = []

    package static let rulesMax = 8

    package init(id: MessageID, time: WallTime, session: SessionFacts, reason: [UInt8]) {
        self.id = id
        self.time = time
        self.session = session
        self.reason = reason
    }

    /// One receiving domain's.
    package struct Rules: Sendable, Hashable {
        package var domain: [UInt8]
        package var policy: DomainPolicy

        package init(domain: [UInt8], policy: DomainPolicy) {
            self.domain = domain
            self.policy = policy
        }
    }
}
