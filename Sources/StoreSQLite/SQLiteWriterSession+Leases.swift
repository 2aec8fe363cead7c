import Base
import Policy
import Protocols
import Store

extension SQLiteWriterSession {
    func enqueue(_ request: AcceptRequest, _ recipient: RemoteRecipient, index: Int) throws(StoreError) {
        let due = request.leasedTo == nil ? request.received : request.leaseUntil
        try statement(
            """
            INSERT INTO queue_recipient(message, recipient, due, attempts, lease_owner, lease_until, lease_generation,
                notify, address, original, status, site, sender, prefix, state)
            VALUES(?1, ?2, ?3, 0, ?4, ?5, ?6, ?7, ?8, ?9, ?13, ?10, ?11, ?12, ?14)
            """
        )
        .bind(1, request.id.rawValue).bind(2, index).bind(3, due.microseconds)
        .bind(4, request.leasedTo?.rawValue ?? 0).bind(5, request.leaseUntil.microseconds)
        .bind(6, request.leasedTo == nil ? 0 : Lease.firstGeneration).bind(7, Int(recipient.notify))
        .bind(8, recipient.address).bind(9, recipient.originalRecipient).bind(10, recipient.site)
        .bind(11, optional: recipient.sender).bind(12, recipient.prefix).bind(13, request.hold ?? [])
        .bind(14, request.hold == nil ? 0 : 1).run()
    }

    func lease(site: [UInt8], count: Int, owner: LeaseOwner, until: WallTime, now: WallTime) throws(StoreError)
        -> LeasedBatch
    {
        let found = try statement(
            """
            SELECT q.message, q.recipient, q.lease_generation, q.attempts, q.notify, q.address, q.original, q.sender,
                q.prefix, q.flags, m.received, m.sender, m.trace, m.envelope, m.body_size
            FROM queue_recipient q INDEXED BY queue_site CROSS JOIN message m ON m.id = q.message
            WHERE q.site=? AND q.state=0 AND q.due <= ? AND q.lease_owner <> ?
            ORDER BY q.due, q.lease_owner, q.message, q.recipient LIMIT ?
            """
        )
        .bind(1, site).bind(2, now.microseconds).bind(3, owner.rawValue).bind(4, max(0, count))
        .rows { (row) throws(StoreError) in Self.leased(row, until: until) }
        for item in found { try mark(item.lease, owner) }
        return LeasedBatch(rows: found, nextDue: try nextDue(site, besides: owner, now))
    }

    /// When there is something to lease again; what the owner has and lets run out is not.
    private func nextDue(_ site: [UInt8], besides owner: LeaseOwner, _ now: WallTime) throws(StoreError) -> WallTime? {
        try statement(
            """
            SELECT due FROM queue_recipient INDEXED BY queue_site
            WHERE site=? AND state=0 AND (due > ? OR lease_owner <> ?) ORDER BY due LIMIT 1
            """
        )
        .bind(1, site).bind(2, now.microseconds).bind(3, owner.rawValue)
        .first { (row) throws(StoreError) in WallTime(microseconds: row.integer(0)) }
    }

    func lease(rows: [QueueRowID], owner: LeaseOwner, until: WallTime, now: WallTime) throws(StoreError)
        -> [LeasedRecipient]
    {
        let select = try statement(
            """
            SELECT q.message, q.recipient, q.lease_generation, q.attempts, q.notify, q.address, q.original, q.sender,
                q.prefix, q.flags, m.received, m.sender, m.trace, m.envelope, m.body_size
            FROM queue_recipient q JOIN message m ON m.id = q.message
            WHERE q.message=? AND q.recipient=? AND (q.lease_owner=0 OR (q.lease_until <= ? AND q.lease_owner <> ?))
            """)
        var out: [LeasedRecipient] = []
        for row in rows {
            let item = try select.bind(1, row.message.rawValue).bind(2, Int(row.recipient)).bind(3, now.microseconds)
                .bind(4, owner.rawValue)
                .first { (row) throws(StoreError) in Self.leased(row, until: until) }
            guard let item else { continue }
            try mark(item.lease, owner)
            out.append(item)
        }
        return out
    }

    private func mark(_ lease: Lease, _ owner: LeaseOwner) throws(StoreError) {
        try statement(
            """
            UPDATE queue_recipient SET due=?4, lease_owner=?5, lease_until=?4, lease_generation=?3
            WHERE message=?1 AND recipient=?2
            """
        )
        .bind(1, lease.row.message.rawValue).bind(2, Int(lease.row.recipient)).bind(3, lease.generation)
        .bind(4, lease.until.microseconds).bind(5, owner.rawValue).run()
    }

    private static func leased(_ row: Statement, until: WallTime) -> LeasedRecipient {
        let id = rowID(row)
        return LeasedRecipient(
            lease: Lease(row: id, generation: row.integer(2) + 1, until: until),
            recipient: RemoteRecipient(
                address: row.bytes(5), notify: UInt8(truncatingIfNeeded: row.integer(4)),
                originalRecipient: row.bytes(6), sender: row.optionalBytes(7), prefix: row.bytes(8)),
            attempts: row.int(3),
            message: StoredMessage(
                id: id.message, received: WallTime(microseconds: row.integer(10)), sender: row.bytes(11),
                trace: row.bytes(12), envelope: row.bytes(13), bodySize: row.int(14)),
            isWarned: row.int(9) & 1 != 0)
    }

