import Policy
import Protocols
import Store

/// The transaction every write of a group commit runs in. Confined to the writer thread (or to a command).
final class SQLiteWriterSession: SQLiteReaderSession, StoreWriterSession {
    struct UsageChange {
        var octets = 0
        var messages = 0
    }

    /// What a transaction changed besides the database: put back when it, or one request of it, is undone.
    struct Mark {
        var usage: [AccountID: UsageChange] = [:]
        var accounts: [AccountID: MailboxUsage] = [:]
        var directoryChanged = false
    }

    var mark = Mark()

    /// Writes what each account's mailbox grew or shrank by: once an account and batch.
    func flushUsage() throws(StoreError) {
        guard !mark.usage.isEmpty else { return }
        let update = try statement(
            "UPDATE account_usage SET octets = octets + ?2, messages = messages + ?3 WHERE account=?1")
        for (account, change) in mark.usage {
            try update.bind(1, account.rawValue).bind(2, change.octets).bind(3, change.messages).run()
        }
    }

    /// After the commit: loops see the new sizes.
    func publishUsage() {
        for (account, change) in mark.usage { mark.accounts[account]?.add(change.octets) }
        mark.usage.removeAll(keepingCapacity: true)
    }

    func charge(_ account: AccountID, octets: Int, messages: Int) {
        mark.usage[account, default: UsageChange()].octets += octets
        mark.usage[account, default: UsageChange()].messages += messages
    }

    // MARK: holders of a message

    /// One mailbox entry or queue row less; the last one takes the message with it.
    func letGo(_ id: MessageID) throws(StoreError) {
        let holders = try statement("SELECT holders FROM message WHERE id=?").bind(1, id.rawValue)
            .first { (row) throws(StoreError) in row.int(0) }
        guard let holders else { return }
        if holders > 1 {
            try statement("UPDATE message_share SET left = left - 1 WHERE message=?").bind(1, id.rawValue).run()
            let left = try statement("SELECT left FROM message_share WHERE message=?").bind(1, id.rawValue)
                .first { (row) throws(StoreError) in row.int(0) }
            if let left, left > 0 { return }
            try statement("DELETE FROM message_share WHERE message=?").bind(1, id.rawValue).run()
        }
        try statement("DELETE FROM spool_extent WHERE message=?").bind(1, id.rawValue).run()
        try statement("DELETE FROM message WHERE id=?").bind(1, id.rawValue).run()
    }
}
