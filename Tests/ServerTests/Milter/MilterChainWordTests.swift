import Base
import Policy
import Protocols
import Reactor
import Telemetry
import Testing

@testable import Server

/// What filters are told besides the envelope and the message: the client's name, commands that are none, macros.
@Suite struct MilterChainWordTests {
    private typealias F = FakeMilter

    // MARK: The client's name

    @Test func connectWaitsForTheName() throws {
        let world = try MilterWorld([.tempfail, .accept])
        world.chain.facts.isNamed = false
        #expect(world.mail() == nil)
        #expect(world.filters.map(\.letters) == ["O", "O"])
        // However long it takes: the lookup has its own limit.
        world.pass(60)
        #expect(world.filters.map(\.letters) == ["O", "O"])
        world.chain.facts.clientName = Array("client.example".utf8)
        world.chain.facts.clientPointer = world.chain.facts.clientName
        world.chain.facts.resolved = .ok
        var said: MilterVerdict?
        world.chain.named()
        world.turns()
        world.chain.recipient(Array("b@y.example".utf8)) { said = $0 }
        world.turns()
        #expect(said == .proceed)
        #expect(world.filter.heard[1] == "C client.example 4AB192.0.2.1")
        #expect(world.filter.letters == "OCHMR")
        #expect(world.filter.macros["{client_name}"] == "client.example")
        #expect(world.filter.macros["{client_ptr}"] == "client.example")
        #expect(world.filter.macros["{client_resolve}"] == "OK")
        #expect(world.filter.macros["_"] == "client.example [192.0.2.1]")
    }

    @Test func aNameThatIsNotVerifiedIsNotTold() throws {
        let world = try MilterWorld()
        world.chain.facts.clientPointer = Array("liar.example".utf8)
        world.chain.facts.resolved = .forged
        #expect(world.mail() == .proceed)
        #expect(world.filter.heard[1] == "C [192.0.2.1] 4AB192.0.2.1")
        #expect(world.filter.macros["{client_name}"] == "unknown")
        #expect(world.filter.macros["{client_ptr}"] == "liar.example")
        #expect(world.filter.macros["{client_resolve}"] == "FORGED")
    }

    /// One that goes away meanwhile, a session that ends meanwhile.
    @Test(arguments: [true, false]) func nothingIsLeftOfAWaitForTheName(_ hangsUp: Bool) throws {
        let world = try MilterWorld([.accept])
        world.chain.facts.isNamed = false
        var said: MilterVerdict?
        world.chain.mail(MilterMail(sender: [])) { said = $0 }
        world.turns()
        if hangsUp { world.filter.hangUp() } else { world.chain.close() }
        world.turns()
        #expect(said == (hangsUp ? .accept : nil))
        world.chain.named()
        world.turns()
        #expect(!world.filter.letters.contains("C"))
        #expect(world.metrics.connections.value == 0)
        guard hangsUp else { return }
        #expect(world.mail() == .proceed)
        #expect(world.filter.letters == "OOCHM")
    }

    // MARK: Commands that are none

    private func unknown(_ world: MilterWorld, _ line: String = "FOO bar") -> Reply?? {
        var said: Reply??
        world.chain.unknown(Array(line.utf8)) { said = .some($0) }
        world.turns()
        return said
    }

    private static let own = Reply(503, EnhancedStatus(5, 5, 1), "Not that")

    static let words: [([UInt8], Reply?)] = [
        (FakeMilter.packet("c"), nil), (FakeMilter.packet("a"), nil), (FakeMilter.packet("d"), nil),
        (FakeMilter.packet("r"), MilterChain.rejectReply), (FakeMilter.packet("t"), MilterChain.tempfailReply),
        (FakeMilter.packet("4"), MilterChain.shutdownReply), (FakeMilter.packet("y", "503 5.5.1 Not that"), own),
    ]

    @Test(arguments: words) func anUnknownCommandIsAnsweredAsTheFilterSays(_ word: [UInt8], _ reply: Reply?) throws {
        let world = try MilterWorld([.tempfail, .tempfail])
        world.filter.answer = { letter, _ in letter == "U" ? .say(word) : nil }
        #expect(unknown(world) == .some(reply))
        #expect(world.filter.heard == ["O", "C [192.0.2.1] 4AB192.0.2.1", "H client.example", "U FOO bar"])
        #expect(world.filters[1].letters == (reply == nil ? "OCHU" : ""))
        // The session and its mail go on.
        world.filter.answer = { _, _ in nil }
        #expect(world.mail() == .proceed)
        #expect(unknown(world) == .some(nil))
        #expect(world.recipient() == .proceed)
        #expect(world.message()?.verdict == .proceed)
        #expect(world.filter.letters == "OCHUMURTLLNBE")
    }

