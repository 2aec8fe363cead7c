import Base
import Foundation
import Handoff
import Ledger
import Policy
import Protocols
import Server
import StoreSQLite
import Synchronization
import Telemetry
import Testing

@Suite("Operators and the defences")
struct DefenseControlTests {
    private let fixture = ControlCommandTests.Fixture()

    init() throws {
        try FileManager.default.createDirectory(atPath: fixture.directory, withIntermediateDirectories: true)
    }

    private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

    private func block(_ text: String) throws -> AddressBlock { try #require(AddressBlock(text)) }

    private func answer(
        _ request: ControlRequest, _ hooks: ControlDefenseHooks, _ format: ControlFormat = .text, ledger: String = ""
    ) throws -> ControlAnswer {
        let store = try DirectStore(path: fixture.directory)
        var all = ControlHooks(
            reload: { _ in ControlAnswer() }, status: { [] }, hostname: { "mx.example.org" },
            now: { WallTime(seconds: 1_700_000_000) })
        all.defense = hooks
        all.ledgerPath = ledger
        switch ControlService(hooks: all).work(request, format) {
        case .read(let job): return try store.read(job)
        case .apart(_, let job): return job()
        case .done(let answer): return answer
        case .write:
            Issue.record("a write or a reload")
            return ControlAnswer()
        }
    }

    private func output(_ answer: ControlAnswer) -> String { String(decoding: answer.output, as: UTF8.self) }

    // MARK: Wire

    @Test func everyRequestComesThroughTheSocket() throws {
        var filter = DefenseFilter()
        filter.block = try block("2001:db8::/64")
        filter.identity = bytes("b.example")
        filter.domain = bytes("example.org")
        filter.sender = bytes("a@b.example")
        filter.recipient = bytes("c@example.org")
        filter.state = "waiting"
        for kind in ControlDefense.Kind.allCases {
            for verb in ControlDefense.Verb.allCases {
                let plain = ControlRequest.defense(ControlDefense(kind, verb))
                let full = ControlRequest.defense(
                    ControlDefense(
                        kind, verb, filter, limit: 7, subjects: [bytes("192.0.2.0/24"), bytes("d.example")],
                        isRemoval: true, id: MessageID(rawValue: 42)))
                for request in [plain, full] {
                    let back = try #require(ControlRequest.decode(request.frame(.json).payload))
                    #expect(back.request == request)
                    #expect(back.format == .json)
                }
            }
        }
        #expect(try #require(ControlRequest.decode(ControlRequest.top.frame(.text).payload)).request == .top)
    }

    @Test(arguments: [
        ["limits"], ["limits", "eat"], ["cats", "list"], ["limits", "list", "limit"], ["limits", "list", "limit", "x"],
        ["limits", "list", "limit", "10001"], ["limits", "list", "client", "192.0.2.1/24"],
        ["greylist", "release", "id", "!"], ["limits", "list", "colour", "red"],
    ])
    func whatIsNoRequestIsRefused(fields: [String]) {
        let payload = ControlFields.encode(["1", "text", "defense"].map(bytes) + fields.map(bytes))
        #expect(ControlRequest.decode(payload) == nil)
    }

    // MARK: Lists

    @Test func greylistEntriesAreListed() throws {
        var hooks = ControlDefenseHooks()
        hooks.greylist = { filter, limit in
            guard filter.state == "new", limit >= 2 else { return [] }
            var line = GreylistLine(client: "192.0.2.0/24", state: "new")
            line.sender = Array("a@b.example".utf8)
            line.domain = Array("example.org".utf8)
            line.firstSeen = 1_700_000_000
            line.passesAt = 1_700_000_900
            line.attempts = 1
            return [line, line, line]
        }
        var filter = DefenseFilter()
        filter.state = "new"
        let request = ControlRequest.defense(ControlDefense(.greylist, .list, filter, limit: 2))
        let text = output(try answer(request, hooks))
        #expect(text.split(separator: "\n").count == 3)
        #expect(text.contains("<a@b.example>"))
        #expect(text.contains("*@example.org"))
        #expect(text.contains("2023-11-14T22:28:20Z"))
        let json = output(try answer(request, hooks, .json))
        #expect(json.contains("\"client\":\"192.0.2.0/24\",\"sender\":\"a@b.example\",\"recipient\":\"\""))
        #expect(json.contains("\"last_seen\":null,\"passes\":\"2023-11-14T22:28:20Z\""))
        let other = ControlRequest.defense(ControlDefense(.greylist, .list))
        #expect(try answer(other, hooks).complaint == "no greylist entries match")
    }

    @Test func clientsAreListed() throws {
        var hooks = ControlDefenseHooks()
        hooks.clients = { kind, _, _ in
            var line = ClientLine(client: "192.0.2.7")
            line.open = 3
            line.failures = kind == .tarpit ? 5 : 0
            line.slowedSeconds = 2.5
            return [line]
        }
        let text = output(try answer(.defense(ControlDefense(.tarpit, .list)), hooks))
        #expect(text.hasPrefix("CLIENT"))
        #expect(text.contains("2.5 s"))
        let json = output(try answer(.defense(ControlDefense(.limits, .list)), hooks, .json))
        #expect(json.contains("\"open\":3"))
        #expect(json.contains("\"failures\":0,\"slowed_ms\":2500"))
        #expect(
            try answer(.defense(ControlDefense(.tarpit, .list)), ControlDefenseHooks()).complaint
                == "no client has failures")
    }

