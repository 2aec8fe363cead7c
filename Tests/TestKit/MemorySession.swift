import Base
import Policy
import Protocols
import Store

/// The memory store's one session. Undone by putting the old `state` back.
final class MemorySession: StoreWriterSession {
    struct Message {
        var stored: StoredMessage
        var body: [UInt8]
        var holders: Int
    }

    struct Place: Hashable {
        let account: AccountID
        let folder: FolderID
        let message: MessageID
    }

    struct Entry {
        var flags: MessageFlags = []
        var recipient: [UInt8]
    }

    struct QueueRow {
        var recipient: RemoteRecipient
        var due: WallTime
        var attempts = 0
        var owner: Int64 = 0
        var until = WallTime(microseconds: 0)
        var generation: Int64 = 0
        var status: [UInt8] = []
        var host: [UInt8] = []
        var last: WallTime?
        var isHeld = false
        var isWarned = false
    }

    struct Account {
        var id: AccountID
        var admin: Bool
        var disabled = false
        var quota: Int?
        var credentials = Credentials()
        var usage = MailboxUsage(octets: 0)
    }

    struct State {
        var version = 1
        var messages: [MessageID: Message] = [:]
        var entries: [Place: Entry] = [:]
        var queue: [QueueRowID: QueueRow] = [:]
        var holds: [[UInt8]: WallTime] = [:]
        var policies: [[UInt8]: STSPolicyRecord] = [:]
        var results: [TLSResultRow.Key: TLSResultRow] = [:]
        var domains: [[UInt8]: DomainPolicy] = [:]
        var accounts: [[UInt8]: Account] = [:]
        var lastAccount: Int64 = 0
        var aliases: [[UInt8]: Set<[UInt8]>] = [:]
        var folders: [AccountID: [FolderID: String]] = [:]
        var usage: [AccountID: Int] = [:]
        var keys: [Key] = []
        var lastKey: Int64 = 0
    }

    struct Key {
        var key: DKIMKey
        var secret: Secret
    }

    var state = State()

    init() {}

    /// After a "commit": loops see the new sizes.
    func publishUsage() {
        for account in state.accounts.values {
            if let change = state.usage[account.id] { account.usage.add(change) }
        }
        state.usage.removeAll()
    }

    func size(_ id: MessageID) -> Int {
        state.messages[id].map { $0.stored.trace.count + $0.body.count } ?? 0
    }

    func letGo(_ id: MessageID) {
        guard var message = state.messages[id] else { return }
        message.holders -= 1
        state.messages[id] = message.holders == 0 ? nil : message
    }

    // MARK: mailboxes

    func folders(of account: AccountID) throws(StoreError) -> [Folder] {
        func count(_ id: FolderID) -> Int {
            state.entries.keys.count { $0.account == account && $0.folder == id }
        }
        let custom = (state.folders[account] ?? [:]).sorted { $0.value < $1.value }
        return FolderID.standard.map { Folder(id: $0, name: $1, messages: count($0)) }
            + custom.map { Folder(id: $0, name: $1, messages: count($0)) }
    }

    func list(_ account: AccountID, folder: FolderID, before: MessageID?, limit: Int) throws(StoreError)
        -> [MessageSummary]
    {
        let end = before ?? MessageID(rawValue: .max)
        let found = state.entries.filter {
            $0.key.account == account && $0.key.folder == folder && $0.key.message < end
        }
        return found.sorted { $0.key.message > $1.key.message }.prefix(max(0, limit)).compactMap { place, entry in
            guard let message = state.messages[place.message] else { return nil }
            return MessageSummary(
                id: place.message, size: size(place.message), received: message.stored.received,
                sender: message.stored.sender, recipient: entry.recipient, flags: entry.flags)
        }
    }

    func message(_ id: MessageID, of account: AccountID) throws(StoreError) -> StoredMessage? {
        let held = state.entries.keys.contains { $0.account == account && $0.message == id }
        return held ? state.messages[id]?.stored : nil
    }

    func message(_ id: MessageID) throws(StoreError) -> StoredMessage? { state.messages[id]?.stored }

    func body(of id: MessageID, from offset: Int, max: Int) throws(StoreError) -> [UInt8] {
        guard let body = state.messages[id]?.body else { throw .notFound }
        guard offset >= 0, max > 0, offset < body.count else { return [] }
        return Array(body[offset..<min(body.count, offset + max)])
    }

