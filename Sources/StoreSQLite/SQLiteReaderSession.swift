import Base
import Policy
import Protocols
import Store

/// Everything that only reads; the writer's session adds to it. One per connection, confined with it.
class SQLiteReaderSession: StoreReaderSession {
    let database: Database
    let spool: SpoolReader

    init(database: Database, spoolPath: String) {
        self.database = database
        spool = SpoolReader(path: spoolPath)
    }

    func statement(_ sql: StaticString) throws(StoreError) -> Statement { try database.statement(sql) }

    // MARK: mailboxes

    func folders(of account: AccountID) throws(StoreError) -> [Folder] {
        var counts: [Int64: Int] = [:]
        let counted = try statement("SELECT folder, count(*) FROM mailbox_entry WHERE account=? GROUP BY folder")
            .bind(1, account.rawValue).rows { (row) throws(StoreError) in (row.integer(0), row.int(1)) }
        for (folder, count) in counted { counts[folder] = count }
        let standard = FolderID.standard.map { Folder(id: $0, name: $1, messages: counts[$0.rawValue] ?? 0) }
        return try standard
            + statement("SELECT id, name FROM folder WHERE account=? ORDER BY name").bind(1, account.rawValue)
            .rows { (row) throws(StoreError) in
                Folder(
                    id: FolderID(rawValue: row.integer(0)), name: row.text(1), messages: counts[row.integer(0)] ?? 0)
            }
    }

    func list(_ account: AccountID, folder: FolderID, before: MessageID?, limit: Int) throws(StoreError)
        -> [MessageSummary]
    {
        try statement(
            """
            SELECT m.id, length(m.trace) + m.body_size, m.received, m.sender, e.recipient, e.flags
            FROM mailbox_entry e JOIN message m ON m.id = e.message
            WHERE e.account=? AND e.folder=? AND e.message < ? ORDER BY e.message DESC LIMIT ?
            """
        )
        .bind(1, account.rawValue).bind(2, folder.rawValue).bind(3, before?.rawValue ?? .max).bind(4, max(0, limit))
        .rows { (row) throws(StoreError) in
            MessageSummary(
                id: MessageID(rawValue: row.integer(0)), size: row.int(1),
                received: WallTime(microseconds: row.integer(2)), sender: row.bytes(3), recipient: row.bytes(4),
                flags: MessageFlags(rawValue: row.integer(5)))
        }
    }

    func message(_ id: MessageID, of account: AccountID) throws(StoreError) -> StoredMessage? {
        let held = try statement(
            """
            SELECT 1 FROM mailbox_entry WHERE account=?1 AND message=?2 AND folder IN
                (SELECT id FROM folder WHERE account=?1 UNION ALL VALUES(1),(2),(3),(4),(5),(6)) LIMIT 1
            """
        )
        .bind(1, account.rawValue).bind(2, id.rawValue).first { (_) throws(StoreError) in true }
        return held == nil ? nil : try message(id)
    }

    func message(_ id: MessageID) throws(StoreError) -> StoredMessage? {
        try statement("SELECT received, sender, trace, envelope, body_size FROM message WHERE id=?")
            .bind(1, id.rawValue)
            .first { (row) throws(StoreError) in
                StoredMessage(
                    id: id, received: WallTime(microseconds: row.integer(0)), sender: row.bytes(1),
                    trace: row.bytes(2), envelope: row.bytes(3), bodySize: row.int(4))
            }
    }

    func body(of id: MessageID, from offset: Int, max: Int) throws(StoreError) -> [UInt8] {
        guard offset >= 0, max > 0 else { return [] }
        let inline = try statement("SELECT body IS NULL, substr(body, ?2, ?3) FROM message WHERE id=?1")
            .bind(1, id.rawValue).bind(2, offset + 1).bind(3, max)
            .first { (row) throws(StoreError) in row.int(0) == 0 ? row.bytes(1) : nil }
        guard let inline else { throw .notFound }
        if let bytes = inline { return bytes }
        return try spooledBody(of: id, from: offset, max: max)
    }

    private func spooledBody(of id: MessageID, from offset: Int, max: Int) throws(StoreError) -> [UInt8] {
        var skip = offset
        var out: [UInt8] = []
        for extent in try extents(of: id) where out.count < max {
            let length = Int(extent.length)
            if skip >= length {
                skip -= length
                continue
            }
            try spool.read(extent, skip: skip, count: min(length - skip, max - out.count), into: &out)
            skip = 0
        }
        return out
    }

    func extents(of id: MessageID) throws(StoreError) -> [SpoolExtent] {
        try statement("SELECT segment, start, length FROM spool_extent WHERE message=? ORDER BY part")
            .bind(1, id.rawValue)
            .rows { (row) throws(StoreError) in
                SpoolExtent(segment: row.integer(0), offset: row.integer(1), length: row.integer(2))
            }
    }

    // MARK: directory

    func domains() throws(StoreError) -> [DomainRecord] {
        var policies: [[UInt8]: DomainPolicy] = [:]
        let settings = try statement("SELECT domain, field, value FROM domain_setting").rows {
            (row) throws(StoreError) in (row.bytes(0), row.text(1), row.text(2))
        }
        for (domain, field, value) in settings {
            // A setting of a later version, left after going back: the default holds.
            _ = DomainPolicyField.named(field)?.write(&policies[domain, default: DomainPolicy()], value)
        }
        return try statement("SELECT name FROM domain ORDER BY name").rows { (row) throws(StoreError) in
            DomainRecord(name: row.bytes(0), policy: policies[row.bytes(0)] ?? DomainPolicy())
        }
    }

    func accounts() throws(StoreError) -> [AccountRecord] {
        try statement(
            """
            SELECT a.id, a.address, a.admin, a.disabled, a.quota, u.octets, u.messages
            FROM account a LEFT JOIN account_usage u ON u.account = a.id ORDER BY a.address
            """
        )
        .rows { (row) throws(StoreError) in
            AccountRecord(
                id: AccountID(rawValue: row.integer(0)), address: row.bytes(1), isAdmin: row.int(2) != 0,
                isDisabled: row.int(3) != 0, quotaOctets: row.isNull(4) ? nil : row.int(4), usedOctets: row.int(5),
                messages: row.int(6))
        }
    }

    func aliases() throws(StoreError) -> [AliasRecord] {
        let pairs = try statement("SELECT address, target FROM alias ORDER BY address, target").rows {
            (row) throws(StoreError) in (row.bytes(0), row.bytes(1))
        }
        var out: [AliasRecord] = []
        for (address, target) in pairs {
            if let last = out.last, last.address == address {
                out[out.count - 1] = AliasRecord(address: address, targets: last.targets + [target])
            } else {
                out.append(AliasRecord(address: address, targets: [target]))
            }
        }
        return out
    }

    func credentials(of address: [UInt8]) throws(StoreError) -> CredentialRecord? {
        try statement(
            """
            SELECT id, admin, disabled, password, salt, iterations, stored_key, server_key
            FROM account WHERE address=?
            """
        )
        .bind(1, ASCII.lowercased(address))
        .first { (row) throws(StoreError) in
            var scram: ScramVerifier?
            if let salt = row.optionalBytes(4) {
                scram = ScramVerifier(
                    salt: salt, iterations: row.int(5), storedKey: row.bytes(6), serverKey: row.bytes(7))
            }
            return CredentialRecord(
                account: AccountID(rawValue: row.integer(0)), isAdmin: row.int(1) != 0, isDisabled: row.int(2) != 0,
                credentials: Credentials(passwordHash: row.optionalBytes(3), scram: scram))
        }
    }
}