    @Test func listsSayHowManyTheyLeaveOut() throws {
        var hooks = ControlDefenseHooks()
        hooks.clients = { _, _, limit in (0..<min(limit, 120)).map { ClientLine(client: "192.0.2.\($0)") } }
        hooks.greylist = { _, limit in
            (0..<min(limit, 20_000)).map { GreylistLine(client: "192.0.2.\($0)", state: "new") }
        }
        for kind in [ControlDefense.Kind.limits, .tarpit] {
            let text = try answer(.defense(ControlDefense(kind, .list)), hooks)
            #expect(output(text).split(separator: "\n").count == 101)
            #expect(text.complaint.hasPrefix("… 20 more; --limit 120"))
        }
        let many = try answer(.defense(ControlDefense(.greylist, .list)), hooks)
        #expect(many.complaint == "… 9900 more at least; --limit is at most 10000")
        #expect(try answer(.defense(ControlDefense(.limits, .list, limit: 120)), hooks).complaint.isEmpty)
        let json = try answer(.defense(ControlDefense(.limits, .list)), hooks, .json)
        #expect(json.complaint.isEmpty)
        #expect(output(json).split(separator: "{").count == 101)
    }

    @Test func theTarpitsListSaysWhatTheNextFailureCosts() throws {
        var hooks = ControlDefenseHooks()
        hooks.clients = { _, _, _ in
            var line = ClientLine(client: "192.0.2.7")
            line.failures = 3
            return [line]
        }
        let list = ControlRequest.defense(ControlDefense(.tarpit, .list))
        let off = try answer(list, hooks)
        #expect(off.complaint.contains("no domain has the tarpit on"))
        #expect(output(off).split(separator: "\n").last?.hasSuffix(" -") == true)
        for (most, shown) in [(2, " 2 s"), (8, " 4 s")] {
            hooks.tarpitSeconds = { most }
            let on = try answer(list, hooks)
            #expect(on.complaint.isEmpty)
            #expect(output(on).split(separator: "\n").last?.hasSuffix(shown) == true)
        }
        #expect(output(try answer(list, hooks, .json)).contains("\"next_delay_ms\":4000"))
    }

    // MARK: Changes

    @Test func aSenderThatIsKeptInAnotherFormIsNamed() throws {
        var hooks = ControlDefenseHooks()
        hooks.forget = { _, _ in .done(2) }
        var filter = DefenseFilter()
        filter.sender = bytes("r3@sender.example")
        let forget = ControlRequest.defense(ControlDefense(.greylist, .forget, filter))
        #expect(output(try answer(forget, hooks)) == "2 entries of r#@sender.example forgotten\n")
        #expect(output(try answer(forget, hooks, .json)) == "{\"forgotten\":2,\"sender\":\"r#@sender.example\"}\n")
        #expect(try answer(forget, hooks).changes == 2)
        hooks.forget = { _, _ in .done(0) }
        #expect(try answer(forget, hooks).complaint.contains("no entries of r#@sender.example match"))
        filter.sender = bytes("r@sender.example")
        hooks.forget = { _, _ in .done(1) }
        let plain = ControlRequest.defense(ControlDefense(.greylist, .forget, filter))
        #expect(output(try answer(plain, hooks)) == "1 entry forgotten\n")
    }

    @Test func allOfNothingIsReleased() throws {
        let none = try answer(.defense(ControlDefense(.tarpit, .release)), ControlDefenseHooks())
        #expect(none.status == ExitStatus.success)
        #expect(output(none) == "nothing to release\n")
    }