    @Test func beforeHELONoneIsTold() throws {
        let world = try MilterWorld()
        world.chain.facts.helo = []
        #expect(unknown(world) == .some(nil))
        #expect(world.filter.letters == "OCU")
        world.chain.facts.helo = Array("h.example".utf8)
        #expect(world.mail() == .proceed)
        #expect(world.filter.letters == "OCUHM")
    }

    @Test func whoDoesNotWantThemIsNotAsked() throws {
        let world = try MilterWorld([.tempfail, .tempfail])
        world.filter.steps = 0x100
        #expect(unknown(world) == .some(nil))
        #expect(world.filters.map(\.letters) == ["OCH", "OCHU"])
    }

    /// A domain that keeps a filter off its mail is not to find it in Junk because of that filter.
    @Test func quarantineIsOfTheDomainsThatHeardTheFilter() throws {
        let world = try MilterWorld([.tempfail])
        world.filter.answer = { letter, _ in
            letter == "E" ? .say(FakeMilter.packet("q", "bad") + FakeMilter.packet("c")) : nil
        }
        #expect(world.mail() == .proceed)
        #expect(world.recipient("a@one.example") == .proceed)
        _ = world.recipient("b@two.example", .off)
        let changes = try #require(world.message()).modifications
        #expect(changes.quarantine != nil)
        #expect(changes.quarantineSpares == [Array("two.example".utf8)])
    }

    /// Between two BDAT: what hears a body hears nothing else before its end.
    @Test func whoHearsABodyIsNotAsked() throws {
        let world = try MilterWorld()
        world.filter.answer = { letter, _ in letter == "U" ? .hangUp : nil }
        #expect(world.mail() == .proceed && world.recipient() == .proceed)
        var outcome: MilterOutcome?
        world.chain.beginMessage(header: Array(MilterWorld.header.utf8))
        world.chain.body(Array("one\r\n".utf8).span)
        world.turns()
        #expect(unknown(world) == .some(nil))
        #expect(unknown(world) == .some(nil))
        world.chain.body(Array("two\r\n".utf8).span)
        world.chain.endOfMessage { outcome = $0 }
        world.turns()
        #expect(outcome?.verdict == .proceed)
        #expect(!world.filter.letters.contains("U") && world.filter.letters.hasSuffix("BE"))
    }

    /// It stays refused; of a transaction under way the filter's policy decides.
    @Test(arguments: [MilterServer.FailurePolicy.accept, .tempfail]) func aFilterThatFailsThere(
        _ policy: MilterServer.FailurePolicy
    ) throws {
        let world = try MilterWorld([policy])
        world.filter.answer = { letter, _ in letter == "U" ? .hangUp : nil }
        #expect(unknown(world) == .some(nil))
        #expect(world.mail() == .proceed)
        #expect(unknown(world) == .some(nil))
        #expect(world.recipient() == (policy == .accept ? .accept : .refuse(MilterChain.awayReply)))
    }

    // MARK: Macros

