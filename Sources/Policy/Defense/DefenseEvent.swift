package import Protocols

/// One thing a defence did to a session or a message, or noted about it, as the ledger keeps it and `explain` shows it.
/// Made by drivers from decisions; bounded by `eventsMax` for each record.
package struct DefenseEvent: Sendable, Hashable {
    package var control: Control
    package var effect: Effect
    /// The recipient, the sender or the domain concerned; empty: the client.
    package var subject: [UInt8]
    /// For people: why, with the figures that decided.
    package var detail: [UInt8]
    /// What the client was told.
    package var reply: Reply?
    /// Since the connection was opened.
    package var afterMicroseconds: UInt64

    package static let eventsMax = 32

    package init(
        _ control: Control, _ effect: Effect, subject: [UInt8] = [], detail: String, reply: Reply? = nil,
        afterMicroseconds: UInt64 = 0
    ) {
        self.control = control
        self.effect = effect
        self.subject = subject
        self.detail = Array(detail.utf8)
        self.reply = reply
        self.afterMicroseconds = afterMicroseconds
    }

    /// Which defence.
    package enum Control: String, Sendable, Hashable, CaseIterable {
        /// A limit of connections, messages, recipients or failed logins.
        case limit
        case greylist, tarpit
        /// What DNS lists, reverse DNS, HELO and early talk add up to.
        case score
        case milter, pressure
        /// The message, or one like it, ended the process before.
        case poison
    }

    package enum Effect: String, Sendable, Hashable, CaseIterable {
        /// Evidence only.
        case noted
        /// Let through because of what is known.
        case passed
        case slowed
        /// 4xx.
        case deferred
        /// 5xx.
        case refused
        /// 421 and the end of the connection.
        case closed
        case quarantined
        /// Taken and thrown away on a filter's word.
        case discarded
        /// The message was changed.
        case modified
    }
}