    /// Entries of a proven domain are meant by it, those of networks are not.
    @Test func clientsAreMeantByTheirProvenDomain() throws {
        let live = try Live(fixture.directory)
        defer { live.state.stop() }
        var policy = live.rules
        policy.isOn = true
        for proven in [nil, "b.example"] {
            var attempt = Greylisting.Attempt(
                address: IPAddress(v4: 192, 0, 2, 7), sender: bytes("a@b.example"),
                recipient: bytes("bob@example.org"), domain: bytes("example.org"))
            attempt.provenDomain = proven.map(bytes)
            _ = live.state.greylist.decide(attempt, policy, now: SystemTime().wall())
        }
        var filter = DefenseFilter()
        filter.identity = bytes("B.example")
        let text = output(try answer(.defense(ControlDefense(.greylist, .list, filter)), live.hooks))
        #expect(text.split(separator: "\n").count == 2)
        #expect(text.contains("\nb.example"))
    }

    @Test func releasingSaysHowMany() throws {
        let network = try block("192.0.2.0/24")
        var hooks = ControlDefenseHooks()
        hooks.release = { kind, filters in kind == .limits && filters.map(\.block) == [network] ? .done(2) : .done(0) }
        var filter = DefenseFilter()
        filter.block = network
        let good = try answer(.defense(ControlDefense(.limits, .release, filter)), hooks)
        #expect(output(good) == "2 entries released\n")
        #expect(good.status == ExitStatus.success)
        let none = try answer(.defense(ControlDefense(.tarpit, .release, filter)), hooks)
        #expect(none.status == ExitStatus.failure)
        hooks.forget = { _, _ in .failed("the disk is full") }
        let failed = try answer(.defense(ControlDefense(.greylist, .forget, filter)), hooks)
        #expect(failed.status == ExitStatus.temporary)
        #expect(failed.complaint == "greylist: the disk is full")
    }

    @Test func anIdSaysWhoIsMeant() throws {
        var record = ConnectionRecord(
            id: MessageID(rawValue: 900), time: WallTime(seconds: 1_700_000_000),
            session: SessionFacts(listener: bytes("mx"), peer: IPAddress(v4: 192, 0, 2, 7)), reason: bytes("quit"))
        record.events = [
            DefenseEvent(.greylist, .deferred, subject: bytes("Bob@Example.org"), detail: "new"),
            DefenseEvent(
                .greylist, .deferred, subject: bytes("amy@example.org"),
                detail: "first attempt (b.example, a@b.example)"),
            DefenseEvent(.score, .noted, subject: bytes("eve@example.org"), detail: "2"),
        ]
        let ledger = fixture.directory + "/ledger"
        let writer = try LedgerWriter.open(ledger)
        writer.record(record.encoded())
        writer.stop()
        let seen = Mutex<[DefenseFilter]>([])
        var hooks = ControlDefenseHooks()
        hooks.greylist = { _, _ in
            Issue.record("the book is walked only to release")
            return []
        }
        hooks.release = { _, filters in
            seen.withLock { $0 += filters }
            return .done(1)
        }
        for kind in ControlDefense.Kind.allCases {
            let request = ControlRequest.defense(ControlDefense(kind, .release, id: MessageID(rawValue: 900)))
            #expect(try answer(request, hooks, ledger: ledger).status == ExitStatus.success)
        }
        var greylist = DefenseFilter()
        greylist.block = try block("192.0.2.0/24")
        greylist.recipient = bytes("bob@example.org")
        var client = DefenseFilter()
        client.block = try block("192.0.2.7")
        var proven = DefenseFilter()
        proven.sender = bytes("b.example")
        proven.recipient = bytes("amy@example.org")
        #expect(seen.withLock { $0 } == [greylist, proven, client, client])
        let unknown = ControlRequest.defense(ControlDefense(.greylist, .release, id: MessageID(rawValue: 901)))
        #expect(try answer(unknown, hooks, ledger: ledger).status == ExitStatus.failure)
        #expect(seen.withLock { $0.count } == 4)
    }

    // MARK: The real things

    /// Table, book and journal in a folder of their own.
    private struct Live {
        let clients = ClientTable(addresses: 256, networks: 256)
        let limits = LimitPublisher(LimitSettings())
        let accounts: AccountTable
        let state: DefenseState
        let hooks: ControlDefenseHooks
        let rules = DomainDefense.Greylist()

