import Base
import Protocols
import Testing

/// A session and a transport in memory: what was said, what happened.
private struct Talk: ~Copyable {
    var session: SMTPClientSession
    var said = ""
    var effects: [ClientEffect] = []
    var unread: [UInt8] = []

    init(_ change: (inout SMTPClientSession.Options) -> Void = { _ in }, isSecure: Bool = false) {
        var options = SMTPClientSession.Options(name: Array("client.example".utf8))
        options.tls = .never
        change(&options)
        session = SMTPClientSession(options, isSecure: isSecure)
    }

    /// Gives `text` to the session in pieces; returns the commands written meanwhile.
    @discardableResult
    mutating func hear(_ text: String, piece: Int = .max) -> String {
        said = ""
        var rest = Array(text.utf8)[...]
        repeat {
            unread += rest.prefix(piece)
            rest = rest.dropFirst(piece)
            let given = unread
            let n = session.receive(given.span)
            unread.removeFirst(n)
            drain()
        } while !rest.isEmpty
        return said
    }

    mutating func drain() {
        while let effect = session.nextEffect() { effects.append(effect) }
        said += String(decoding: session.output, as: UTF8.self)
        session.output = []
    }

    mutating func open(_ keywords: String...) {
        hear("220 mx\r\n")
        let lines = (["mx"] + keywords).enumerated().map { "250" + ($0 == keywords.count ? " " : "-") + $1 + "\r\n" }
        hear(lines.joined())
        effects = []
    }

    @discardableResult
    mutating func submit(
        _ recipients: [String] = ["b@y.example"], size: Int = 10, _ change: (inout OutgoingEnvelope) -> Void = { _ in }
    )
        -> String
    {
        var envelope = OutgoingEnvelope(
            sender: Array("a@x.example".utf8), recipients: recipients.map { Array($0.utf8) }, size: size)
        change(&envelope)
        said = ""
        session.submit(envelope)
        drain()
        return said
    }

    mutating func wrote() -> String {
        said = ""
        session.bodyWritten()
        drain()
        return said
    }

    var verdict: TransferOutcome.Verdict? { outcome?.verdict }
    var outcome: TransferOutcome? {
        for case .finished(let outcome) in effects.reversed() { return outcome }
        return nil
    }
    var failure: ClientFailure? {
        for case .failed(let failure) in effects { return failure }
        return nil
    }
}

private func reply(_ code: UInt16, _ text: String = "") -> ServerReply {
    ServerReply(code: code, text: Array(text.utf8))
}

@Suite struct ClientSessionGreetingTests {
    @Test func readsCapabilities() {
        var talk = Talk()
        #expect(talk.hear("220 mx ESMTP\r\n") == "EHLO client.example\r\n")
        talk.hear(
            "250-mx\r\n250-SIZE 1000\r\n250-pipelining\r\n250-CHUNKING\r\n250-STARTTLS\r\n"
                + "250-8BITMIME\r\n250-SMTPUTF8\r\n"
                + "250-DSN\r\n250-LIMITS RCPTMAX=20 MAILMAX=5 X=y\r\n250-REQUIRETLS\r\n250-XODD what\r\n"
                + "250 AUTH PLAIN LOGIN\r\n"
        )
        var wanted = PeerCapabilities()
        wanted.size = true
        wanted.sizeMaximum = 1000
        wanted.pipelining = true
        wanted.chunking = true
        wanted.startTLS = true
        wanted.eightBitMIME = true
        wanted.smtpUTF8 = true
        wanted.dsn = true
        wanted.recipientsMaximum = 20
        wanted.messagesMaximum = 5
        wanted.requireTLS = true
        wanted.authPlain = true
        wanted.authLogin = true
        let found = talk.session.capabilities
        #expect(found == wanted)
        #expect(talk.effects == [.greeted, .introduced, .ready])
    }

    @Test func fallsBackToHelo() {
        var talk = Talk()
        talk.hear("220 mx\r\n")
        #expect(talk.hear("502 what?\r\n") == "HELO client.example\r\n")
        talk.hear("250 mx\r\n")
        #expect(talk.effects.last == .ready)
    }

