import Base
import Policy
import Protocols
import Store

extension SQLiteWriterSession {
    // The hot path: for a message to one mailbox two inserts and nothing else.
    func accept(_ request: AcceptRequest) throws(StoreError) {
        let local = Self.distinct(request.local)
        guard !local.isEmpty || !request.remote.isEmpty else { throw .invalid("a message without recipients") }
        for delivery in local where mark.accounts[delivery.account] == nil { throw .notFound }
        try insertMessage(request, holders: local.count + request.remote.count)
        let size = request.size
        for delivery in local {
            try insertEntry(request.id, delivery)
            charge(delivery.account, octets: size, messages: 1)
        }
        for (index, recipient) in request.remote.enumerated() {
            try enqueue(request, recipient, index: index)
        }
    }

    private static func distinct(_ local: [LocalDelivery]) -> [LocalDelivery] {
        if local.count < 2 { return local }
        var seen = Set<[Int64]>()
        return local.filter { seen.insert([$0.account.rawValue, $0.folder.rawValue]).inserted }
    }

    private func insertMessage(_ request: AcceptRequest, holders: Int) throws(StoreError) {
        switch request.body {
        case .inline(let bytes):
            try insertMessage(request, holders: holders, bodySize: bytes.count, inline: bytes)
        case .spooled(let body, let size):
            guard body.isDurable else { throw body.failure ?? .invalid("the body is not durable") }
            let extents = body.extents
            guard extents.reduce(0, { $0 + Int($1.length) }) == size else {
                throw .invalid("the spooled body is not as long as was said")
            }
            try insertMessage(request, holders: holders, bodySize: size, inline: nil)
            let insert = try statement(
                "INSERT INTO spool_extent(message, part, segment, start, length) VALUES(?, ?, ?, ?, ?)")
            for (part, extent) in extents.enumerated() {
                try insert.bind(1, request.id.rawValue).bind(2, part).bind(3, extent.segment).bind(4, extent.offset)
                    .bind(5, extent.length).run()
            }
        }
        if holders > 1 {
            try statement("INSERT INTO message_share(message, left) VALUES(?, ?)").bind(1, request.id.rawValue)
                .bind(2, holders).run()
        }
    }

    private func insertMessage(
        _ request: AcceptRequest, holders: Int, bodySize: Int, inline: [UInt8]?
    ) throws(StoreError) {
        let insert = try statement(
            """
            INSERT INTO message(id, received, body_size, holders, sender, envelope, trace, body)
            VALUES(?, ?, ?, ?, ?, ?, ?, ?)
            """)
        insert.bind(1, request.id.rawValue).bind(2, request.received.microseconds).bind(3, bodySize)
            .bind(4, holders)
        let result: Result<Void, StoreError> = request.sender.withUnsafeBufferPointer { sender in
            request.envelope.withUnsafeBufferPointer { envelope in
                request.trace.withUnsafeBufferPointer { trace in
                    (inline ?? []).withUnsafeBufferPointer { body in
                        insert.bindStatic(5, sender)
                        insert.bindStatic(6, envelope)
                        insert.bindStatic(7, trace)
                        if inline == nil { insert.bindNull(8) } else { insert.bindStatic(8, body) }
                        do throws(StoreError) {
                            try insert.run()
                            return .success(())
                        } catch {
                            return .failure(error)
                        }
                    }
                }
            }
        }
        try result.get()
    }

    private func insertEntry(_ id: MessageID, _ delivery: LocalDelivery) throws(StoreError) {
        let insert = try statement(
            "INSERT INTO mailbox_entry(account, folder, message, flags, recipient) VALUES(?, ?, ?, 0, ?)")
        insert.bind(1, delivery.account.rawValue).bind(2, delivery.folder.rawValue).bind(3, id.rawValue)
        let result: Result<Void, StoreError> = delivery.recipient.withUnsafeBufferPointer { recipient in
            insert.bindStatic(4, recipient)
            do throws(StoreError) {
                try insert.run()
                return .success(())
            } catch {
                return .failure(error)
            }
        }
        try result.get()
    }

    private func enqueue(_ request: AcceptRequest, _ recipient: RemoteRecipient, index: Int) throws(StoreError) {
        try statement(
            """
            INSERT INTO queue_recipient(message, recipient, due, attempts, lease_owner, lease_until, lease_generation,
                notify, address, original, status)
            VALUES(?, ?, ?, 0, 0, 0, 0, ?, ?, ?, x'')
            """
        )
        .bind(1, request.id.rawValue).bind(2, index).bind(3, request.received.microseconds)
        .bind(4, Int(recipient.notify)).bind(5, recipient.address).bind(6, recipient.originalRecipient).run()
    }

    func lease(count: Int, owner: LeaseOwner, until: WallTime, now: WallTime) throws(StoreError)
        -> [LeasedRecipient]
    {
        let found = try statement(
            """
            SELECT q.message, q.recipient, q.lease_generation, q.attempts, q.notify, q.address, q.original,
                m.received, m.sender, m.trace, m.envelope, m.body_size
            FROM queue_recipient q JOIN message m ON m.id = q.message
            WHERE q.due <= ? ORDER BY q.due LIMIT ?
            """
        )
        .bind(1, now.microseconds).bind(2, max(0, count))
        .rows { (row) throws(StoreError) in Self.leased(row, until: until) }
        let update = try statement(
            """
            UPDATE queue_recipient SET due=?4, lease_owner=?3, lease_until=?4, lease_generation=?5
            WHERE message=?1 AND recipient=?2
            """)
        for item in found {
            try update.bind(1, item.lease.row.message.rawValue).bind(2, Int(item.lease.row.recipient))
                .bind(3, owner.rawValue).bind(4, until.microseconds).bind(5, item.lease.generation).run()
        }
        return found
    }

    private static func leased(_ row: Statement, until: WallTime) -> LeasedRecipient {
        let id = MessageID(rawValue: row.integer(0))
        return LeasedRecipient(
            lease: Lease(
                row: QueueRowID(message: id, recipient: Int32(truncatingIfNeeded: row.integer(1))),
                generation: row.integer(2) + 1, until: until),
            recipient: RemoteRecipient(
                address: row.bytes(5), notify: UInt8(truncatingIfNeeded: row.integer(4)),
                originalRecipient: row.bytes(6)),
            attempts: row.int(3),
            message: StoredMessage(
                id: id, received: WallTime(microseconds: row.integer(7)), sender: row.bytes(8), trace: row.bytes(9),
                envelope: row.bytes(10), bodySize: row.int(11)))
    }

    func settle(_ outcomes: [Outcome]) throws(StoreError) -> [Bool] {
        var answers: [Bool] = []
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
            case .deferred(let until, let status):
                // The generation goes on: this lease is over whatever its end was.
                try bindLease(
                    statement(
                        """
                        UPDATE queue_recipient SET due=?4, attempts=attempts+1, status=?5, lease_owner=0, lease_until=0,
                            lease_generation=lease_generation+1
                        WHERE message=?1 AND recipient=?2 AND lease_generation=?3
                        """), outcome.lease
                ).bind(4, until.microseconds).bind(5, status).run()
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
}
