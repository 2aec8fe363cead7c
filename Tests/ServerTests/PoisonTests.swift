import Base
import Delivery
import Foundation
import Handoff
import Policy
import Protocols
import Store
import StoreSQLite
import Synchronization
import Telemetry
import Testing

@testable import Server

/// Messages that are set aside: found by their header, kept as they came, shown, released, deleted; queued ones held.
@Suite struct PoisonTests {
    static let now = WallTime(seconds: 1_800_000_000)
    static func b(_ text: String) -> [UInt8] { Array(text.utf8) }

    /// What the running process was told.
    final class Told: Sendable {
        let changes = Mutex<[QueueChange]>([])
        let registers = Mutex<[DeathRegister]>([])
    }

    final class Fixture {
        let told = Told()
        let path = NSTemporaryDirectory() + "poison-\(UUID().uuidString.prefix(8))"
        let folder: PoisonFolder
        var store: DirectStore!
        var output: [UInt8] = []
        var complaint = ""

        var text: String { String(decoding: output, as: UTF8.self) }

        init() throws {
            store = try DirectStore(path: path)
            folder = PoisonFolder(path: path + "/poison")
            #expect(folder.make() == 0 && folder.make() == 0)
            try store.write { (s) throws(StoreError) in
                try s.addDomain(b("our.test"))
                _ = try s.addAccount(b("ann@our.test"), quotaOctets: nil, isAdmin: true)
                _ = try s.addAccount(b("bob@our.test"), quotaOctets: nil, isAdmin: false)
                try s.addAlias(b("both@our.test"), targets: [b("ann@our.test"), b("carl@else.test")])
            }
        }

        deinit { try? FileManager.default.removeItem(atPath: path) }

        func service(_ register: DeathRegister = DeathRegister(), fresh: [DeathRegister.Entry] = []) -> PoisonService {
            PoisonService(
                folder: folder, register: register, fresh: fresh, metrics: PoisonMetrics(Registry()), log: Log())
        }

        func message(_ id: Int64 = 77, to recipients: [String], octets: Int) -> PoisonedMessage {
            PoisonedMessage(
                id: MessageID(rawValue: id), received: PoisonTests.now, sender: b("eve@else.test"),
                recipients: recipients.map { PoisonedMessage.Recipient(address: b($0)) }, octets: octets,
                peer: b("192.0.2.7"), helo: b("he\"lo"), fingerprint: Fingerprint(b("print")), deaths: 2, signal: 4,
                trace: b("Received: from x\r\n\tby y\r\n"), envelope: EnvelopeRecord().encoded())
        }

        /// As the intake leaves it.
        func keep(_ message: PoisonedMessage, _ octets: [UInt8]) -> Bool {
            let intake = PoisonIntake(folder: folder)
            intake.start()
            defer { intake.stop() }
            let body = intake.open()
            for start in stride(from: 0, to: octets.count, by: 7) {
                intake.append(body, Array(octets[start..<min(start + 7, octets.count)]))
            }
            let wait = Mailbox<Bool>(capacity: 2)
            guard intake.finish(body, message, then: { _ = wait.post($0) }) else { return false }
            while true {
                if let kept = wait.next() { return kept }
                wait.wait()
            }
        }

        func run(_ verb: ControlPoison.Verb, _ id: Int64? = nil, _ format: ControlFormat = .text) -> Int32 {
            output = []
            complaint = ""
            var hooks = ControlHooks(
                reload: { _ in .failed("no") }, status: { [] }, hostname: { "mx.test" }, now: { PoisonTests.now })
            hooks.poison.folder = folder
            hooks.poison.changed = { [told] fresh in told.registers.withLock { $0.append(fresh) } }
            hooks.queue.changed = { [told] change in told.changes.withLock { $0.append(change) } }
            let direct = DirectControl(
                service: ControlService(hooks: hooks), write: { (job) throws(StoreError) in try self.store.write(job) },
                read: { (job) throws(StoreError) in try self.store.read(job) })
            let sink = ControlClient.Sink(
                output: { self.output += $0 }, complaint: { self.complaint += String(decoding: $0, as: UTF8.self) })
            let frame = ControlRequest.poison(ControlPoison(verb, id.map(MessageID.init(rawValue:)))).frame(format)
            guard let decoded = ControlRequest.decode(frame.payload) else { return -1 }
            return direct.run(decoded.request, decoded.format, into: sink)
        }