    @Test func macrosSayWhatIsKnown() throws {
        let world = try MilterWorld()
        world.chain.facts.daemonName = Array("submission".utf8)
        world.chain.facts.localAddress = IPAddress("192.0.2.9")
        world.chain.facts.localPort = 587
        world.chain.facts.tlsVersion = Array("TLSv1.3".utf8)
        world.chain.facts.cipher = Array("AES".utf8)
        world.chain.facts.cipherBits = 256
        world.chain.facts.certificateSubject = Array("CN=client".utf8)
        world.chain.facts.certificateIssuer = Array("CN=root".utf8)
        var mail = MilterMail(sender: Array("a@x.example".utf8))
        mail.id = Array("ID1".utf8)
        mail.authenticated = Array("a".utf8)
        mail.mechanism = Array("PLAIN".utf8)
        mail.author = Array("b@x.example".utf8)
        mail.route = MilterRoute(Array("x.example".utf8), isLocal: true)
        world.chain.mail(mail) { _ in }
        world.turns()
        world.chain.recipient(
            Array("c@y.example".utf8), route: MilterRoute(Array("y.example".utf8), isLocal: false)
        ) { _ in }
        world.turns()
        #expect(world.message()?.verdict == .proceed)
        let connect = [
            "j": "mx.example", "v": "Martlet", "_": "[192.0.2.1]", "{daemon_name}": "submission",
            "{daemon_addr}": "192.0.2.9", "{daemon_port}": "587", "{if_name}": "mx.example", "{if_addr}": "192.0.2.9",
            "{client_addr}": "192.0.2.1", "{client_name}": "unknown", "{client_port}": "16706",
            "{client_ptr}": "unknown", "{client_resolve}": "FAIL",
        ]
        let helo = [
            "{tls_version}": "TLSv1.3", "{cipher}": "AES", "{cipher_bits}": "256", "{cert_subject}": "CN=client",
            "{cert_issuer}": "CN=root",
        ]
        let sender = [
            "i": "ID1", "{auth_type}": "PLAIN", "{auth_authen}": "a", "{auth_author}": "b@x.example",
            "{mail_addr}": "a@x.example", "{mail_host}": "x.example", "{mail_mailer}": "local",
        ]
        let recipient = [
            "i": "ID1", "{rcpt_addr}": "c@y.example", "{rcpt_host}": "y.example", "{rcpt_mailer}": "smtp",
        ]
        let id = ["i": "ID1"]
        #expect(
            world.filter.macrosByStage == [
                "C": connect, "H": helo, "M": sender, "R": recipient, "T": id, "N": id, "E": id,
            ])
    }

    @Test func parametersThatMeanNothingAreNoted() throws {
        let world = try MilterWorld()
        world.filter.answer = { letter, _ in
            letter == "E"
                ? .say(
                    F.packet("2", "<c@y.example>", "NOTIFY=NEVER X=1")
                        + F.packet("e", "<d@x.example>", "ENVID=E AUTH=q")
                        + F.packet("c")) : nil
        }
        #expect(world.mail() == .proceed)
        #expect(world.recipient() == .proceed)
        let outcome = try #require(world.message())
        #expect(outcome.modifications.addedRecipients.first?.recipient.notify == .never)
        #expect(outcome.modifications.sender?.envid == Array("E".utf8))
        let noted = outcome.events.filter { $0.effect == .noted }.map { String(decoding: $0.detail, as: UTF8.self) }
        #expect(
            noted == [
                "filter f0 gave parameters that are not honoured: X=1",
                "filter f0 gave parameters that are not honoured: AUTH=q",
            ])
    }

    // MARK: Large packets

    @Test(arguments: [(0x1000_0000, 262_143), (0x2000_0000, 262_144)] as [(UInt32, Int)])
    func aBodyGoesInLargePieces(_ steps: UInt32, _ first: Int) throws {
        let world = try MilterWorld()
        world.filter.steps = steps
        #expect(world.mail() == .proceed)
        #expect(world.recipient() == .proceed)
        world.chain.beginMessage(header: Array(MilterWorld.header.utf8))
        world.turns()
        for _ in 0..<64 {
            world.chain.body([UInt8](repeating: 0x61, count: 16_384).span)
            world.turns()
            // As much as comes before the client would have to wait, so it never waits for a filter that is quick.
            #expect(!world.chain.wantsPause)
        }
        var outcome: MilterOutcome?
        world.chain.endOfMessage { outcome = $0 }
        world.turns()
        #expect(outcome?.verdict == .proceed)
        #expect(world.filter.body.count == 1 << 20)
        let pieces = world.filter.heard.filter { $0.hasPrefix("B") }.map { Int($0.dropFirst(2))! }
        #expect(pieces.first == first)
        #expect(pieces.max()! <= world.context.limits.bufferMax)
    }

    /// What was kept for a later filter is there at once.
    @Test func keptBodiesGoWhole() throws {
        let world = try MilterWorld([.tempfail, .tempfail])
        world.filters[1].steps = 0x2000_0000
        #expect(world.mail() == .proceed)
        #expect(world.recipient() == .proceed)
        #expect(world.message(String(repeating: "x", count: 900_000))?.verdict == .proceed)
        #expect(world.filters[1].heard.filter { $0.hasPrefix("B") } == ["B 900000"])
    }
}
