package import Base
package import Ledger
import Policy
package import Protocols
package import Store

/// What an answer is made by. Jobs run on a store thread (through the gateway) or at once (with the store to oneself).
package enum ControlWork: Sendable {
    case write(@Sendable (any StoreWriterSession) throws(StoreError) -> ControlAnswer)
    case read(@Sendable (any StoreReaderSession) throws(StoreError) -> ControlAnswer)
    /// Neither; it may block, and runs on that thread.
    case apart(ControlThread, @Sendable () -> ControlAnswer)
    case done(ControlAnswer)
}

/// Where commands run that need no store. Two, so that neither kind waits for the other: a long list of clients must not
/// keep poison mail from being put away, nor that the release of a client.
package enum ControlThread: Sendable {
    /// The one that changes the folder of poison mail and its register: `ControlPoisonHooks.perform`.
    case poison
    /// The operators' own: `ControlDefenseHooks.perform`.
    case defense
}

/// What only the running process knows. All but `reload` are called on the thread of the control connection and must not
/// block for longer than reading a file takes.
package struct ControlHooks: Sendable {
    /// Reads the configuration again; the text says what changed, or what is wrong with it. May block.
    package var reload: @Sendable (ControlFormat) -> ControlAnswer
    /// Facts about the process, in order.
    package var status: @Sendable () -> [JSONMember]
    /// The name mail for our domains is sent to.
    package var hostname: @Sendable () -> String
    package var now: @Sendable () -> WallTime
    /// SHA-256 of the public keys of the server's certificates, for TLSA records.
    package var certificateKeys: @Sendable () -> [[UInt8]]

    package var queue = ControlQueueHooks()
    package var poison = ControlPoisonHooks()
    package var defense = ControlDefenseHooks()
    /// The folder of the decision ledger; empty: there is none.
    package var ledgerPath = ""
    /// What will come into the ledger under an id when its session has ended. Waits for a loop: not to be called on one.
    package var openRecord: @Sendable (MessageID) -> ConnectionRecord? = { _ in nil }

    package init(
        reload: @escaping @Sendable (ControlFormat) -> ControlAnswer, status: @escaping @Sendable () -> [JSONMember],
        hostname: @escaping @Sendable () -> String, now: @escaping @Sendable () -> WallTime,
        certificateKeys: @escaping @Sendable () -> [[UInt8]] = { [] }
    ) {
        self.reload = reload
        self.status = status
        self.hostname = hostname
        self.now = now
        self.certificateKeys = certificateKeys
    }
}