        func inbox(_ address: String) throws -> [MessageSummary] {
            try store.read { (s) throws(StoreError) in
                let account = try s.accounts().first { $0.address == b(address) }
                guard let account else { throw .notFound }
                return try s.list(account.id, folder: .inbox, before: nil, limit: 10)
            }
        }
    }

    // MARK: Files

    @Test func theEnvelopeIsReadAsItWasWritten() throws {
        let f = try Fixture()
        var message = f.message(to: ["ann@our.test", "j\u{f6}rg@our.test"], octets: 12)
        message.recipients[0].notify = 5
        message.recipients[0].originalRecipient = Self.b("rfc822;x+2B@y")
        message.recipients[1].bouncesTo = Self.b("\"a b\"@c.test")
        #expect(PoisonedMessage(json: message.json.bytes) == message)
        #expect(PoisonedMessage(json: message.record) == message)
        for end in 0..<message.json.bytes.count {
            #expect(PoisonedMessage(json: Array(message.json.bytes[..<end])) == nil)
        }
    }

    @Test func whatWasTakenIsThereToTheOctet() throws {
        let f = try Fixture()
        let octets = (0..<5_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        let message = f.message(to: ["ann@our.test"], octets: octets.count)
        #expect(f.keep(message, octets))
        #expect(f.folder.messages() == [message])
        #expect(f.folder.body(message.id, from: 0, most: .max) == octets)
        #expect(f.folder.body(message.id, from: 4_990, most: 100) == Array(octets[4_990...]))
        #expect(f.run(.raw, 77) == 0 && f.output == octets)
    }

    @Test func whatWasNotFinishedIsCleanedAway() throws {
        let f = try Fixture()
        #expect(f.keep(f.message(to: ["ann@our.test"], octets: 3), [1, 2, 3]))
        for name in ["body-9.part", "0000000000001.eml", "deaths.part"] {
            #expect(FileManager.default.createFile(atPath: "\(f.folder.path)/\(name)", contents: Data([1])))
        }
        f.folder.clean()
        let left = try FileManager.default.contentsOfDirectory(atPath: f.folder.path).sorted()
        #expect(left.count == 2 && left.allSatisfy { $0.hasSuffix(".eml") || $0.hasSuffix(".json") })
    }

    @Test func aBodyThatCannotBeWrittenIsNotAcknowledged() throws {
        let f = try Fixture()
        try FileManager.default.removeItem(atPath: f.folder.path)
        #expect(!f.keep(f.message(to: ["ann@our.test"], octets: 3), [1, 2, 3]))
        #expect(f.folder.make() == 0 && f.folder.messages().isEmpty)
    }

    @Test func aRecordThatCouldNotBeReadAgainIsRefused() throws {
        let f = try Fixture()
        var message = f.message(to: ["ann@our.test"], octets: 3)
        message.envelope = [UInt8](repeating: 7, count: PoisonFolder.recordOctetsMax)
        #expect(!f.keep(message, [1, 2, 3]))
        #expect(try FileManager.default.contentsOfDirectory(atPath: f.folder.path).isEmpty)
        message.envelope = [1, 2]
        #expect(f.keep(message, [1, 2, 3]) && f.folder.messages() == [message])
    }

    @Test func whoIsGoneKeepsNoFile() throws {
        let f = try Fixture()
        let intake = PoisonIntake(folder: f.folder)
        intake.start()
        defer { intake.stop() }
        // Their sessions ended and found no room to say so.
        for _ in 0..<600 { intake.append(intake.open(), [1]) }
        let body = intake.open()
        intake.append(body, [1, 2, 3])
        let kept = StoreAwait<Bool>()
        let message = f.message(to: ["ann@our.test"], octets: 3)
        #expect(intake.finish(body, message) { kept.give(.success($0)) })
        #expect(try kept.wait().get())
        #expect(f.folder.messages() == [message])
    }

    @Test func workIsDoneInTurn() throws {
        let f = try Fixture()
        let intake = PoisonIntake(folder: f.folder)
        intake.start()
        let order = Told()
        for n in 0..<50 {
            let posted = intake.perform {
                var register = DeathRegister()
                for _ in 0...n { _ = register.note([]) }
                order.registers.withLock { $0.append(register) }
            }
            #expect(posted)
        }
        intake.stop()
        #expect(order.registers.withLock { $0.count } == 50)
    }

    @Test func aLargeMessageIsReleasedInPieces() throws {
        let f = try Fixture()
        let octets = Self.b("A: b\r\n\r\n") + (0..<2_500_000).map { UInt8(truncatingIfNeeded: $0 &* 7 | 1) }
        let message = f.message(to: ["ann@our.test"], octets: octets.count)
        let intake = PoisonIntake(folder: f.folder)
        intake.start()
        let aside = intake.open()
        intake.append(aside, octets)
        let kept = StoreAwait<Bool>()
        #expect(intake.finish(aside, message) { kept.give(.success($0)) })
        #expect(try kept.wait().get())
        intake.stop()
        let directory = try f.store.write { (s) throws(StoreError) in try s.loadSnapshot() }
        f.store = nil
        let live = try SQLiteStore.open(path: f.path, options: SQLiteOptions())
        live.start(observer: nil) { _ in }
        let spooling = PoisonSpooling(folder: f.folder, gateway: live.gateway)
        let body = try #require(spooling.body(of: message))
        guard case .spooled(_, size: octets.count) = body else {
            Issue.record("not through the spool")
            return
        }
        #expect(spooling.accept(PoisonRelease(message, body: body, directory: directory).request) == nil)
        var short = message
        short.octets += 1
        #expect(spooling.body(of: short) == nil, "an octet is missing")
        live.stop()
        f.store = try DirectStore(path: f.path)
        let stored = try f.store.read { (s) throws(StoreError) in try s.wholeBody(of: message.id) }
        #expect(stored == octets)
        #expect(f.run(.release, 77) == 0 && f.folder.messages().isEmpty, "\(f.complaint)")
        #expect(try f.inbox("ann@our.test").count == 1)
    }

    // MARK: Before the message

    @Test func aTransactionIsKnownByItsEnvelope() throws {
        let f = try Fixture()
        let near = IPAddress(bytes: [192, 0, 2, 7])
        let print = MessageFingerprint.ofEnvelope(
            client: IPAddress(bytes: [192, 0, 2, 200]), helo: Self.b("helo"), sender: Self.b("eve@else.test"))
        var register = DeathRegister()
        let death = WorkerDeath(
            kind: .envelope, fingerprint: print, signal: 4, when: Self.now, label: Self.b("eve@else.test"))
        _ = register.note([death])
        let once = f.service(register)
        var body = body(once)
        var entry = body.beginEnvelope(client: near, helo: Self.b("helo"), sender: Self.b("eve@else.test"))
        #expect(entry == nil, "one death is none")
        once.stop()
        _ = register.note([death])
        #expect(DeathRegister(encoded: register.encoded()) == register)
        let service = f.service(register)
        defer { service.stop() }
        body = self.body(service)
        entry = body.beginEnvelope(client: near, helo: Self.b("helo"), sender: Self.b("eve@else.test"))
        #expect(entry?.deaths == 2)
        for (client, helo, sender) in [
            ([192, 0, 3, 7], "helo", "eve@else.test"), ([192, 0, 2, 7], "hel", "oeve@else.test"),
            ([192, 0, 2, 7], "helo", "ann@else.test"),
        ] as [([UInt8], String, String)] {
            entry = body.beginEnvelope(client: IPAddress(bytes: client), helo: Self.b(helo), sender: Self.b(sender))
            #expect(entry == nil)
        }
        #expect(f.folder.write(register) == 0)
        #expect(f.run(.list) == 0 && f.text.contains("put off at MAIL") && f.text.contains("<eve@else.test>"))
        let id = try #require(register.entries.first?.envelopeID)
        #expect(f.run(.forget, id.rawValue) == 0, "\(f.complaint)")
        #expect(f.folder.register().entries.isEmpty)
    }

    @Test func aMessageIsNotBlamedForTheNext() throws {
        let f = try Fixture()
        let service = f.service()
        defer { service.stop() }
        var body = body(service)
        _ = body.beginEnvelope(client: nil, helo: [], sender: Self.b("eve@else.test"))
        #expect(body.mark == nil)
        body.begin()
        body.append(Self.whole.span)
        _ = body.take()
        #expect(body.mark?.kind == .inbound, "its checks go on")
        _ = body.beginEnvelope(client: nil, helo: [], sender: Self.b("ann@else.test"))
        #expect(body.mark == nil)
    }

    // MARK: Arriving

    private static let header = b("From: <eve@else.test>\r\nSubject: x\r\n\r\n")
    private static let whole = header + b("One\r\nTwo\r\n")

    private func body(_ service: PoisonService?, sender: String = "eve@else.test") -> InboundBody {
        let assembler = BodyAssembler(gateway: StoreGateway(), inlineMax: 1 << 16) {}
        var body = InboundBody(store: assembler, headerMax: 1 << 16, ownNames: [], poison: service)
        body.purpose = .check
        body.sender = Self.b(sender)
        return body
    }

    private func poisonous() -> DeathRegister {
        var register = DeathRegister()
        let print = MessageFingerprint.of(sender: Self.b("eve@else.test"), header: Self.header)
        for _ in 0..<2 {
            _ = register.note([WorkerDeath(kind: .inbound, fingerprint: print, signal: 4, when: Self.now)])
        }
        return register
    }

    @Test(arguments: [1, 2, 3, 10, 37, 1_000])
    func poisonIsNotLookedAt(_ chunk: Int) throws {
        let f = try Fixture()
        let service = f.service(poisonous())
        defer { service.stop() }
        var body = body(service)
        body.begin()
        for start in stride(from: 0, to: Self.whole.count, by: chunk) {
            let piece = Array(Self.whole[start..<min(start + chunk, Self.whole.count)])
            body.append(piece.span)
        }
        #expect(body.header == nil, "it was parsed")
        let bodyEnds = body.endsAside()
        #expect(bodyEnds)
        let taken = body.takeSetAside()
        let aside = try #require(taken)
        #expect(aside.body.octets == Self.whole.count && aside.entry.deaths == 2)
        let second = body.takeSetAside()
        #expect(second == nil)
        let wait = Mailbox<Bool>(capacity: 2)
        let message = f.message(to: ["ann@our.test"], octets: aside.body.octets)
        #expect(service.intake.finish(aside.body, message) { _ = wait.post($0) })
        while wait.depth == 0 { wait.wait() }
        #expect(wait.next() == true)
        #expect(f.folder.body(message.id, from: 0, most: .max) == Self.whole)
    }

    @Test func otherSendersAndHeadersAreNot() throws {
        let f = try Fixture()
        let service = f.service(poisonous())
        defer { service.stop() }
        var other = body(service, sender: "mallory@else.test")
        other.begin()
        other.append(Self.whole.span)
        let (ends, taken) = (other.endsAside(), other.takeSetAside())
        #expect(other.header != nil && !ends && taken == nil)
        var longer = body(service)
        longer.begin()
        longer.append((Self.b("X: y\r\n") + Self.whole).span)
        let longerEnds = longer.endsAside()
        #expect(!longerEnds)
        guard case .body(.inline(let bytes)) = longer.take().outcome else {
            Issue.record("no body")
            return
        }
        #expect(bytes == Self.b("X: y\r\n") + Self.whole)
    }

    @Test func aHeaderWithoutEndIsFoundAtTheEndOfData() throws {
        let f = try Fixture()
        var register = DeathRegister()
        let open = Self.b("From: <eve@else.test>\r\n")
        let print = MessageFingerprint.of(sender: Self.b("eve@else.test"), header: open)
        for _ in 0..<2 {
            _ = register.note([WorkerDeath(kind: .inbound, fingerprint: print, signal: 4, when: Self.now)])
        }
        let service = f.service(register)
        defer { service.stop() }
        var body = body(service)
        body.begin()
        body.append(open.span)
        let bodyEnds = body.endsAside()
        #expect(bodyEnds)
        let taken = body.takeSetAside()
        #expect(taken?.body.octets == open.count)
        // The next message of the session is an ordinary one.
        body.begin()
        body.append(Self.b("A: b\r\n\r\nc\r\n").span)
        let nextEnds = body.endsAside()
        #expect(!nextEnds)
    }

    // MARK: Commands

    @Test func aReleasedMessageIsInItsMailboxes() throws {
        let f = try Fixture()
        #expect(
            f.keep(
                f.message(to: ["ann@our.test", "both@our.test", "bob@our.test"], octets: 10), Self.b("A: b\r\n\r\nxy")))
        #expect(f.run(.list) == 0 && f.text.contains("set aside") && f.text.contains("<eve@else.test>"))
        #expect(f.run(.show, 77) == 0 && f.text.contains("SIGILL") && f.text.contains("192.0.2.7"))
        #expect(f.run(.release, 77) == 0, "\(f.complaint)")
        #expect(f.text.contains("2 mailboxes, 1 queued"))
        #expect(f.folder.messages().isEmpty)
        #expect(try f.inbox("ann@our.test").map(\.id.rawValue) == [77])
        #expect(try f.inbox("bob@our.test").count == 1)
        let queued = try f.store.read { (s) throws(StoreError) in
            try s.queued(QueueFilter(), after: nil, limit: 9, scanMax: 9, at: Self.now).rows
        }
        #expect(queued.map(\.address) == [Self.b("carl@else.test")])
        #expect(f.told.changes.withLock { $0.count } == 1)
        let bytes = try f.store.read { (s) throws(StoreError) in try s.wholeBody(of: MessageID(rawValue: 77)) }
        #expect(bytes == Self.b("A: b\r\n\r\nxy"))
        #expect(f.run(.release, 77) != 0 && f.complaint.contains("not set aside"))
    }