        init(_ path: String) throws {
            var rules = rules
            rules.isOn = true
            var hourly = AccountLimits()
            hourly.messagesPerHour = 2
            accounts = AccountTable(hourly)
            state = try DefenseState.open(
                storePath: path, metrics: GreylistMetrics(Registry()), log: nil, rules: { [rules] _ in rules })
            hooks = ControlDefenseHooks(clients: clients, limits: limits, accounts: accounts, state: state)
        }
    }

    @Test func exceptionsAreAddedRemovedShownAndKept() throws {
        let live = try Live(fixture.directory)
        func allow(_ kind: ControlDefense.Kind, _ subjects: [String], remove: Bool = false) throws -> ControlAnswer {
            try answer(
                .defense(ControlDefense(kind, .allow, subjects: subjects.map(bytes), isRemoval: remove)), live.hooks)
        }
        #expect(output(try allow(.greylist, ["192.0.2.0/24", "Example.ORG"])) == "2 allowed\n")
        #expect(output(try allow(.greylist, ["192.0.2.0/24", "198.51.100.7"])) == "1 allowed, 1 as before\n")
        #expect(output(try allow(.tarpit, ["2001:db8::/32"])) == "1 allowed\n")
        #expect(output(try allow(.limits, ["203.0.113.9"])) == "1 allowed\n")
        #expect(output(try allow(.greylist, [])) == "ALLOWED\n192.0.2.0/24\n198.51.100.7\nexample.org\n")
        #expect(output(try allow(.greylist, ["192.0.2.0/24"], remove: true)) == "1 removed\n")
        #expect(try allow(.limits, ["example.org"]).status == ExitStatus.data)
        #expect(try allow(.tarpit, ["192.0.2.1/24"]).status == ExitStatus.data)
        #expect(try allow(.greylist, ["nonsense"]).status == ExitStatus.data)
        live.state.stop()
        let again = try Live(fixture.directory)
        let kept = again.hooks.exceptions()
        #expect(kept.greylist.map { "\($0)" } == ["198.51.100.7"])
        #expect(kept.greylistDomains == [bytes("example.org")])
        #expect(kept.tarpit.map { "\($0)" } == ["2001:db8::/32"])
        #expect(kept.limits.map { "\($0)" } == ["203.0.113.9"])
        again.state.stop()
    }