    func createFolder(_ name: String, of account: AccountID) throws(StoreError) -> FolderID {
        guard state.accounts.values.contains(where: { $0.id == account }) else { throw .notFound }
        guard !name.isEmpty, name.utf8.count <= 255 else { throw .invalid("a folder name has 1 to 255 octets") }
        let mine = state.folders[account] ?? [:]
        if FolderID.standard.contains(where: { $0.1 == name }) || mine.values.contains(name) { throw .conflict }
        let id = FolderID(rawValue: (mine.keys.max()?.rawValue ?? FolderID.firstCustom - 1) + 1)
        state.folders[account, default: [:]][id] = name
        return id
    }

    func move(_ id: MessageID, of account: AccountID, from: FolderID, to: FolderID) throws(StoreError) {
        let isStandard = FolderID.standard.contains { $0.0 == to }
        guard isStandard || state.folders[account]?[to] != nil else { throw .notFound }
        let entry = state.entries.removeValue(forKey: Place(account: account, folder: from, message: id))
        guard let entry else { throw .notFound }
        state.entries[Place(account: account, folder: to, message: id)] = entry
    }

    func setFlags(_ flags: MessageFlags, on id: MessageID, of account: AccountID, in folder: FolderID)
        throws(StoreError)
    {
        let place = Place(account: account, folder: folder, message: id)
        guard state.entries[place] != nil else { throw .notFound }
        state.entries[place]?.flags = flags
    }

    func expunge(_ id: MessageID, of account: AccountID, from folder: FolderID) throws(StoreError) {
        let gone = state.entries.removeValue(forKey: Place(account: account, folder: folder, message: id))
        guard gone != nil else { throw .notFound }
        state.usage[account, default: 0] -= size(id)
        letGo(id)
    }

