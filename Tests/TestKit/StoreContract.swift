import Base
import Handoff
package import Policy
package import Protocols
package import Store
import Synchronization

/// What a contract case found wrong.
package struct ContractFailure: Error, CustomStringConvertible {
    package let description: String
}

/// Waits for one answer from another thread. Bounded by nothing: a store that never answers hangs the test.
package final class Waiter<Value: Sendable>: Sendable {
    private let value = Mutex<Value?>(nil)
    private let bell = Mailbox<Bool>(capacity: 2)

    package init() {}

    package func fulfil(_ value: Value) {
        self.value.withLock { $0 = value }
        _ = bell.post(true)
    }

    package func wait() -> Value {
        while true {
            if let value = value.withLock({ $0 }) { return value }
            bell.wait()
            _ = bell.next()
        }
    }
}

/// A running store seen through its gateway, with calls that wait.
package struct StoreClient: Sendable {
    package let gateway: StoreGateway

    package init(_ gateway: StoreGateway) { self.gateway = gateway }

    package func accept(_ request: AcceptRequest) -> Result<MessageID, StoreError> {
        let waiter = Waiter<Result<MessageID, StoreError>>()
        guard gateway.accept(request, completion: { waiter.fulfil($0) }) else { return .failure(.unavailable(.busy)) }
        return waiter.wait()
    }

    package func write<T: Sendable>(
        _ job: @escaping @Sendable (any StoreWriterSession) throws(StoreError) -> T
    ) throws(StoreError) -> T {
        let waiter = Waiter<Result<T, StoreError>>()
        guard gateway.write(job, completion: { waiter.fulfil($0) }) else { throw .unavailable(.busy) }
        return try waiter.wait().get()
    }

    package func read<T: Sendable>(
        _ job: @escaping @Sendable (any StoreReaderSession) throws(StoreError) -> T
    ) throws(StoreError) -> T {
        let waiter = Waiter<Result<T, StoreError>>()
        guard gateway.read(job, completion: { waiter.fulfil($0) }) else { throw .unavailable(.busy) }
        return try waiter.wait().get()
    }

    /// Hands `bytes` over in chunks, as a connection does. nil: no body could be opened.
    package func spool(_ bytes: [UInt8], chunk: Int) -> SpoolBody? {
        guard let body = gateway.openBody() else { return nil }
        var offset = 0
        while offset < bytes.count {
            let end = min(bytes.count, offset + chunk)
            let waiter = Waiter<Bool>()
            while !body.append(Array(bytes[offset..<end]), done: { waiter.fulfil(true) }) {}
            _ = waiter.wait()
            offset = end
        }
        return body
    }
}

