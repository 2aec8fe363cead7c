import Policy
import Protocols
import Store

extension SQLiteWriterSession {
    func createFolder(_ name: String, of account: AccountID) throws(StoreError) -> FolderID {
        guard mark.accounts[account] != nil else { throw .notFound }
        guard !name.isEmpty, name.utf8.count <= 255 else { throw .invalid("a folder name has 1 to 255 octets") }
        if FolderID.standard.contains(where: { $0.1 == name }) { throw .conflict }
        let last = try statement("SELECT max(id) FROM folder WHERE account=?").bind(1, account.rawValue)
            .first { (row) throws(StoreError) in row.integer(0) }
        let id = max(FolderID.firstCustom, (last ?? 0) + 1)
        try statement("INSERT INTO folder(account, id, name) VALUES(?, ?, ?)").bind(1, account.rawValue).bind(2, id)
            .bind(3, Array(name.utf8)).run()
        return FolderID(rawValue: id)
    }

    private func folderExists(_ folder: FolderID, of account: AccountID) throws(StoreError) -> Bool {
        if FolderID.standard.contains(where: { $0.0 == folder }) { return true }
        return try statement("SELECT 1 FROM folder WHERE account=? AND id=?").bind(1, account.rawValue)
            .bind(2, folder.rawValue).first { (_) throws(StoreError) in true } ?? false
    }

    func move(_ id: MessageID, of account: AccountID, from: FolderID, to: FolderID) throws(StoreError) {
        guard try folderExists(to, of: account) else { throw .notFound }
        try statement("UPDATE mailbox_entry SET folder=?4 WHERE account=?1 AND folder=?2 AND message=?3")
            .bind(1, account.rawValue).bind(2, from.rawValue).bind(3, id.rawValue).bind(4, to.rawValue).run()
        if database.changes == 0 { throw .notFound }
    }

    func setFlags(_ flags: MessageFlags, on id: MessageID, of account: AccountID, in folder: FolderID)
        throws(StoreError)
    {
        try statement("UPDATE mailbox_entry SET flags=?4 WHERE account=?1 AND folder=?2 AND message=?3")
            .bind(1, account.rawValue).bind(2, folder.rawValue).bind(3, id.rawValue).bind(4, flags.rawValue).run()
        if database.changes == 0 { throw .notFound }
    }

    func expunge(_ id: MessageID, of account: AccountID, from folder: FolderID) throws(StoreError) {
        try statement("DELETE FROM mailbox_entry WHERE account=? AND folder=? AND message=?")
            .bind(1, account.rawValue).bind(2, folder.rawValue).bind(3, id.rawValue).run()
        if database.changes == 0 { throw .notFound }
        let size = try statement("SELECT length(trace) + body_size FROM message WHERE id=?").bind(1, id.rawValue)
            .first { (row) throws(StoreError) in row.int(0) }
        charge(account, octets: -(size ?? 0), messages: -1)
        try letGo(id)
    }
}
