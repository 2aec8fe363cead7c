import Base
import Protocols
import Store

extension SQLiteReaderSession {
    func queueCounts(at now: WallTime) throws(StoreError) -> QueueCounts {
        // A leased row's due time is its lease's end.
        let counts = try statement(
            """
            SELECT count(*), count(*) FILTER (WHERE state = 0 AND due <= ?1),
                count(*) FILTER (WHERE lease_owner <> 0 AND due > ?1), count(*) FILTER (WHERE state = 1)
            FROM queue_recipient INDEXED BY queue_site
            """
        )
        .bind(1, now.microseconds)
        .first { (row) throws(StoreError) in
            QueueCounts(total: row.int(0), due: row.int(1), leased: row.int(2), held: row.int(3))
        }
        return counts ?? QueueCounts(total: 0, due: 0, leased: 0)
    }

    func queued(_ filter: QueueFilter, after: QueueRowID?, limit: Int, scanMax: Int, at now: WallTime)
        throws(StoreError) -> QueuePage
    {
        let found = try statement(
            """
            SELECT q.message, q.recipient, q.address, coalesce(q.sender, m.sender), q.attempts, q.due,
                q.lease_owner <> 0 AND q.lease_until > ?5, q.state, q.status, q.host, q.site, q.last, m.received,
                length(m.trace) + m.body_size
            FROM queue_recipient q JOIN message m ON m.id = q.message
            WHERE (q.message, q.recipient) > (?1, ?2) AND q.message <= ?3
            ORDER BY q.message, q.recipient LIMIT ?4
            """)
        let start = filter.message.map { QueueRowID(message: $0, recipient: -1) }
        let from = [after, start].compactMap { $0 }.max { ($0.message, $0.recipient) < ($1.message, $1.recipient) }
        found.bind(1, from?.message.rawValue ?? .min).bind(2, Int(from?.recipient ?? -1))
            .bind(3, filter.message?.rawValue ?? .max).bind(4, max(1, scanMax)).bind(5, now.microseconds)
        defer { found.reset() }
        var page = QueuePage(rows: [], next: nil)
        var scanned = 0
        while try found.step() {
            scanned += 1
            let row = Self.queued(found)
            if filter.matches(row) { page.rows.append(row) }
            if page.rows.count >= max(1, limit) || scanned >= max(1, scanMax) {
                page.next = row.row
                break
            }
        }
        return page
    }

    private static func queued(_ row: Statement) -> QueuedRecipient {
        QueuedRecipient(
            row: rowID(row), address: row.bytes(2), sender: row.bytes(3), attempts: row.int(4),
            due: WallTime(microseconds: row.integer(5)), isLeased: row.int(6) != 0, isHeld: row.int(7) != 0,
            status: row.bytes(8), host: row.bytes(9), site: row.bytes(10),
            lastAttempt: row.integer(11) == 0 ? nil : WallTime(microseconds: row.integer(11)),
            received: WallTime(microseconds: row.integer(12)), size: row.int(13))
    }

    /// From the first two columns.
    static func rowID(_ row: Statement) -> QueueRowID {
        QueueRowID(
            message: MessageID(rawValue: row.integer(0)), recipient: Int32(truncatingIfNeeded: row.integer(1)))
    }

    func queueSites(at now: WallTime) throws(StoreError) -> [QueueSiteCounts] {
        try statement(
            """
            SELECT t.site, t.rows, t.held, t.leased, t.due, coalesce((SELECT received FROM message WHERE id = t.oldest), 0)
            FROM (SELECT site, count(*) AS rows, count(*) FILTER (WHERE state = 1) AS held,
                    count(*) FILTER (WHERE lease_owner <> 0 AND due > ?1) AS leased,
                    min(due) FILTER (WHERE state = 0) AS due, min(message) AS oldest
                FROM queue_recipient INDEXED BY queue_site GROUP BY site) t
            """
        )
        .bind(1, now.microseconds)
        .rows { (row) throws(StoreError) in
            QueueSiteCounts(
                site: row.bytes(0), rows: row.int(1), held: row.int(2), leased: row.int(3),
                due: row.isNull(4) ? nil : WallTime(microseconds: row.integer(4)),
                oldest: WallTime(microseconds: row.integer(5)))
        }
    }

    func nextDue(_ site: [UInt8]) throws(StoreError) -> WallTime? {
        try statement(
            "SELECT due FROM queue_recipient INDEXED BY queue_site WHERE site=? AND state=0 ORDER BY due LIMIT 1"
        )
        .bind(1, site).first { (row) throws(StoreError) in WallTime(microseconds: row.integer(0)) }
    }

    func aged(_ site: [UInt8], warned: MessageID, expired: MessageID, limit: Int, at now: WallTime)
        throws(StoreError) -> [QueueRowID]
    {
        try statement(
            """
            SELECT q.message, q.recipient FROM queue_recipient q INDEXED BY queue_site
            WHERE q.site=?1 AND q.state=0 AND (q.lease_owner=0 OR q.due <= ?5)
                AND q.message < max(?2, ?3) AND (q.message < ?3 OR (q.flags & 1) = 0)
            LIMIT ?4
            """
        )
        .bind(1, site).bind(2, warned.rawValue).bind(3, expired.rawValue).bind(4, max(0, limit))
        .bind(5, now.microseconds)
        .rows { (row) throws(StoreError) in Self.rowID(row) }
    }

    func expiredLeases(of owner: LeaseOwner, limit: Int, at now: WallTime) throws(StoreError) -> [OwnedLease] {
        try statement(
            """
            SELECT message, recipient, lease_generation, due, site FROM queue_recipient INDEXED BY queue_site
            WHERE lease_owner=? AND due <= ? LIMIT ?
            """
        )
        .bind(1, owner.rawValue).bind(2, now.microseconds).bind(3, max(0, limit))
        .rows { (row) throws(StoreError) in
            OwnedLease(
                lease: Lease(
                    row: Self.rowID(row), generation: row.integer(2), until: WallTime(microseconds: row.integer(3))),
                site: row.bytes(4))
        }
    }

    func queueHolds() throws(StoreError) -> [QueueHold] {
        try statement("SELECT site, since FROM queue_hold ORDER BY site").rows { (row) throws(StoreError) in
            QueueHold(site: row.bytes(0), since: WallTime(microseconds: row.integer(1)))
        }
    }
}