    @Test(arguments: [
        ("554 no\r\n", ClientFailure.refused(.greeting, reply(554, "no"))),
        ("421 no\r\n", .closing(.greeting, reply(421, "no"))), ("250 x\r\n", .unexpected(.greeting, reply(250, "x"))),
        ("220 x\r\n250 y\r\n250 z\r\n", .unsolicited(reply(250, "z"))), ("220 x\n", .badReply(.bareLineEnd)),
        ("220 x\r\n334 y\r\n", .unexpected(.hello, reply(334, "y"))),
        ("220 x\r\n450 y\r\n", .refused(.hello, reply(450, "y"))),
    ])
    func failsOnWrongStarts(text: String, failure: ClientFailure) {
        var talk = Talk()
        talk.hear(text)
        #expect(talk.failure == failure)
        #expect(talk.effects.last == .close)
    }

    @Test func startsTLSAndForgetsWhatItLearned() {
        var talk = Talk { $0.tls = .required }
        talk.hear("220 mx\r\n")
        #expect(talk.hear("250-mx\r\n250-PIPELINING\r\n250 STARTTLS\r\n") == "STARTTLS\r\n")
        talk.hear("220 go\r\n")
        #expect(talk.effects.last == .startTLS)
        talk.said = ""
        talk.session.secured()
        talk.drain()
        #expect(talk.said == "EHLO client.example\r\n")
        let pipelining = talk.session.capabilities.pipelining
        #expect(!pipelining)
        talk.hear("250 mx\r\n")
        #expect(talk.effects.last == .ready)
        let isSecure = talk.session.isSecure
        #expect(isSecure)
    }

    @Test func refusesBytesBehindStartTLS() {
        var talk = Talk { $0.tls = .opportunistic }
        talk.hear("220 mx\r\n")
        talk.hear("250-mx\r\n250 STARTTLS\r\n")
        talk.hear("220 go\r\n250 injected\r\n")
        #expect(talk.failure == .bytesBehindStartTLS)
    }

    @Test func requiredTLSIsRequired() {
        var missing = Talk { $0.tls = .required }
        missing.hear("220 mx\r\n")
        missing.hear("250 mx\r\n")
        #expect(missing.failure == .noTLS)
        var refused = Talk { $0.tls = .required }
        refused.hear("220 mx\r\n")
        refused.hear("250-mx\r\n250 STARTTLS\r\n")
        refused.hear("454 later\r\n")
        #expect(refused.failure == .refused(.startTLS, reply(454, "later")))
        var optional = Talk { $0.tls = .opportunistic }
        optional.hear("220 mx\r\n")
        optional.hear("250-mx\r\n250 STARTTLS\r\n")
        optional.hear("454 later\r\n")
        #expect(optional.effects.last == .ready)
    }

    @Test func authenticates() {
        let credentials = SMTPClientSession.Credentials(user: Array("u".utf8), password: Secret(Array("p".utf8)))
        var plain = Talk { $0.credentials = credentials }
        plain.hear("220 mx\r\n")
        #expect(plain.hear("250-mx\r\n250 AUTH PLAIN\r\n") == "AUTH PLAIN AHUAcA==\r\n")
        plain.hear("235 ok\r\n")
        #expect(plain.effects.last == .ready)
        var login = Talk { $0.credentials = credentials }
        login.hear("220 mx\r\n")
        #expect(login.hear("250-mx\r\n250 AUTH=LOGIN\r\n") == "AUTH LOGIN\r\n")
        #expect(login.hear("334 VXNlcm5hbWU6\r\n") == "dQ==\r\n")
        #expect(login.hear("334 UGFzc3dvcmQ6\r\n") == "cA==\r\n")
        login.hear("535 no\r\n")
        #expect(login.failure == .refused(.authentication, reply(535, "no")))
    }
}

