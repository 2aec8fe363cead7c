package import Base
package import Protocols

/// A queue row as `queue list` shows it.
package struct QueuedRecipient: Sendable, Hashable {
    package let row: QueueRowID
    package let address: [UInt8]
    /// The reverse-path its transactions have.
    package let sender: [UInt8]
    package let attempts: Int
    /// The next attempt, or the lease's end.
    package let due: WallTime
    package let isLeased: Bool
    package let isHeld: Bool
    /// The last attempt's answer, for people.
    package let status: [UInt8]
    /// Who gave it; empty: no host.
    package let host: [UInt8]
    package let site: [UInt8]
    /// nil: not tried yet.
    package let lastAttempt: WallTime?
    package let received: WallTime
    /// Trace fields and body.
    package let size: Int

    package init(
        row: QueueRowID, address: [UInt8], sender: [UInt8], attempts: Int, due: WallTime, isLeased: Bool,
        isHeld: Bool, status: [UInt8], host: [UInt8], site: [UInt8], lastAttempt: WallTime?, received: WallTime,
        size: Int
    ) {
        self.row = row
        self.address = address
        self.sender = sender
        self.attempts = attempts
        self.due = due
        self.isLeased = isLeased
        self.isHeld = isHeld
        self.status = status
        self.host = host
        self.site = site
        self.lastAttempt = lastAttempt
        self.received = received
        self.size = size
    }
}

/// Rows of a listing and where the next page begins.
package struct QueuePage: Sendable, Hashable {
    package var rows: [QueuedRecipient]
    /// nil: nothing comes after these.
    package var next: QueueRowID?

    package init(rows: [QueuedRecipient], next: QueueRowID?) {
        self.rows = rows
        self.next = next
    }
}

/// One destination's share of the queue.
package struct QueueSiteCounts: Sendable, Hashable {
    package let site: [UInt8]
    /// All its rows.
    package let rows: Int
    /// Of them, those held one by one.
    package let held: Int
    package let leased: Int
    /// Of the rows not held: the earliest attempt or lease end.
    package let due: WallTime?
    /// When the oldest of its messages was accepted.
    package let oldest: WallTime

    package init(site: [UInt8], rows: Int, held: Int, leased: Int, due: WallTime?, oldest: WallTime) {
        self.site = site
        self.rows = rows
        self.held = held
        self.leased = leased
        self.due = due
        self.oldest = oldest
    }
}

/// A destination an operator holds: nothing is sent to it until it is released.
package struct QueueHold: Sendable, Hashable {
    package let site: [UInt8]
    package let since: WallTime

    package init(site: [UInt8], since: WallTime) {
        self.site = site
        self.since = since
    }
}

/// A lease and the destination of its row.
package struct OwnedLease: Sendable, Hashable {
    package let lease: Lease
    package let site: [UInt8]

    package init(lease: Lease, site: [UInt8]) {
        self.lease = lease
        self.site = site
    }
}

/// What leasing a destination's rows gave.
package struct LeasedBatch: Sendable, Hashable {
    package let rows: [LeasedRecipient]
    /// When the next of the rows that are left becomes due; nil: none is left.
    package let nextDue: WallTime?

    package init(rows: [LeasedRecipient], nextDue: WallTime?) {
        self.rows = rows
        self.nextDue = nextDue
    }
}

/// Which queue rows are meant. Every condition given must hold; none: all rows. Texts may have `*` for any octets and match
/// without regard to ASCII case.
package struct QueueFilter: Sendable, Hashable {
    /// The recipients' domain; no `*`.
    package var site: [UInt8]?
    package var sender: [UInt8]?
    package var recipient: [UInt8]?
    /// A status code's beginning (`4.7`, `4.7.*`) or a piece of the answer.
    package var status: [UInt8]?
    /// The host that gave the last answer.
    package var host: [UInt8]?
    package var acceptedBefore: WallTime?
    package var acceptedAfter: WallTime?
    package var message: MessageID?
    package var isHeld: Bool?

    package init() {}

    /// A condition on nothing but the destination: then new mail of the destination is meant too.
    package var siteAlone: [UInt8]? {
        var rest = self
        rest.site = nil
        return rest == QueueFilter() ? site : nil
    }

    package func matches(_ row: QueuedRecipient) -> Bool {
        if let site, site != row.site { return false }
        if let message, message != row.row.message { return false }
        if let isHeld, isHeld != row.isHeld { return false }
        if let acceptedBefore, row.received >= acceptedBefore { return false }
        if let acceptedAfter, row.received <= acceptedAfter { return false }
        if let sender, !Glob.matches(sender, row.sender) { return false }
        if let recipient, !Glob.matches(recipient, row.address) { return false }
        if let host, !Glob.matches(host, row.host) { return false }
        if let status, !Self.matchesStatus(status, row.status) { return false }
        return true
    }

    private static func matchesStatus(_ wanted: [UInt8], _ status: [UInt8]) -> Bool {
        let star = UInt8(ascii: "*")
        return Glob.matches(wanted + [star], status) || Glob.matches([star] + wanted + [star], status)
    }
}

/// Text patterns of operators: `*` stands for any octets, letters match in either case.
package enum Glob {
    package static func matches(_ pattern: [UInt8], _ text: [UInt8]) -> Bool {
        var (p, t) = (0, 0)
        // Where to go on when what follows the last star does not fit here.
        var star: (pattern: Int, text: Int)?
        while t < text.count {
            if p < pattern.count, pattern[p] == UInt8(ascii: "*") {
                star = (p, t)
                p += 1
            } else if p < pattern.count, ASCII.lowercased(pattern[p]) == ASCII.lowercased(text[t]) {
                p += 1
                t += 1
            } else if let back = star {
                p = back.pattern + 1
                t = back.text + 1
                star = (back.pattern, back.text + 1)
            } else {
                return false
            }
        }
        while p < pattern.count, pattern[p] == UInt8(ascii: "*") { p += 1 }
        return p == pattern.count
    }
}
