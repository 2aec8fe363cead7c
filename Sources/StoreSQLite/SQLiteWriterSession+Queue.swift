import Base
import Policy
import Protocols
import Store

extension SQLiteWriterSession {
    // The hot path: for a message to one mailbox two inserts and nothing else.
    func accept(_ request: AcceptRequest) throws(StoreError) {
        try keep(request)
        for report in request.reports {
            do throws(StoreError) {
                try keep(report)
            } catch .notFound {
                // Found before the first write: the mailbox it is for is gone.
                continue
            }
        }
    }

    private func keep(_ request: AcceptRequest) throws(StoreError) {
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
}