    @Test func aReleaseThatWasCutShortIsNotDoneTwice() throws {
        let f = try Fixture()
        let message = f.message(to: ["ann@our.test"], octets: 8)
        #expect(f.keep(message, Self.b("A: b\r\n\r\n")))
        try f.store.write { (s) throws(StoreError) in
            let release = PoisonRelease(message, body: .inline(Self.b("A: b\r\n\r\n")), directory: try s.loadSnapshot())
            try s.accept(release.request)
        }
        #expect(f.run(.release, 77) == 0, "\(f.complaint)")
        #expect(try f.inbox("ann@our.test").count == 1)
        #expect(f.folder.messages().isEmpty)
    }

    @Test func nothingIsReleasedToHalfOfTheRecipients() throws {
        let f = try Fixture()
        #expect(f.keep(f.message(to: ["ann@our.test", "gone@our.test"], octets: 8), Self.b("A: b\r\n\r\n")))
        #expect(f.run(.release, 77) == 1)
        #expect(f.complaint.contains("<gone@our.test>"))
        #expect(try f.inbox("ann@our.test").isEmpty)
        #expect(f.folder.messages().count == 1)
    }

    @Test func deletedIsGone() throws {
        let f = try Fixture()
        #expect(f.keep(f.message(to: ["ann@our.test"], octets: 8), Self.b("A: b\r\n\r\n")))
        #expect(f.run(.delete, 77) == 0)
        #expect(f.folder.messages().isEmpty && f.folder.body(MessageID(rawValue: 77), from: 0, most: 9) == nil)
        #expect(f.run(.delete, 77) == 1)
    }