    // MARK: queue

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
        let places = Set(request.local.map { Place(account: $0.account, folder: $0.folder, message: request.id) })
        guard !places.isEmpty || !request.remote.isEmpty else { throw .invalid("a message without recipients") }
        for place in places where !state.accounts.values.contains(where: { $0.id == place.account }) {
            throw .notFound
        }
        guard state.messages[request.id] == nil else { throw .conflict }
        let body = try bytes(request.body)
        state.messages[request.id] = Message(
            stored: StoredMessage(
                id: request.id, received: request.received, sender: request.sender, trace: request.trace,
                envelope: request.envelope, bodySize: body.count),
            body: body, holders: places.count + request.remote.count)
        for delivery in request.local {
            let place = Place(account: delivery.account, folder: delivery.folder, message: request.id)
            if state.entries[place] == nil { state.usage[delivery.account, default: 0] += request.size }
            state.entries[place] = state.entries[place] ?? Entry(recipient: delivery.recipient)
        }
        for (index, recipient) in request.remote.enumerated() {
            let id = QueueRowID(message: request.id, recipient: Int32(index))
            var row = QueueRow(recipient: recipient, due: request.received)
            if let owner = request.leasedTo {
                row.due = request.leaseUntil
                row.until = request.leaseUntil
                row.owner = owner.rawValue
                row.generation = Lease.firstGeneration
            }
            row.isHeld = request.hold != nil
            row.status = request.hold ?? []
            state.queue[id] = row
        }
    }

    private func bytes(_ body: AcceptRequest.Body) throws(StoreError) -> [UInt8] {
        switch body {
        case .inline(let bytes): return bytes
        case .spooled(let body, let size):
            guard body.isDurable else { throw body.failure ?? .invalid("the body is not durable") }
            let bytes = body.holds.flatMap { ($0 as? MemoryChunk)?.bytes ?? [] }
            guard bytes.count == size else { throw .invalid("the spooled body is not as long as was said") }
            return bytes
        }
    }

    // MARK: directory

    func domains() throws(StoreError) -> [DomainRecord] {
        state.domains.sorted { $0.key.lexicographicallyPrecedes($1.key) }.map { DomainRecord(name: $0, policy: $1) }
    }

    func accounts() throws(StoreError) -> [AccountRecord] {
        state.accounts.sorted { $0.key.lexicographicallyPrecedes($1.key) }.map { address, account in
            AccountRecord(
                id: account.id, address: address, isAdmin: account.admin, isDisabled: account.disabled,
                quotaOctets: account.quota, usedOctets: account.usage.current,
                messages: state.entries.keys.count { $0.account == account.id })
        }
    }

    func aliases() throws(StoreError) -> [AliasRecord] {
        state.aliases.sorted { $0.key.lexicographicallyPrecedes($1.key) }.map { address, targets in
            AliasRecord(address: address, targets: targets.sorted { $0.lexicographicallyPrecedes($1) })
        }
    }

    func credentials(of address: [UInt8]) throws(StoreError) -> CredentialRecord? {
        state.accounts[ASCII.lowercased(address)].map {
            CredentialRecord(
                account: $0.id, isAdmin: $0.admin, isDisabled: $0.disabled, credentials: $0.credentials)
        }
    }

    func addDomain(_ name: [UInt8]) throws(StoreError) {
        let key = ASCII.lowercased(name)
        guard DirectoryRules.isDomain(key) else { throw .invalid("not a domain name") }
        guard state.domains[key] == nil else { throw .conflict }
        state.domains[key] = DomainPolicy()
        state.version += 1
    }

    func removeDomain(_ name: [UInt8]) throws(StoreError) {
        let key = ASCII.lowercased(name)
        guard state.domains[key] != nil else { throw .notFound }
        if state.accounts.keys.contains(where: { DirectoryRules.domain(of: $0) == key }) { throw .conflict }
        state.aliases = state.aliases.filter { DirectoryRules.domain(of: $0.key) != key }
        state.domains[key] = nil
        state.keys.removeAll { $0.key.domain == key }
        state.version += 1
    }

    func setDomain(_ name: [UInt8], field: String, value: String) throws(StoreError) {
        let key = ASCII.lowercased(name)
        guard var policy = state.domains[key] else { throw .notFound }
        guard let known = DomainPolicyField.named(field) else { throw .invalid("no domain setting \(field)") }
        guard known.write(&policy, value) else { throw .invalid("\(field): \(known.complaint(value))") }
        state.domains[key] = policy
        state.version += 1
    }

    func addAccount(_ address: [UInt8], quotaOctets: Int?, isAdmin: Bool) throws(StoreError) -> AccountID {
        let key = ASCII.lowercased(address)
        guard let domain = DirectoryRules.domain(of: key), DirectoryRules.isMailbox(key) else {
            throw .invalid("not an address")
        }
        guard state.domains[domain] != nil else { throw .invalid("the domain is not one of ours") }
        guard state.accounts[key] == nil, state.aliases[key] == nil else { throw .conflict }
        state.lastAccount += 1
        let id = AccountID(rawValue: state.lastAccount)
        state.accounts[key] = Account(id: id, admin: isAdmin, quota: quotaOctets)
        state.version += 1
        return id
    }

    func removeAccount(_ address: [UInt8]) throws(StoreError) {
        guard let account = state.accounts.removeValue(forKey: ASCII.lowercased(address)) else { throw .notFound }
        for place in state.entries.keys where place.account == account.id {
            state.entries[place] = nil
            letGo(place.message)
        }
        state.folders[account.id] = nil
        state.version += 1
    }

    private func change(_ address: [UInt8], _ body: (inout Account) -> Void) throws(StoreError) {
        let key = ASCII.lowercased(address)
        guard var account = state.accounts[key] else { throw .notFound }
        body(&account)
        state.accounts[key] = account
        state.version += 1
    }

    func setDisabled(_ address: [UInt8], _ disabled: Bool) throws(StoreError) {
        try change(address) { $0.disabled = disabled }
    }

    func setAdmin(_ address: [UInt8], _ admin: Bool) throws(StoreError) { try change(address) { $0.admin = admin } }

    func setQuota(_ address: [UInt8], octets: Int?) throws(StoreError) { try change(address) { $0.quota = octets } }

    func setCredentials(_ address: [UInt8], _ credentials: Credentials) throws(StoreError) {
        try change(address) { $0.credentials = credentials }
    }

    func addAlias(_ address: [UInt8], targets: [[UInt8]]) throws(StoreError) {
        let key = ASCII.lowercased(address)
        guard let domain = DirectoryRules.domain(of: key) else { throw .invalid("not an address") }
        guard state.domains[domain] != nil else { throw .invalid("the domain is not one of ours") }
        guard !targets.isEmpty, targets.allSatisfy(DirectoryRules.isMailbox) else {
            throw .invalid("a target is not an address")
        }
        guard state.accounts[key] == nil else { throw .conflict }
        state.aliases[key, default: []].formUnion(targets)
        state.version += 1
    }

    func removeAlias(_ address: [UInt8], target: [UInt8]?) throws(StoreError) {
        let key = ASCII.lowercased(address)
        guard var targets = state.aliases[key] else { throw .notFound }
        if let target {
            guard targets.remove(target) != nil else { throw .notFound }
            state.aliases[key] = targets.isEmpty ? nil : targets
        } else {
            state.aliases[key] = nil
        }
        state.version += 1
    }

    func loadSnapshot() throws(StoreError) -> DirectorySnapshot {
        DirectorySnapshot(
            version: state.version, domains: state.domains,
            accounts: state.accounts.map { address, account in
                AccountEntry(
                    id: account.id, address: address, isAdmin: account.admin, isDisabled: account.disabled,
                    quotaOctets: account.quota, usage: account.usage)
            },
            aliases: state.aliases.mapValues { $0.sorted { $0.lexicographicallyPrecedes($1) } },
            signingKeys: try signingKeys())
    }
}
