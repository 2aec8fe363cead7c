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
    /// The same figures as values; nil: there are none, or the event is of an earlier version.
    package var figures: DefenseFigures?

    package static let eventsMax = 32
    /// Of these may be of plain rules, so that they leave room for what defences did.
    package static let plainEventsMax = 16

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

    /// Which defence, or which other rule refused.
    package enum Control: String, Sendable, Hashable, CaseIterable {
        /// A limit of connections, messages, recipients or failed logins.
        case limit
        case greylist, tarpit
        /// What DNS lists, reverse DNS, HELO and early talk add up to.
        case score
        case milter, pressure
        /// The message, or one like it, ended the process before.
        case poison
        /// No header of a trusted proxy on a port that wants one.
        case proxy
        /// Whose address it is, and what that takes.
        case directory
        /// What the session itself answers: syntax, sequence, sizes, no login or no TLS yet.
        case `protocol`
        case login
        /// What could not be checked or kept just now.
        case store
        /// What an account sends in an hour.
        case rate

        /// A rule of mail as such: it turns away friends' mistakes as it does abuse, and any number in one session.
        package var isPlain: Bool {
            switch self {
            case .limit, .greylist, .tarpit, .score, .milter, .pressure, .poison, .proxy, .rate: false
            case .directory, .protocol, .login, .store: true
            }
        }
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

        /// The client lost something by it.
        package var isLoss: Bool {
            switch self {
            case .deferred, .refused, .closed, .quarantined, .discarded: true
            case .noted, .passed, .slowed, .modified: false
            }
        }

        /// What a reply other than 2xx and 3xx comes to.
        package init(of reply: Reply) { self = reply.code == 421 ? .closed : reply.code >= 500 ? .refused : .deferred }
    }
}