/// Turns requests into store jobs and their results into answers; holds no state. The same for daemon and command line.
package struct ControlService: Sendable {
    package let hooks: ControlHooks

    package init(hooks: ControlHooks) { self.hooks = hooks }

    /// False: the thread has as much to do as it takes, and `job` will not run.
    func perform(on thread: ControlThread, _ job: @escaping @Sendable () -> Void) -> Bool {
        switch thread {
        case .poison: hooks.poison.perform(job)
        case .defense: hooks.defense.perform(job)
        }
    }

    package func work(_ request: ControlRequest, _ format: ControlFormat) -> ControlWork {
        switch request {
        case .domainAdd, .domainRemove, .domainList, .domainShow, .domainSet, .domainDNS:
            domainWork(request, format)
        case .dkimAdd, .dkimList, .dkimActivate, .dkimRetire, .dkimRemove: keyWork(request, format)
        case .accountAdd, .accountList, .accountPassword, .accountDisable, .accountEnable, .accountRemove:
            accountWork(request, format)
        case .aliasAdd, .aliasList, .aliasRemove: aliasWork(request, format)
        case .mailboxList(let address, let folder, let limit): mailboxList(address, folder, limit, format)
        case .mailboxRead(let address, let id, let form, let offset): mailboxRead(address, id, form, offset, format)
        case .mailboxExport(let address, let folder, let state): mailboxExport(address, folder, state)
        case .storeVerify(let state): storeVerify(state, format)
        case .queue(let queue): queueWork(queue, format)
        case .poison(let poison): poisonWork(poison, format)
        case .tlsPeers(let peers): tlsPeers(peers, format)
        case .explain(let id): explain(id, format)
        case .policyReplay(let replay): policyReplay(replay, format)
        case .defense(let defense): defenseWork(defense, format)
        case .top: top(format)
        case .status: status(format)
        case .reload: .apart(.defense) { [hooks] in hooks.reload(format) }
        }
    }

    /// What the request was about, for error messages.
    package static func subject(_ request: ControlRequest) -> String {
        switch request {
        case .domainAdd(let n), .domainRemove(let n), .domainShow(let n), .domainSet(let n, _), .domainDNS(let n):
            "domain \(ControlText.shown(n))"
        case .dkimAdd(let key): "domain \(ControlText.shown(key.domain))"
        case .dkimList(let n): n.map { "domain \(ControlText.shown($0))" } ?? "store"
        case .dkimActivate(let n, let selector), .dkimRetire(let n, let selector), .dkimRemove(let n, let selector):
            "dkim key \(ControlText.shown(selector)) of \(ControlText.shown(n))"
        case .accountAdd(let a): "account \(ControlText.shown(a.address))"
        case .accountPassword(let a, _), .accountDisable(let a), .accountEnable(let a), .accountRemove(let a):
            "account \(ControlText.shown(a))"
        case .aliasAdd(let a, _), .aliasRemove(let a, _): "alias \(ControlText.shown(a))"
        case .mailboxList(let a, _, _), .mailboxExport(let a, _, _): "mailbox \(ControlText.shown(a))"
        case .mailboxRead(_, let id, _, _): "message \(ControlText.shown(id.text))"
        case .explain(let id): "message \(ControlText.shown(id.text))"
        case .poison(let p): p.id.map { "message \(ControlText.shown($0.text))" } ?? "store"
        case .queue(let q): q.filter.message.map { "message \(ControlText.shown($0.text))" } ?? "queue"
        case .domainList, .accountList, .aliasList, .storeVerify, .policyReplay, .status, .tlsPeers: "store"
        case .defense(let defense): defense.kind.rawValue
        case .top: "server"
        case .reload: "configuration"
        }
    }

    private func status(_ format: ControlFormat) -> ControlWork {
        let facts = hooks.status()
        let now = hooks.now()
        return .read { (session) throws(StoreError) in
            let queue = try session.queueCounts(at: now)
            let members =
                facts + [
                    JSONMember("domains", .integer(try session.domains().count)),
                    JSONMember("accounts", .integer(try session.accounts().count)),
                    JSONMember("queue_recipients", .integer(queue.total)),
                    JSONMember("queue_due", .integer(queue.due)),
                    JSONMember("queue_leased", .integer(queue.leased)),
                ]
            return Self.object(members, format)
        }
    }

    // MARK: Answers

    static func badDomain(_ text: [UInt8]) -> ControlWork {
        .done(.failed("\"\(ControlText.shown(text))\" is not a domain name, such as example.org", ExitStatus.data))
    }

    static func badAddress(_ text: [UInt8]) -> ControlWork {
        .done(.failed("\"\(ControlText.shown(text))\" is not an address, such as alice@example.org", ExitStatus.data))
    }

    /// For changes: one line for people, nothing but the thing itself in JSON.
    static func changed(_ line: String, _ members: [JSONMember], _ format: ControlFormat) -> ControlAnswer {
        switch format {
        case .text: ControlAnswer(output: Array((line + "\n").utf8))
        case .json: ControlAnswer(output: JSONValue.object(members).bytes + [ASCII.lf])
        }
    }

    /// `name: value` lines, or one object.
    static func object(_ members: [JSONMember], _ format: ControlFormat) -> ControlAnswer {
        if format == .json { return ControlAnswer(output: JSONValue.object(members).bytes + [ASCII.lf]) }
        var text = ""
        for member in members { text += "\(member.name): \(plain(member.value))\n" }
        return ControlAnswer(output: Array(text.utf8))
    }

    /// A table, or an array of objects named by `names`.
    static func list(
        _ header: [String], _ names: [String], _ rows: [[JSONValue]], empty: String, _ format: ControlFormat
    ) -> ControlAnswer {
        if format == .json {
            let objects = rows.map { row in JSONValue.object(zip(names, row).map { JSONMember($0, $1) }) }
            return ControlAnswer(output: JSONValue.array(objects).bytes + [ASCII.lf])
        }
        if rows.isEmpty { return ControlAnswer(complaint: empty) }
        return ControlAnswer(output: ControlText.table(header, rows.map { $0.map(plain) }))
    }

    private static func plain(_ value: JSONValue) -> String {
        switch value {
        case .null: "-"
        case .boolean(let b): b ? "yes" : "no"
        case .integer(let n): "\(n)"
        case .tenths(let n): JSONValue.tenths(n)
        case .text(let s): s
        case .array(let values): values.map(plain).joined(separator: ", ")
        case .object(let members): members.map { "\($0.name)=\(plain($0.value))" }.joined(separator: " ")
        }
    }
}