    @Test func accountsAreListedAndReleased() throws {
        let live = try Live(fixture.directory)
        defer { live.state.stop() }
        let (amy, bob) = (bytes("amy@example.org"), bytes("bob@example.org"))
        let now = SystemTime().monotonic()
        for _ in 0..<3 { _ = live.accounts.message(amy, now: now) }
        _ = live.accounts.message(bob, now: now)
        func list(_ change: (inout DefenseFilter) -> Void = { _ in }, _ format: ControlFormat = .text) throws -> String
        {
            var filter = DefenseFilter()
            change(&filter)
            return output(try answer(.defense(ControlDefense(.limits, .list, filter)), live.hooks, format))
        }
        let text = try list()
        #expect(text.contains("MAIL/H"))
        let first = try #require(text.range(of: "amy@example.org"))
        let second = try #require(text.range(of: "bob@example.org"))
        #expect(first.lowerBound < second.lowerBound, "who was refused comes first")
        let json = try list({ $0.sender = amy }, .json)
        #expect(json.contains("\"client\":\"amy@example.org\""))
        #expect(json.contains("\"messages_per_hour\":2") && json.contains("\"refused\":1"))
        #expect(!json.contains("bob@"))
        #expect(try !list({ $0.block = AddressBlock("192.0.2.0/24") }).contains("@"))
        // By the id at the end of the reply: the account, not where it sent from.
        var filter = DefenseFilter()
        filter.sender = amy
        #expect(
            output(try answer(.defense(ControlDefense(.limits, .release, filter)), live.hooks))
                == "1 entry released\n")
        #expect(live.accounts.message(amy, now: now) == .taken)
        #expect(
            output(try answer(.defense(ControlDefense(.limits, .release)), live.hooks)) == "2 entries released\n")
    }

    @Test func topIsToldOfTheQueue() throws {
        var hooks = ControlDefenseHooks()
        #expect(try answer(.top, hooks).status == ExitStatus.temporary)
        hooks.top = {
            var out = TopSnapshot()
            out.hostname = "mx.example.org"
            out.due = 99
            return out
        }
        let json = output(try answer(.top, hooks, .json))
        #expect(json.contains("\"hostname\":\"mx.example.org\""))
        // Read from the store, which has none.
        #expect(json.contains("\"due\":0"))
        #expect(output(try answer(.top, hooks)).hasPrefix("martlet  on mx.example.org"))
    }

    /// Of a network and of a proven domain; the id at the end of the reply is all that the operator has.
    @Test(arguments: [nil, "b.example"]) func whatWasPutOffIsReleasedByItsId(proven: String?) throws {
        let live = try Live(fixture.directory)
        defer { live.state.stop() }
        var attempt = Greylisting.Attempt(
            address: IPAddress(v4: 192, 0, 2, 7), sender: bytes("a@b.example"), recipient: bytes("bob@example.org"),
            domain: bytes("example.org"))
        attempt.provenDomain = proven.map(bytes)
        var policy = live.rules
        policy.isOn = true
        let now = SystemTime().wall()
        let first = live.state.greylist.decide(attempt, policy, now: now)
        let listed = output(try answer(.defense(ControlDefense(.greylist, .list)), live.hooks))
        #expect(listed.contains(proven ?? "192.0.2.0/24") && listed.contains(" new "))

        var record = ConnectionRecord(
            id: MessageID(rawValue: 900), time: now,
            session: SessionFacts(listener: bytes("mx"), peer: IPAddress(v4: 192, 0, 2, 7)), reason: bytes("quit"))
        record.events = [try #require(first.event(recipient: attempt.recipient, afterMicroseconds: 5))]
        let ledger = fixture.directory + "/ledger"
        let writer = try LedgerWriter.open(ledger)
        writer.record(record.encoded())
        writer.stop()
        let release = ControlRequest.defense(ControlDefense(.greylist, .release, id: MessageID(rawValue: 900)))
        #expect(output(try answer(release, live.hooks, ledger: ledger)) == "1 entry released\n")
        #expect(live.state.greylist.decide(attempt, policy, now: now).reply == nil)
        // It is known now: nothing waits.
        #expect(try answer(release, live.hooks, ledger: ledger).status == ExitStatus.failure)
        let forget = ControlRequest.defense(ControlDefense(.greylist, .forget))
        #expect(try answer(forget, live.hooks).status == ExitStatus.success)
        #expect(live.state.greylist.count == 0)
    }

    @Test func clientsAreListedAndReleased() throws {
        let live = try Live(fixture.directory)
        defer { live.state.stop() }
        let now = SystemTime().monotonic()
        for _ in 0..<4 { live.clients.failed(IPAddress(v4: 192, 0, 2, 7), now: now) }
        live.clients.failed(IPAddress(v4: 198, 51, 100, 1), now: now)
        let list = ControlRequest.defense(ControlDefense(.tarpit, .list))
        let lines = output(try answer(list, live.hooks)).split(separator: "\n")
        #expect(lines.count == 3)
        #expect(lines[1].hasPrefix("192.0.2.7 "))
        var filter = DefenseFilter()
        filter.block = try block("192.0.2.0/24")
        let some = output(try answer(.defense(ControlDefense(.tarpit, .list, filter)), live.hooks))
        #expect(some.contains("192.0.2.7") && !some.contains("198.51.100.1"))
        let release = ControlRequest.defense(ControlDefense(.tarpit, .release, filter))
        #expect(try answer(release, live.hooks).status == ExitStatus.success)
        #expect(live.clients.rows(.tarpit, limit: 9, live.limits.current, now: now).count == 1)
        #expect(try answer(.defense(ControlDefense(.tarpit, .release)), live.hooks).status == ExitStatus.success)
        #expect(live.clients.rows(.tarpit, limit: 9, live.limits.current, now: now).isEmpty)
    }

    @Test(arguments: [
        ("192.0.2.0/24", "192.0.2.7", true), ("192.0.2.7", "192.0.2.0/24", true),
        ("192.0.0.0/16", "192.0.2.0/24", true),
        ("192.0.2.7", "192.0.3.0/24", false), ("192.0.2.0/24", "2001:db8::/64", false),
        ("2001:db8::1", "2001:db8::/64", true),
    ])
    func aFilterConcernsWhatOverlaps(filter: String, entry: String, expected: Bool) throws {
        var wanted = DefenseFilter()
        wanted.block = try block(filter)
        #expect(wanted.concerns(try block(entry)) == expected)
        #expect(DefenseFilter().concerns(try block(entry)))
    }
}