    func takeBack(exceptOf owner: LeaseOwner, now: WallTime) throws(StoreError) -> Int {
        let rows = try statement(
            """
            SELECT message, recipient FROM queue_recipient INDEXED BY queue_site
            WHERE lease_owner <> 0 AND lease_owner <> ?
            """
        )
        .bind(1, owner.rawValue).rows { (row) throws(StoreError) in Self.rowID(row) }
        let update = try statement(
            """
            UPDATE queue_recipient SET due=?3, lease_owner=0, lease_until=0, lease_generation=lease_generation+1
            WHERE message=?1 AND recipient=?2
            """)
        for row in rows {
            try update.bind(1, row.message.rawValue).bind(2, Int(row.recipient)).bind(3, now.microseconds).run()
        }
        return rows.count
    }

    func settle(_ outcomes: [Outcome]) throws(StoreError) -> [Bool] {
        var answers: [Bool] = []
        answers.reserveCapacity(outcomes.count)
        for outcome in outcomes {
            switch outcome.result {
            case .done:
                try bindLease(
                    statement(
                        "DELETE FROM queue_recipient WHERE message=? AND recipient=? AND lease_generation=?"),
                    outcome.lease
                ).run()
                let mine = database.changes == 1
                if mine { try letGo(outcome.lease.row.message) }
                answers.append(mine)
            case .deferred(let until, let status, let note):
                // The generation goes on: this lease is over whatever its end was.
                let update = try bindLease(
                    statement(
                        """
                        UPDATE queue_recipient SET due=?4, attempts=attempts+?5, status=iif(?5, ?6, status),
                            host=iif(?5, ?7, host), last=iif(?5, ?8, last), flags=flags | ?9, lease_owner=0,
                            lease_until=0, lease_generation=lease_generation+1
                        WHERE message=?1 AND recipient=?2 AND lease_generation=?3
                        """), outcome.lease
                )
                .bind(4, until.microseconds).bind(5, note.attempted == nil ? 0 : 1).bind(6, status).bind(7, note.host)
                .bind(8, note.attempted?.microseconds ?? 0).bind(9, note.isWarned ? 1 : 0)
                try update.run()
                answers.append(database.changes == 1)
            }
        }
        return answers
    }

    func extend(_ leases: [Lease], until: WallTime) throws(StoreError) -> [Bool] {
        var answers: [Bool] = []
        for lease in leases {
            try bindLease(
                statement(
                    """
                    UPDATE queue_recipient SET due=?4, lease_until=?4
                    WHERE message=?1 AND recipient=?2 AND lease_generation=?3 AND lease_owner<>0
                    """), lease
            ).bind(4, until.microseconds).run()
            answers.append(database.changes == 1)
        }
        return answers
    }

    func release(_ leases: [Lease], now: WallTime) throws(StoreError) -> [Bool] {
        var answers: [Bool] = []
        for lease in leases {
            try bindLease(
                statement(
                    """
                    UPDATE queue_recipient SET due=?4, lease_owner=0, lease_until=0, lease_generation=lease_generation+1
                    WHERE message=?1 AND recipient=?2 AND lease_generation=?3 AND lease_owner<>0
                    """), lease
            ).bind(4, now.microseconds).run()
            answers.append(database.changes == 1)
        }
        return answers
    }

    /// The fence: which row, and which generation of it.
    private func bindLease(_ statement: Statement, _ lease: Lease) -> Statement {
        statement.bind(1, lease.row.message.rawValue).bind(2, Int(lease.row.recipient)).bind(3, lease.generation)
    }

    // MARK: operators

    func setHeld(_ rows: [QueueRowID], _ held: Bool) throws(StoreError) -> Int {
        let update = try statement(
            "UPDATE queue_recipient SET state=?3 WHERE message=?1 AND recipient=?2 AND state<>?3")
        var changed = 0
        for row in rows {
            try update.bind(1, row.message.rawValue).bind(2, Int(row.recipient)).bind(3, held ? 1 : 0).run()
            changed += database.changes
        }
        return changed
    }

    func makeDue(_ rows: [QueueRowID], now: WallTime) throws(StoreError) -> Int {
        let update = try statement(
            """
            UPDATE queue_recipient SET due=?3 WHERE message=?1 AND recipient=?2 AND (lease_owner=0 OR lease_until <= ?3)
            """)
        var changed = 0
        for row in rows {
            try update.bind(1, row.message.rawValue).bind(2, Int(row.recipient)).bind(3, now.microseconds).run()
            changed += database.changes
        }
        return changed
    }

    func removeQueued(_ rows: [QueueRowID]) throws(StoreError) -> Int {
        let delete = try statement("DELETE FROM queue_recipient WHERE message=? AND recipient=?")
        var removed = 0
        for row in rows {
            try delete.bind(1, row.message.rawValue).bind(2, Int(row.recipient)).run()
            if database.changes == 1 {
                removed += 1
                try letGo(row.message)
            }
        }
        return removed
    }

    func holdSite(_ site: [UInt8], now: WallTime) throws(StoreError) -> Bool {
        try statement("INSERT OR IGNORE INTO queue_hold(site, since) VALUES(?, ?)").bind(1, site)
            .bind(2, now.microseconds).run()
        return database.changes == 1
    }

    func releaseSite(_ site: [UInt8]) throws(StoreError) -> Bool {
        try statement("DELETE FROM queue_hold WHERE site=?").bind(1, site).run()
        return database.changes == 1
    }
}
