import Base
package import Delivery
import Protocols
package import Store

/// What `queue …` asks: a verb, which rows, and how far it has come.
package struct ControlQueue: Sendable, Equatable {
    package enum Verb: String, Sendable, CaseIterable {
        case summary, list, show, hold, release, retry, bounce, delete
    }

    package var verb: Verb
    package var filter: QueueFilter
    /// Rows or destinations shown.
    package var limit: Int
    package var isDryRun: Bool

    // How far it has come; never on the wire.
    var after: QueueRowID?
    var shown: [QueuedRecipient] = []
    var picked: [QueueRowID] = []
    var step = Step.find
    var count = 0
    var notices = 0

    enum Step: Sendable, Equatable {
        /// Look for rows, on a reader.
        case find
        /// Do it to those found, on the writer.
        case apply
        /// All is committed: tell the scheduler and the person.
        case finish
    }

    package init(_ verb: Verb, _ filter: QueueFilter = QueueFilter(), limit: Int = 100, isDryRun: Bool = false) {
        self.verb = verb
        self.filter = filter
        self.limit = limit
        self.isDryRun = isDryRun
    }

    var isChange: Bool {
        switch verb {
        case .summary, .list, .show: false
        case .hold, .release, .retry, .bounce, .delete: true
        }
    }
}

/// What the queue's commands need of the running process; the defaults are those of a command without one.
package struct ControlQueueHooks: Sendable {
    /// Called on a store's reader thread; may block shortly.
    package var status: @Sendable () -> SchedulerStatus? = { nil }
    package var changed: @Sendable (QueueChange) -> Void = { _ in }
    /// For bounces; nil: there is nobody to send them.
    package var notice: OutcomeRules.Notice?
    package var owner = LeaseOwner(rawValue: 0)

    package init() {}
}

/// `tls peers`: which servers would break if more were required of them.
package struct ControlTLSPeers: Sendable, Equatable {
    package enum Requirement: String, Sendable, CaseIterable {
        case anything = ""
        /// TLS 1.2 or later with forward secrecy.
        case modern = "tls12-pfs"
        /// A certificate verified by DANE or by the roots.
        case verified
    }

    package var requirement: Requirement
    package var days: Int

    package init(requirement: Requirement, days: Int) {
        self.requirement = requirement
        self.days = days
    }
}

// MARK: Wire form

extension ControlQueue {
    /// `name value` pairs, only those that say something.
    var fields: [[UInt8]] {
        var out: [[UInt8]] = [Array(verb.rawValue.utf8)]
        func put(_ name: String, _ value: [UInt8]?) {
            guard let value else { return }
            out += [Array(name.utf8), value]
        }
        func number(_ value: Int64) -> [UInt8] { Array(String(value).utf8) }
        put("site", filter.site)
        put("sender", filter.sender)
        put("recipient", filter.recipient)
        put("status", filter.status)
        put("host", filter.host)
        put("before", filter.acceptedBefore.map { number($0.microseconds) })
        put("after", filter.acceptedAfter.map { number($0.microseconds) })
        put("message", filter.message?.text)
        put("held", filter.isHeld.map { number($0 ? 1 : 0) })
        put("limit", number(Int64(limit)))
        if isDryRun { put("dry", []) }
        return out
    }

    init?(_ fields: [[UInt8]]) {
        guard let first = fields.first, fields.count % 2 == 1,
            let verb = Verb(rawValue: String(decoding: first, as: UTF8.self))
        else { return nil }
        self.init(verb)
        for at in stride(from: 1, to: fields.count, by: 2) {
            guard take(String(decoding: fields[at], as: UTF8.self), fields[at + 1]) else { return nil }
        }
    }

    private mutating func take(_ name: String, _ value: [UInt8]) -> Bool {
        let number = Int64(String(decoding: value, as: UTF8.self))
        switch name {
        case "site": filter.site = value
        case "sender": filter.sender = value
        case "recipient": filter.recipient = value
        case "status": filter.status = value
        case "host": filter.host = value
        case "before": filter.acceptedBefore = number.map(WallTime.init(microseconds:))
        case "after": filter.acceptedAfter = number.map(WallTime.init(microseconds:))
        case "message": filter.message = MessageID(text: value)
        case "held": filter.isHeld = number.map { $0 != 0 }
        case "limit": limit = number.map { Int($0) } ?? limit
        case "dry": isDryRun = true
        default: return false
        }
        return name != "message" || filter.message != nil
    }
}