    @Test func forgottenMailIsOrdinaryAgain() throws {
        let f = try Fixture()
        var register = DeathRegister()
        let death = WorkerDeath(kind: .inbound, fingerprint: Fingerprint(Self.b("print")), signal: 4, when: Self.now)
        _ = register.note([death])
        _ = register.note([death])
        #expect(f.folder.write(register) == 0)
        #expect(f.keep(f.message(to: ["ann@our.test"], octets: 8), Self.b("A: b\r\n\r\n")))
        #expect(f.run(.forget, 77) == 0, "\(f.complaint)")
        #expect(f.folder.register().entries.isEmpty)
        #expect(f.told.registers.withLock { $0.map(\.entries.count) } == [0])
    }

    @Test func requestsCrossTheSocket() {
        for verb in ControlPoison.Verb.allCases {
            let request = ControlPoison(verb, verb == .list ? nil : MessageID(rawValue: 5))
            #expect(ControlPoison(request.fields) == request)
        }
        #expect(ControlPoison([]) == nil && ControlPoison([Self.b("show")]) == nil)
        #expect(ControlPoison([Self.b("show"), Self.b("!")]) == nil && ControlPoison([Self.b("what")]) == nil)
    }

    // MARK: The queue

    @Test func queuedPoisonIsHeldAndSaysWhy() throws {
        let f = try Fixture()
        let id = MessageID(rawValue: 500)
        try f.store.write { (s) throws(StoreError) in
            for (number, to) in [(Int64(500), ["x@a.test", "y@b.test"]), (501, ["z@a.test"])] {
                try s.accept(
                    AcceptRequest(
                        id: MessageID(rawValue: number), received: Self.now, sender: Self.b("ann@our.test"), trace: [],
                        body: .inline(Self.b("m")), remote: to.map { RemoteRecipient(address: Self.b($0)) }))
            }
            // As a process left it that died at work.
            _ = try s.lease(
                site: Self.b("a.test"), count: 9, owner: LeaseOwner(rawValue: 99),
                until: WallTime(seconds: Self.now.seconds + 300), now: Self.now)
        }
        var register = DeathRegister()
        let death = WorkerDeath(kind: .delivery, fingerprint: Fingerprint(id.text), signal: 11, when: Self.now)
        _ = register.note([death])
        let entry = try #require(register.note([death]).first)
        #expect(f.folder.write(register) == 0)
        let held = try f.store.write { (s) throws(StoreError) in
            try PoisonService.hold(id, entry, s, Self.now)
        }
        #expect(held?.recipients == 2 && held?.sender == Self.b("ann@our.test"))
        func rows() throws -> [QueuedRecipient] {
            try f.store.read { (s) throws(StoreError) in
                try s.queued(QueueFilter(), after: nil, limit: 9, scanMax: 9, at: Self.now).rows
            }
        }
        #expect(try rows().map(\.isHeld) == [true, true, false])
        #expect(try rows().map(\.isLeased) == [false, false, false])
        let status = String(decoding: try rows()[0].status, as: UTF8.self)
        #expect(status.hasPrefix("4.3.0") && status.contains("SIGSEGV"))
        #expect(try rows()[0].attempts == 1, "it was tried")
        #expect(f.run(.list) == 0 && f.text.contains("held in the queue"))
        #expect(f.run(.release, 500) == 0, "\(f.complaint)")
        #expect(try rows().map(\.isHeld) == [false, false, false])
        #expect(f.folder.register().entries.isEmpty, "the next start would hold it again")
        #expect(f.run(.release, 501) == 1)
    }

