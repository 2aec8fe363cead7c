import Base
package import Policy
package import Protocols

/// Reads mailboxes. Blocking; only store threads and the command line hold one.
package protocol MailboxReader: AnyObject {
    func folders(of account: AccountID) throws(StoreError) -> [Folder]
    /// Newest first; only ids below `before`, at most `limit`.
    func list(_ account: AccountID, folder: FolderID, before: MessageID?, limit: Int) throws(StoreError)
        -> [MessageSummary]
    /// nil when the message is not there, or not in a folder of `account`.
    func message(_ id: MessageID, of account: AccountID) throws(StoreError) -> StoredMessage?
    /// nil when the message is not there. Asks for no owner: delivery and the command line use it.
    func message(_ id: MessageID) throws(StoreError) -> StoredMessage?
    /// At most `max` octets of the body from `offset`; empty at its end. `notFound` when the message is not there.
    func body(of id: MessageID, from offset: Int, max: Int) throws(StoreError) -> [UInt8]
}

extension MailboxReader {
    /// Most octets one slice of `wholeBody` asks for.
    private var sliceMax: Int { 1 << 18 }

    /// The whole body; for bodies whose size the caller bounded.
    package func wholeBody(of id: MessageID) throws(StoreError) -> [UInt8] {
        var out: [UInt8] = []
        while true {
            let slice = try body(of: id, from: out.count, max: sliceMax)
            if slice.isEmpty { return out }
            out += slice
        }
    }
}

/// Changes mailboxes. Only the writer thread (or the command line, with the store to itself) holds one.
package protocol MailboxStore: MailboxReader {
    func createFolder(_ name: String, of account: AccountID) throws(StoreError) -> FolderID
    /// `notFound` when the message is not in `from`.
    func move(_ id: MessageID, of account: AccountID, from: FolderID, to: FolderID) throws(StoreError)
    func setFlags(_ flags: MessageFlags, on id: MessageID, of account: AccountID, in folder: FolderID)
        throws(StoreError)
    /// Removes the message from the folder; its octets go with the last mailbox or queue row that names it.
    func expunge(_ id: MessageID, of account: AccountID, from folder: FolderID) throws(StoreError)
}

package protocol DirectoryReader: AnyObject {
    func domains() throws(StoreError) -> [DomainRecord]
    func accounts() throws(StoreError) -> [AccountRecord]
    func aliases() throws(StoreError) -> [AliasRecord]
    /// nil: no such account.
    func credentials(of address: [UInt8]) throws(StoreError) -> CredentialRecord?
}

/// Changes domains, accounts and aliases. Every change raises the directory's version.
package protocol DirectoryStore: DirectoryReader {
    func addDomain(_ name: [UInt8]) throws(StoreError)
    /// `conflict` while accounts are in it; its aliases go with it.
    func removeDomain(_ name: [UInt8]) throws(StoreError)
    /// `field` is a `DomainPolicyField`; `invalid` when there is none of that name or the value is not one of its.
    func setDomain(_ name: [UInt8], field: String, value: String) throws(StoreError)

    func addAccount(_ address: [UInt8], quotaOctets: Int?, isAdmin: Bool) throws(StoreError) -> AccountID
    /// Its mail goes with it.
    func removeAccount(_ address: [UInt8]) throws(StoreError)
    func setDisabled(_ address: [UInt8], _ disabled: Bool) throws(StoreError)
    func setAdmin(_ address: [UInt8], _ admin: Bool) throws(StoreError)
    func setQuota(_ address: [UInt8], octets: Int?) throws(StoreError)
    func setCredentials(_ address: [UInt8], _ credentials: Credentials) throws(StoreError)

    /// Adds targets to the alias `address` (`local@domain` or `@domain`), which is made if it is not there.
    func addAlias(_ address: [UInt8], targets: [[UInt8]]) throws(StoreError)
    /// nil removes the whole alias.
    func removeAlias(_ address: [UInt8], target: [UInt8]?) throws(StoreError)

    func loadSnapshot() throws(StoreError) -> DirectorySnapshot
}

/// What a read job sees: one consistent moment of the store.
package protocol StoreReaderSession: MailboxReader, QueueReader, DirectoryReader, KeyReader,
    TransportReader
{}

/// What a write job sees: the transaction of the group commit it runs in.
package protocol StoreWriterSession: StoreReaderSession, MailboxStore, QueueStore, DirectoryStore, KeyStore,
    TransportStore
{}