@Suite struct ClientSessionTransferTests {
    @Test func sendsStepByStepWithoutPipelining() {
        var talk = Talk()
        talk.open("SIZE")
        #expect(talk.submit(["b@y", "c@y"]) == "MAIL FROM:<a@x.example> SIZE=10\r\n")
        #expect(talk.hear("250 ok\r\n") == "RCPT TO:<b@y>\r\n")
        #expect(talk.hear("550 no\r\n") == "RCPT TO:<c@y>\r\n")
        #expect(talk.hear("250 ok\r\n") == "DATA\r\n")
        talk.hear("354 go\r\n")
        #expect(talk.effects.last == .writeStuffedBody)
        #expect(talk.wrote() == "")
        talk.hear("250 queued\r\n")
        #expect(talk.verdict == .accepted(reply(250, "queued")))
        #expect(talk.outcome?.recipients == [reply(550, "no"), reply(250, "ok")])
        #expect(talk.effects.last == .ready)
    }

    @Test(arguments: [1, 3, 1000])
    func pipelinesAndReusesTheConnection(piece: Int) {
        var talk = Talk()
        talk.open("PIPELINING")
        for _ in 1...3 {
            #expect(talk.submit() == "MAIL FROM:<a@x.example>\r\nRCPT TO:<b@y.example>\r\nDATA\r\n")
            talk.hear("250 ok\r\n250 ok\r\n354 go\r\n", piece: piece)
            _ = talk.wrote()
            talk.hear("250 queued\r\n", piece: piece)
            #expect(
                talk.effects == [
                    .senderAccepted, .recipientsAnswered, .writeStuffedBody,
                    .finished(
                        TransferOutcome(verdict: .accepted(reply(250, "queued")), recipients: [reply(250, "ok")])),
                    .ready,
                ])
            talk.effects = []
        }
        talk.session.quit()
        talk.said = ""
        talk.drain()
        #expect(talk.said == "QUIT\r\n")
        talk.hear("221 bye\r\n")
        #expect(talk.effects == [.close])
    }

    @Test func sendsAnEmptyMessageWhenDataIsTakenForNobody() {
        var talk = Talk()
        talk.open("PIPELINING")
        talk.submit()
        #expect(talk.hear("250 ok\r\n550 no\r\n354 go\r\n") == ".\r\n")
        talk.hear("554 none\r\n")
        #expect(talk.verdict == .noRecipients)
        #expect(talk.effects.last == .ready)
    }

    @Test func resetsAfterNobodyWasAccepted() {
        var talk = Talk()
        talk.open()
        talk.submit()
        talk.hear("250 ok\r\n")
        #expect(talk.hear("450 later\r\n") == "RSET\r\n")
        #expect(talk.verdict == .noRecipients)
        #expect(talk.effects.last != .ready)
        talk.hear("250 ok\r\n")
        #expect(talk.effects.last == .ready)
    }

    @Test(arguments: [
        ("PIPELINING", "550 no\r\n503 x\r\n503 y\r\n", ClientStage.sender, reply(550, "no")),
        ("", "550 no\r\n", .sender, reply(550, "no")),
        ("PIPELINING", "250 a\r\n250 b\r\n451 c\r\n", .data, reply(451, "c")),
    ])
    func reportsTheCommandThatWasRefused(keyword: String, text: String, stage: ClientStage, answer: ServerReply) {
        var talk = Talk()
        talk.open(keyword)
        talk.submit()
        talk.hear(text)
        #expect(talk.verdict == .rejected(stage, answer))
    }

    @Test func reportsARefusedMessage() {
        var talk = Talk()
        talk.open("PIPELINING")
        talk.submit()
        talk.hear("250 a\r\n250 b\r\n354 c\r\n")
        _ = talk.wrote()
        talk.hear("554 spam\r\n")
        #expect(talk.verdict == .rejected(.endOfMessage, reply(554, "spam")))
        #expect(talk.effects.last == .ready)
    }

    @Test(arguments: [
        ("421 bye\r\n", ClientFailure.closing(.sender, reply(421, "bye"))),
        ("250 a\r\n421 bye\r\n", .closing(.recipient, reply(421, "bye"))),
        ("250 a\r\n250 b\r\n250 c\r\n", .unexpected(.data, reply(250, "c"))),
        ("354 a\r\n", .unexpected(.sender, reply(354, "a"))),
        ("nonsense\r\n", .badReply(.badCode)),
        ("250 a\r\n250 b\r\n354 c\r\n250 early\r\n", .unexpected(.endOfMessage, reply(250, "early"))),
    ])
    func settlesTheMessageWhenTheConnectionFails(text: String, failure: ClientFailure) {
        var talk = Talk()
        talk.open("PIPELINING")
        talk.submit()
        talk.hear(text)
        #expect(talk.verdict == .interrupted(failure))
        #expect(talk.failure == failure)
        #expect(talk.effects.filter { if case .finished = $0 { true } else { false } }.count == 1)
        #expect(talk.effects.last == .close)
    }

    @Test func settlesTheMessageWhenTheConnectionIsLost() {
        var talk = Talk()
        talk.open()
        talk.submit()
        talk.session.connectionLost()
        talk.drain()
        #expect(talk.verdict == .interrupted(.lost(.sender)))
        talk.session.connectionLost()
        talk.submit()
        #expect(talk.verdict == .interrupted(.lost(.ready)))
    }

    @Test func sendsChunks() {
        var talk = Talk {
            $0.usesChunking = true
            $0.chunkBytesMaximum = 6
        }
        talk.open("PIPELINING", "CHUNKING")
        #expect(talk.submit(size: 10) == "MAIL FROM:<a@x.example>\r\nRCPT TO:<b@y.example>\r\nBDAT 6\r\n")
        #expect(talk.effects == [.writeChunk(0..<6)])
        #expect(talk.wrote() == "BDAT 4 LAST\r\n")
        #expect(talk.effects.last == .writeChunk(6..<10))
        _ = talk.wrote()
        talk.hear("250 a\r\n250 b\r\n250 c\r\n250 queued\r\n")
        #expect(talk.verdict == .accepted(reply(250, "queued")))
    }

    @Test func aRefusedChunkIsSettledAfterTheOthers() {
        var talk = Talk {
            $0.usesChunking = true
            $0.chunkBytesMaximum = 6
        }
        talk.open("PIPELINING", "CHUNKING")
        talk.submit(size: 10)
        talk.hear("250 a\r\n250 b\r\n452 full\r\n")
        #expect(talk.verdict == nil)
        #expect(talk.wrote() == "RSET\r\n")
        #expect(talk.verdict == .rejected(.chunk, reply(452, "full")))
    }

    @Test func speaksLMTP() {
        var talk = Talk { $0.isLMTP = true }
        #expect(talk.hear("220 mx\r\n") == "LHLO client.example\r\n")
        talk.hear("250-mx\r\n250 PIPELINING\r\n")
        talk.submit(["b@y", "c@y", "d@y"])
        talk.hear("250 a\r\n250 b\r\n550 c\r\n250 d\r\n354 e\r\n")
        _ = talk.wrote()
        talk.hear("250 delivered\r\n452 full\r\n")
        #expect(
            talk.outcome
                == TransferOutcome(
                    verdict: .perRecipient, recipients: [reply(250, "delivered"), reply(550, "c"), reply(452, "full")]))
    }

    @Test func offersNothingTheServerCannotTake() {
        var talk = Talk()
        talk.open("SIZE 5")
        #expect(talk.submit(size: 6) == "")
        #expect(talk.verdict == .unsupported(.size))
        talk.submit(size: 5) { $0.smtpUTF8 = true }
        #expect(talk.verdict == .unsupported(.smtpUTF8))
        talk.submit(size: 5) { $0.requireTLS = true }
        #expect(talk.verdict == .unsupported(.requireTLS))
        talk.submit(["b@y\r\nDATA"], size: 5)
        #expect(talk.verdict == .invalidEnvelope)
        #expect(talk.effects.last == .ready)
    }

    @Test func endsAfterTheMessagesTheServerWants() {
        var talk = Talk()
        talk.open("PIPELINING", "LIMITS MAILMAX=1")
        talk.submit()
        talk.hear("250 a\r\n250 b\r\n354 c\r\n")
        _ = talk.wrote()
        #expect(talk.hear("250 d\r\n") == "QUIT\r\n")
    }
}
