import Base
import Policy
import Protocols
import Store

extension SQLiteWriterSession {
    /// The loops get a new snapshot with the commit.
    func changed() throws(StoreError) {
        try statement("UPDATE meta SET value = value + 1 WHERE key='directory_version'").run()
        mark.directoryChanged = true
    }

    private func exists(_ sql: StaticString, _ key: [UInt8]) throws(StoreError) -> Bool {
        try statement(sql).bind(1, key).first { (_) throws(StoreError) in true } ?? false
    }

    private func isDomain(_ name: [UInt8]) throws(StoreError) -> Bool {
        try exists("SELECT 1 FROM domain WHERE name=?", name)
    }

    // MARK: domains

    func addDomain(_ name: [UInt8]) throws(StoreError) {
        let key = ASCII.lowercased(name)
        guard DirectoryRules.isDomain(key) else { throw .invalid("not a domain name") }
        try statement("INSERT INTO domain(name) VALUES(?)").bind(1, key).run()
        try changed()
    }

    func removeDomain(_ name: [UInt8]) throws(StoreError) {
        let key = ASCII.lowercased(name)
        guard try isDomain(key) else { throw .notFound }
        for account in try accounts() where DirectoryRules.domain(of: account.address) == key { throw .conflict }
        for alias in try aliases() where DirectoryRules.domain(of: alias.address) == key {
            try statement("DELETE FROM alias WHERE address=?").bind(1, alias.address).run()
        }
        try removeKeys(of: key)
        try statement("DELETE FROM domain_setting WHERE domain=?").bind(1, key).run()
        try statement("DELETE FROM domain WHERE name=?").bind(1, key).run()
        try changed()
    }

    func setDomain(_ name: [UInt8], field: String, value: String) throws(StoreError) {
        let key = ASCII.lowercased(name)
        guard try isDomain(key) else { throw .notFound }
        guard let known = DomainPolicyField.named(field) else { throw .invalid("no domain setting \(field)") }
        var scratch = DomainPolicy()
        guard known.write(&scratch, value) else { throw .invalid("\(field): \(known.complaint(value))") }
        try statement("INSERT OR REPLACE INTO domain_setting(domain, field, value) VALUES(?, ?, ?)").bind(1, key)
            .bind(2, Array(field.utf8)).bind(3, Array(value.utf8)).run()
        try changed()
    }

    // MARK: accounts

    func addAccount(_ address: [UInt8], quotaOctets: Int?, isAdmin: Bool) throws(StoreError) -> AccountID {
        let key = ASCII.lowercased(address)
        guard let domain = DirectoryRules.domain(of: key), DirectoryRules.isMailbox(key) else {
            throw .invalid("not an address")
        }
        guard try isDomain(domain) else { throw .invalid("the domain is not one of ours") }
        if try exists("SELECT 1 FROM alias WHERE address=? LIMIT 1", key) { throw .conflict }
        let insert = try statement("INSERT INTO account(address, admin, disabled, quota) VALUES(?, ?, 0, ?)")
            .bind(1, key).bind(2, isAdmin ? 1 : 0)
        if let quotaOctets { insert.bind(3, quotaOctets) } else { insert.bindNull(3) }
        try insert.run()
        let id = try accountID(key)
        try statement("INSERT INTO account_usage(account, octets, messages) VALUES(?, 0, 0)").bind(1, id.rawValue).run()
        mark.accounts[id] = MailboxUsage(octets: 0)
        try changed()
        return id
    }

    private func accountID(_ address: [UInt8]) throws(StoreError) -> AccountID {
        let id = try statement("SELECT id FROM account WHERE address=?").bind(1, ASCII.lowercased(address))
            .first { (row) throws(StoreError) in row.integer(0) }
        guard let id else { throw .notFound }
        return AccountID(rawValue: id)
    }

    func removeAccount(_ address: [UInt8]) throws(StoreError) {
        let id = try accountID(address)
        let held = try statement("SELECT message FROM mailbox_entry WHERE account=?").bind(1, id.rawValue)
            .rows { (row) throws(StoreError) in row.integer(0) }
        try statement("DELETE FROM mailbox_entry WHERE account=?").bind(1, id.rawValue).run()
        for message in held { try letGo(.init(rawValue: message)) }
        try statement("DELETE FROM folder WHERE account=?").bind(1, id.rawValue).run()
        try statement("DELETE FROM account_usage WHERE account=?").bind(1, id.rawValue).run()
        try statement("DELETE FROM account WHERE id=?").bind(1, id.rawValue).run()
        mark.accounts[id] = nil
        mark.usage[id] = nil
        try changed()
    }