    @Test func mailThatIsGoneIsNotHeld() throws {
        let f = try Fixture()
        let entry = DeathRegister.Entry(
            kind: .delivery, fingerprint: Fingerprint(MessageID(rawValue: 9).text), deaths: 2, signal: 4,
            last: Self.now, label: [])
        let held = try f.store.write { (s) throws(StoreError) in
            try PoisonService.hold(MessageID(rawValue: 9), entry, s, Self.now)
        }
        #expect(held == nil)
    }

    // MARK: The report

    @Test func postmasterIsTold() throws {
        let f = try Fixture()
        let directory = try f.store.write { (s) throws(StoreError) in try s.loadSnapshot() }
        let message = f.message(to: (0..<30).map { "r\($0)@our.test" }, octets: 8)
        let request = try #require(
            PoisonReport.setAside(message).request(
                id: MessageID(rawValue: 1), hostname: Self.b("mx.test"), directory: directory, now: Self.now))
        #expect(request.local.count == 1 && request.sender.isEmpty)
        guard case .inline(let bytes) = request.body else {
            Issue.record("no text")
            return
        }
        let text = String(decoding: bytes, as: UTF8.self)
        #expect(text.contains("martlet poison release \(String(decoding: message.id.text, as: UTF8.self))"))
        #expect(text.contains("and 10 more") && text.contains("eve@else.test"))
        #expect(text.utf8.filter { $0 == 0x0A }.count == text.components(separatedBy: "\r\n").count - 1)
        #expect(text.components(separatedBy: "\r\n").allSatisfy { $0.utf8.count <= 200 })
        try f.store.write { (s) throws(StoreError) in try s.accept(request) }
        #expect(try f.inbox("ann@our.test").count == 1)
        let empty = DirectorySnapshot.empty
        #expect(
            PoisonReport.setAside(message).request(
                id: MessageID(rawValue: 1), hostname: Self.b("mx.test"), directory: empty, now: Self.now) == nil)
    }
}