/// The behaviour every back-end must show, case by case, each on a fresh store. The tests of a back-end run all of them.
package enum StoreContract {
    package struct Case: Sendable, CustomStringConvertible {
        package let description: String
        package let run: @Sendable (StoreClient) throws -> Void
    }

    package static let cases = generalCases + queueCases

    private static let generalCases: [Case] = [
        Case(description: "a message comes back byte for byte", run: byteExact),
        Case(description: "several recipients, one message", run: sharedMessage),
        Case(description: "an id is taken once", run: conflict),
        Case(description: "an account that is not there", run: missingAccount),
        Case(description: "a large body by chunks", run: spooled),
        Case(description: "a spooled body of another length", run: spooledLength),
        Case(description: "leases exclude and run out", run: leases),
        Case(description: "the fence", run: fence),
        Case(description: "a bounce in the job that settles", run: bounce),
        Case(description: "a failed job leaves nothing", run: failedJob),
        Case(description: "many at once", run: manyAtOnce),
        Case(description: "domains, accounts, aliases", run: directory),
        Case(description: "usage follows the mailbox", run: usage),
        Case(description: "folders and flags", run: folders),
        Case(description: "credentials", run: credentials),
        Case(description: "removals", run: removals),
        Case(description: "listing by pages", run: pages),
        Case(description: "signing keys", run: signingKeys),
        Case(description: "signing keys refused", run: keyRefusals),
        Case(description: "signing keys of a domain", run: keysOfADomain),
    ]

    static func require(_ condition: Bool, _ text: @autoclosure () -> String, line: Int = #line) throws {
        if !condition { throw ContractFailure(description: "line \(line): \(text())") }
    }

    static func b(_ text: String) -> [UInt8] { Array(text.utf8) }

    /// `a@x.example` and `b@x.example`.
    package static func accounts(_ store: StoreClient) throws -> (AccountID, AccountID) {
        try store.write { (s) throws(StoreError) in
            try s.addDomain(b("x.example"))
            return (
                try s.addAccount(b("A@x.example"), quotaOctets: nil, isAdmin: true),
                try s.addAccount(b("b@X.example"), quotaOctets: 5000, isAdmin: false)
            )
        }
    }

    package static func request(
        _ id: Int64, body: [UInt8] = b("Subject: x\r\n\r\nhello\r\n"), to accounts: [AccountID] = [],
        remote: [String] = [], at seconds: Int64 = 100
    ) -> AcceptRequest {
        AcceptRequest(
            id: MessageID(rawValue: id), received: WallTime(seconds: seconds), sender: b("s@y.example"),
            trace: b("Received: by x\r\n"), body: .inline(body), envelope: [1, 0, 2],
            local: accounts.map { LocalDelivery(account: $0, recipient: b("r@x.example")) },
            remote: remote.map { RemoteRecipient(address: b($0), notify: 3, originalRecipient: b("rfc822;o")) })
    }

    private static func byteExact(_ store: StoreClient) throws {
        let (a, _) = try accounts(store)
        let bodies: [[UInt8]] = [
            [], [0], Array(0...255), b("\r\n.\r\n..\n\r"), [UInt8](repeating: 0xFE, count: 70_001),
        ]
        for (index, body) in bodies.enumerated() {
            let id = MessageID(rawValue: Int64(index + 1))
            let answer = store.accept(request(id.rawValue, body: body, to: [a]))
            try require(answer == .success(id), "\(answer)")
            let (stored, read) = try store.read { (s) throws(StoreError) in
                (try s.message(id, of: a), try s.wholeBody(of: id))
            }
            try require(read == body, "body \(index) differs")
            try require(
                stored
                    == StoredMessage(
                        id: id, received: WallTime(seconds: 100), sender: b("s@y.example"),
                        trace: b("Received: by x\r\n"), envelope: [1, 0, 2], bodySize: body.count),
                "\(String(describing: stored))")
        }
        let slice = try store.read { (s) throws(StoreError) in
            try s.body(of: MessageID(rawValue: 3), from: 10, max: 5)
        }
        try require(slice == [10, 11, 12, 13, 14], "\(slice)")
    }

    private static func sharedMessage(_ store: StoreClient) throws {
        let (a, c) = try accounts(store)
        let id = MessageID(rawValue: 7)
        _ = store.accept(request(7, to: [a, c, a], remote: ["z@z.example"]))
        let lists = try store.read { (s) throws(StoreError) in
            (
                try s.list(a, folder: .inbox, before: nil, limit: 10).map(\.id),
                try s.list(c, folder: .inbox, before: nil, limit: 10).map(\.id)
            )
        }
        try require(lists == ([id], [id]), "\(lists)")
        try store.write { (s) throws(StoreError) in try s.expunge(id, of: a, from: .inbox) }
        let after = try store.read { (s) throws(StoreError) in (try s.message(id, of: a), try s.message(id, of: c)) }
        try require(after.0 == nil && after.1 != nil, "expunging one took the other")
        try store.write { (s) throws(StoreError) in
            try s.expunge(id, of: c, from: .inbox)
            let leased = try s.lease(
                site: b("z.example"), count: 5, owner: LeaseOwner(rawValue: 1), until: WallTime(seconds: 300),
                now: WallTime(seconds: 200))
            _ = try s.settle(leased.rows.map { Outcome(lease: $0.lease, result: .done) })
        }
        try require(
            try store.read { (s) throws(StoreError) in try s.message(id) } == nil, "the last holder left the message")
    }

    private static func conflict(_ store: StoreClient) throws {
        let (a, c) = try accounts(store)
        _ = store.accept(request(1, to: [a]))
        let second = store.accept(request(1, body: b("other"), to: [c]))
        try require(second == .failure(.conflict), "\(second)")
        let count = try store.read { (s) throws(StoreError) in
            try s.list(c, folder: .inbox, before: nil, limit: 10).count
        }
        try require(count == 0, "the refused message is in a mailbox")
    }

    private static func missingAccount(_ store: StoreClient) throws {
        let (a, _) = try accounts(store)
        let answer = store.accept(request(1, to: [a, AccountID(rawValue: 999)]))
        try require(answer == .failure(.notFound), "\(answer)")
        let nobody = store.accept(request(2))
        try require(nobody != .success(MessageID(rawValue: 2)), "a message for nobody was taken")
        let id = MessageID(rawValue: 1)
        try require(try store.read { (s) throws(StoreError) in try s.message(id) } == nil, "half a message")
    }

    private static func spooled(_ store: StoreClient) throws {
        let (a, _) = try accounts(store)
        let bytes = (0..<700_003).map { UInt8(truncatingIfNeeded: $0 &* 31 ^ ($0 >> 8)) }
        for (id, chunk) in [(Int64(1), 65_536), (2, 999), (3, SpoolBody.chunkMax)] {
            guard let body = store.spool(bytes, chunk: chunk) else { throw ContractFailure(description: "no body") }
            let answer = store.accept(spooledRequest(id, body, bytes.count, a))
            try require(answer == .success(MessageID(rawValue: id)), "\(answer)")
            let (read, size) = try store.read { (s) throws(StoreError) in
                (
                    try s.wholeBody(of: MessageID(rawValue: id)),
                    try s.list(a, folder: .inbox, before: nil, limit: 1).first?.size
                )
            }
            try require(read == bytes, "spooled body differs at chunk \(chunk)")
            try require(size == bytes.count + 2, "size \(String(describing: size))")
        }
        let body = store.spool([1, 2, 3], chunk: 2)
        try require(
            body?.append([UInt8](repeating: 0, count: SpoolBody.chunkMax + 1), done: {}) == false,
            "a chunk without bound")
    }

    private static func spooledRequest(_ id: Int64, _ body: SpoolBody, _ size: Int, _ account: AccountID)
        -> AcceptRequest
    {
        AcceptRequest(
            id: MessageID(rawValue: id), received: WallTime(seconds: 5), sender: [], trace: [13, 10],
            body: .spooled(body, size: size), local: [LocalDelivery(account: account, recipient: b("a@x.example"))])
    }

    private static func spooledLength(_ store: StoreClient) throws {
        let (a, _) = try accounts(store)
        guard let body = store.spool([1, 2, 3], chunk: 2) else { throw ContractFailure(description: "no body") }
        let answer = store.accept(spooledRequest(1, body, 4, a))
        try require(answer != .success(MessageID(rawValue: 1)), "a body shorter than was said was taken")
        try require((try? answer.get()) == nil, "\(answer)")
    }

    private static let one = LeaseOwner(rawValue: 1)
    private static let two = LeaseOwner(rawValue: 2)

    /// Rows of `z.example`.
    private static func take(
        _ session: any StoreWriterSession, _ count: Int, _ owner: LeaseOwner, _ until: WallTime, _ now: WallTime
    ) throws(StoreError) -> [LeasedRecipient] {
        try session.lease(site: b("z.example"), count: count, owner: owner, until: until, now: now).rows
    }

    private static func leases(_ store: StoreClient) throws {
        _ = store.accept(request(1, remote: ["p@z.example", "q@z.example", "r@z.example"]))
        try store.write { (s) throws(StoreError) in
            let now = WallTime(seconds: 200)
            let early = try take(s, 9, one, now, WallTime(seconds: 99))
            let first = try take(s, 2, one, WallTime(seconds: 260), now)
            let second = try take(s, 9, two, WallTime(seconds: 300), now)
            let third = try take(s, 9, two, WallTime(seconds: 300), now)
            let expired = try take(s, 9, two, WallTime(seconds: 400), WallTime(seconds: 261))
            let counts = try s.queueCounts(at: WallTime(seconds: 261))
            let shape = [
                early.count, first.count, second.count, third.count, expired.count, counts.leased, counts.total,
            ]
            guard shape == [0, 2, 1, 0, 2, 3, 3] else { throw .invalid("\(shape)") }
            guard Set(expired.map(\.lease.row)) == Set(first.map(\.lease.row)) else { throw .invalid("other rows") }
            guard first[0].recipient.notify == 3, first[0].recipient.originalRecipient == b("rfc822;o"),
                first[0].message.sender == b("s@y.example")
            else { throw .invalid("the leased row lost something") }
        }
    }

    private static func fence(_ store: StoreClient) throws {
        _ = store.accept(request(1, remote: ["p@z.example"]))
        try store.write { (s) throws(StoreError) in
            func at(_ seconds: Int64) -> WallTime { WallTime(seconds: seconds) }
            let old = try take(s, 1, one, at(210), at(200)).map(\.lease)
            let new = try take(s, 1, two, at(310), at(211)).map(\.lease)
            let stale = [
                try s.settle(old.map { Outcome(lease: $0, result: .done) }),
                try s.settle(old.map { Outcome(lease: $0, result: .deferred(until: at(900), status: [])) }),
                try s.extend(old, until: at(900)), try s.release(old, now: at(1)),
            ]
            guard stale == [[false], [false], [false], [false]] else { throw .invalid("stale lease used: \(stale)") }
            guard try s.extend(new, until: at(400)) == [true],
                try take(s, 1, one, at(410), at(320)).isEmpty
            else { throw .invalid("extension did not hold") }
            guard try s.release(new, now: at(330)) == [true], try s.release(new, now: at(330)) == [false]
            else { throw .invalid("release") }
            let again = try take(s, 1, one, at(410), at(331))
            guard again.map(\.attempts) == [0] else { throw .invalid("a release counted as an attempt") }
            let deferred = Outcome.Result.deferred(until: at(500), status: b("451 later"))
            guard try s.settle(again.map { Outcome(lease: $0.lease, result: deferred) }) == [true],
                try s.settle(again.map { Outcome(lease: $0.lease, result: .done) }) == [false],
                try s.nextDue(b("z.example")) == at(500)
            else { throw .invalid("deferral") }
            let list = try s.queued(QueueFilter(), after: nil, limit: 5, scanMax: 100, at: at(400)).rows
            guard list.map(\.status) == [b("451 later")], list.map(\.attempts) == [1], list[0].isLeased == false
            else { throw .invalid("\(list)") }
            let last = try take(s, 1, one, at(600), at(500))
            guard try s.settle(last.map { Outcome(lease: $0.lease, result: .done) }) == [true],
                try s.message(MessageID(rawValue: 1)) == nil, try s.nextDue(b("z.example")) == nil
            else { throw .invalid("done") }
        }
    }

    private static func bounce(_ store: StoreClient) throws {
        let (a, _) = try accounts(store)
        _ = store.accept(request(1, remote: ["p@z.example"]))
        try store.write { (s) throws(StoreError) in
            let row = try take(s, 1, one, WallTime(seconds: 300), WallTime(seconds: 200))
            try s.accept(request(2, to: [a]))
            _ = try s.settle(row.map { Outcome(lease: $0.lease, result: .done) })
        }
        let (gone, bounce) = try store.read { (s) throws(StoreError) in
            (try s.message(MessageID(rawValue: 1)), try s.message(MessageID(rawValue: 2), of: a))
        }
        try require(gone == nil && bounce != nil, "settle and bounce were not one change")
    }

    private static func failedJob(_ store: StoreClient) throws {
        let (a, _) = try accounts(store)
        do {
            try store.write { (s) throws(StoreError) in
                try s.addDomain(b("half.example"))
                try s.accept(request(5, to: [a]))
                throw StoreError.invalid("on purpose")
            }
            throw ContractFailure(description: "the job's error was lost")
        } catch StoreError.invalid(let text) {
            try require(text == "on purpose", text)
        }
        let (domains, message, used) = try store.read { (s) throws(StoreError) in
            (try s.domains().count, try s.message(MessageID(rawValue: 5)), try s.accounts()[0].usedOctets)
        }
        try require(domains == 1 && message == nil && used == 0, "half a job was kept")
    }

    private static func manyAtOnce(_ store: StoreClient) throws {
        let (a, c) = try accounts(store)
        var waiters: [Waiter<Bool>] = []
        for id in 1...300 as ClosedRange<Int64> {
            let waiter = Waiter<Bool>()
            waiters.append(waiter)
            if id % 10 == 3 {
                // Fails after it changed something: the others of its batch must not notice.
                _ = store.gateway.write(
                    { (s) throws(StoreError) in
                        try s.addDomain(b("d\(id).example"))
                        throw StoreError.notFound
                    }, completion: { (result: Result<Void, StoreError>) in waiter.fulfil((try? result.get()) == nil) })
            } else {
                let bad = id % 10 == 7
                let to = bad ? AccountID(rawValue: 12_345) : (id % 2 == 0 ? a : c)
                _ = store.gateway.accept(request(id, to: [to])) { result in
                    waiter.fulfil(bad ? result == .failure(.notFound) : result == .success(MessageID(rawValue: id)))
                }
            }
        }
        let wrong = waiters.indices.filter { !waiters[$0].wait() }
        try require(wrong.isEmpty, "wrong answers: \(wrong)")
        let (inA, inC, domains) = try store.read { (s) throws(StoreError) in
            (
                try s.list(a, folder: .inbox, before: nil, limit: 999).count,
                try s.list(c, folder: .inbox, before: nil, limit: 999).count, try s.domains().count
            )
        }
        try require((inA, inC, domains) == (150, 90, 1), "\(inA) \(inC) \(domains)")
    }

    private static func directory(_ store: StoreClient) throws {
        let (a, c) = try accounts(store)
        let snapshot = try store.write { (s) throws(StoreError) in
            try s.addDomain(b("Other.example"))
            try s.setDomain(b("other.example"), field: "quota_refusal", value: "permanent")
            try s.addAlias(b("all@x.example"), targets: [b("a@x.example"), b("b@x.example"), b("f@far.example")])
            try s.addAlias(b("@other.example"), targets: [b("b@x.example")])
            return try s.loadSnapshot()
        }
        func resolve(_ local: String, _ domain: String) -> ([AccountID], [[UInt8]])? {
            let found = snapshot.resolve(localpart: b(local), domain: b(domain), declaredSize: 0)
            guard case .deliver(let accounts, let forwards) = found else { return nil }
            return (accounts.sorted(), forwards)
        }
        try require(resolve("A", "x.example")?.0 == [a], "account")
        try require(resolve("all", "x.example")?.0 == [a, c], "alias")
        try require(resolve("all", "x.example")?.1 == [b("f@far.example")], "forward")
        try require(resolve("who.ever", "other.example")?.0 == [c], "catch-all")
        try require(resolve("nobody", "x.example") == nil, "somebody")
        try require(snapshot.policy(ofDomain: b("other.example"))?.quotaRefusal == .permanent, "setting")
        for (name, job) in refusals {
            let refused = try store.write { (s) throws(StoreError) in
                do throws(StoreError) {
                    try job(s)
                    return false
                } catch { return true }
            }
            try require(refused, "\(name) was taken")
        }
        let later = try store.write { (s) throws(StoreError) in
            try s.removeAlias(b("all@x.example"), target: b("f@far.example"))
            try s.setDisabled(b("b@x.example"), true)
            return try s.loadSnapshot()
        }
        try require(later.version > snapshot.version, "the version stands still")
        try require(later.account(b("b@x.example"))?.isDisabled == true, "disabled")
        try require(
            later.account(b("a@x.example"))?.usage === snapshot.account(b("a@x.example"))?.usage,
            "usage is another object")
        let aliases = try store.read { (s) throws(StoreError) in try s.aliases() }
        try require(aliases.map(\.targets.count) == [1, 2], "\(aliases)")
    }

    private static let refusals: [(String, @Sendable (any StoreWriterSession) throws(StoreError) -> Void)] = [
        ("a domain twice", { (s) throws(StoreError) in try s.addDomain(b("X.EXAMPLE")) }),
        ("a domain with @", { (s) throws(StoreError) in try s.addDomain(b("a@b")) }),
        (
            "an account twice",
            { (s) throws(StoreError) in _ = try s.addAccount(b("a@x.example"), quotaOctets: nil, isAdmin: false) }
        ),
        (
            "an account elsewhere",
            { (s) throws(StoreError) in _ = try s.addAccount(b("a@far.example"), quotaOctets: nil, isAdmin: false) }
        ),
        (
            "an account over an alias",
            { (s) throws(StoreError) in _ = try s.addAccount(b("all@x.example"), quotaOctets: nil, isAdmin: false) }
        ),
        (
            "an alias over an account",
            { (s) throws(StoreError) in try s.addAlias(b("a@x.example"), targets: [b("b@x.example")]) }
        ),
        ("an alias to nothing", { (s) throws(StoreError) in try s.addAlias(b("n@x.example"), targets: []) }),
        (
            "an unknown setting",
            { (s) throws(StoreError) in try s.setDomain(b("x.example"), field: "nope", value: "1") }
        ),
        (
            "a wrong value",
            { (s) throws(StoreError) in try s.setDomain(b("x.example"), field: "enabled", value: "maybe") }
        ),
        ("removing a domain in use", { (s) throws(StoreError) in try s.removeDomain(b("x.example")) }),
        ("removing nothing", { (s) throws(StoreError) in try s.removeAlias(b("zz@x.example"), target: nil) }),
    ]

    private static func usage(_ store: StoreClient) throws {
        let (a, c) = try accounts(store)
        let entry = try store.write { (s) throws(StoreError) in try s.loadSnapshot() }.account(b("a@x.example"))
        let size = request(1).size
        _ = store.accept(request(1, to: [a, c]))
        _ = store.accept(request(2, to: [a]))
        // The next write's answer comes after the last one's usage was published.
        _ = try store.write { (s) throws(StoreError) in try s.loadSnapshot() }
        try require(entry?.usage.current == 2 * size, "\(String(describing: entry?.usage.current))")
        try store.write { (s) throws(StoreError) in try s.expunge(MessageID(rawValue: 1), of: a, from: .inbox) }
        _ = try store.write { (s) throws(StoreError) in try s.loadSnapshot() }
        try require(entry?.usage.current == size, "expunge gave nothing back")
        let records = try store.read { (s) throws(StoreError) in try s.accounts() }
        try require(records.map(\.usedOctets) == [size, size] && records.map(\.messages) == [1, 1], "\(records)")
        try require(records.map(\.quotaOctets) == [nil, 5000], "quota")
    }

    private static func folders(_ store: StoreClient) throws {
        let (a, c) = try accounts(store)
        _ = store.accept(request(1, to: [a]))
        let id = MessageID(rawValue: 1)
        let folder = try store.write { (s) throws(StoreError) in
            let folder = try s.createFolder("Work", of: a)
            try s.move(id, of: a, from: .inbox, to: folder)
            try s.setFlags([.seen, .flagged], on: id, of: a, in: folder)
            return folder
        }
        let (list, all, mine) = try store.read { (s) throws(StoreError) in
            (
                try s.list(a, folder: folder, before: nil, limit: 5), try s.folders(of: a),
                try s.message(id, of: a)
            )
        }
        try require(list.map(\.flags) == [[.seen, .flagged]], "\(list)")
        try require(all.first { $0.name == "Work" }?.messages == 1 && all.first?.messages == 0, "\(all)")
        try require(mine != nil, "a message in a folder of one's own is not found")
        for attempt in 0..<3 {
            let failed = try store.write { (s) throws(StoreError) in
                do throws(StoreError) {
                    if attempt == 0 { try s.move(id, of: a, from: .inbox, to: .trash) }
                    if attempt == 1 { try s.move(id, of: a, from: folder, to: FolderID(rawValue: 4711)) }
                    if attempt == 2 { try s.expunge(id, of: c, from: .inbox) }
                    return false
                } catch { return error == .notFound }
            }
            try require(failed, "attempt \(attempt)")
        }
    }

    private static func credentials(_ store: StoreClient) throws {
        let (a, _) = try accounts(store)
        let scram = ScramVerifier(salt: [1, 2], iterations: 4096, storedKey: [3], serverKey: [4])
        try store.write { (s) throws(StoreError) in
            try s.setCredentials(b("A@x.example"), Credentials(passwordHash: b("$y$x"), scram: scram))
        }
        let (found, empty, missing) = try store.read { (s) throws(StoreError) in
            (
                try s.credentials(of: b("a@X.EXAMPLE")), try s.credentials(of: b("b@x.example")),
                try s.credentials(of: b("n@x.example"))
            )
        }
        try require(
            found
                == CredentialRecord(
                    account: a, isAdmin: true, isDisabled: false,
                    credentials: Credentials(passwordHash: b("$y$x"), scram: scram)), "\(String(describing: found))")
        try require(empty?.credentials == Credentials() && missing == nil, "credentials from nowhere")
    }

    private static func removals(_ store: StoreClient) throws {
        let (a, c) = try accounts(store)
        _ = store.accept(request(1, to: [a, c]))
        _ = store.accept(request(2, to: [a]))
        try store.write { (s) throws(StoreError) in try s.removeAccount(b("a@x.example")) }
        let (shared, own) = try store.read { (s) throws(StoreError) in
            (try s.message(MessageID(rawValue: 1), of: c), try s.message(MessageID(rawValue: 2)))
        }
        try require(shared != nil && own == nil, "mail of a removed account")
        try require(store.accept(request(3, to: [a])) == .failure(.notFound), "mail for a removed account")
        let again = try store.write { (s) throws(StoreError) in
            try s.addAccount(b("a@x.example"), quotaOctets: nil, isAdmin: false)
        }
        try require(again != a, "an account's id was used twice")
        try store.write { (s) throws(StoreError) in
            try s.addAlias(b("l@x.example"), targets: [b("a@x.example")])
            try s.removeAccount(b("a@x.example"))
            try s.removeAccount(b("b@x.example"))
            try s.removeDomain(b("x.example"))
        }
        let (domains, aliases) = try store.read { (s) throws(StoreError) in (try s.domains(), try s.aliases()) }
        try require(domains.isEmpty && aliases.isEmpty, "the domain left something")
    }

    private static func pages(_ store: StoreClient) throws {
        let (a, _) = try accounts(store)
        for id in [5, 1, 9, 3, 7] as [Int64] { _ = store.accept(request(id, to: [a])) }
        let (first, second) = try store.read { (s) throws(StoreError) in
            let first = try s.list(a, folder: .inbox, before: nil, limit: 2)
            return (first, try s.list(a, folder: .inbox, before: first.last?.id, limit: 9))
        }
        try require(
            first.map(\.id.rawValue) == [9, 7] && second.map(\.id.rawValue) == [5, 3, 1], "\(first) \(second)")
        try require(first[0].recipient == b("r@x.example") && first[0].sender == b("s@y.example"), "summary")
    }
}