    func setDisabled(_ address: [UInt8], _ disabled: Bool) throws(StoreError) {
        let id = try accountID(address)
        try statement("UPDATE account SET disabled=? WHERE id=?").bind(1, disabled ? 1 : 0).bind(2, id.rawValue).run()
        try changed()
    }

    func setAdmin(_ address: [UInt8], _ admin: Bool) throws(StoreError) {
        let id = try accountID(address)
        try statement("UPDATE account SET admin=? WHERE id=?").bind(1, admin ? 1 : 0).bind(2, id.rawValue).run()
        try changed()
    }

    func setQuota(_ address: [UInt8], octets: Int?) throws(StoreError) {
        let id = try accountID(address)
        let update = try statement("UPDATE account SET quota=? WHERE id=?").bind(2, id.rawValue)
        if let octets { update.bind(1, octets) } else { update.bindNull(1) }
        try update.run()
        try changed()
    }

    func setCredentials(_ address: [UInt8], _ credentials: Credentials) throws(StoreError) {
        let id = try accountID(address)
        let update = try statement(
            "UPDATE account SET password=?, salt=?, iterations=?, stored_key=?, server_key=? WHERE id=?"
        )
        .bind(1, optional: credentials.passwordHash).bind(2, optional: credentials.scram?.salt)
        .bind(4, optional: credentials.scram?.storedKey).bind(5, optional: credentials.scram?.serverKey)
        .bind(6, id.rawValue)
        if let scram = credentials.scram { update.bind(3, scram.iterations) } else { update.bindNull(3) }
        try update.run()
        try changed()
    }

    // MARK: aliases

    func addAlias(_ address: [UInt8], targets: [[UInt8]]) throws(StoreError) {
        let key = ASCII.lowercased(address)
        guard let domain = DirectoryRules.domain(of: key) else { throw .invalid("not an address") }
        guard try isDomain(domain) else { throw .invalid("the domain is not one of ours") }
        guard !targets.isEmpty, targets.allSatisfy(DirectoryRules.isMailbox) else {
            throw .invalid("a target is not an address")
        }
        if try exists("SELECT 1 FROM account WHERE address=?", key) { throw .conflict }
        for target in targets {
            try statement("INSERT OR IGNORE INTO alias(address, target) VALUES(?, ?)").bind(1, key).bind(2, target)
                .run()
        }
        try changed()
    }

    func removeAlias(_ address: [UInt8], target: [UInt8]?) throws(StoreError) {
        let key = ASCII.lowercased(address)
        if let target {
            try statement("DELETE FROM alias WHERE address=? AND target=?").bind(1, key).bind(2, target).run()
        } else {
            try statement("DELETE FROM alias WHERE address=?").bind(1, key).run()
        }
        if database.changes == 0 { throw .notFound }
        try changed()
    }

    // MARK: snapshot

    /// Also brings `mark.accounts` up to date: one `MailboxUsage` an account, kept from snapshot to snapshot.
    func loadSnapshot() throws(StoreError) -> DirectorySnapshot {
        let version = try statement("SELECT value FROM meta WHERE key='directory_version'")
            .first { (row) throws(StoreError) in row.int(0) }
        var entries: [AccountEntry] = []
        var live: [AccountID: MailboxUsage] = [:]
        for record in try accounts() {
            let usage = mark.accounts[record.id] ?? MailboxUsage(octets: record.usedOctets)
            live[record.id] = usage
            entries.append(
                AccountEntry(
                    id: record.id, address: record.address, isAdmin: record.isAdmin, isDisabled: record.isDisabled,
                    quotaOctets: record.quotaOctets, usage: usage))
        }
        mark.accounts = live
        return DirectorySnapshot(
            version: version ?? 0,
            domains: Dictionary(try domains().map { ($0.name, $0.policy) }, uniquingKeysWith: { first, _ in first }),
            accounts: entries,
            aliases: Dictionary(
                try aliases().map { ($0.address, $0.targets) }, uniquingKeysWith: { first, _ in first }),
            signingKeys: try signingKeys())
    }
}
