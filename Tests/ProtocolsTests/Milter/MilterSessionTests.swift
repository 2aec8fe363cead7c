import Base
import Protocols
import TestKit
import Testing

@Suite struct MilterSessionTests {
    private typealias F = MilterFixture

    private func waits(_ isOwed: Bool, _ here: SourceLocation = #_sourceLocation) {
        #expect(isOwed, sourceLocation: here)
    }
    private func waitsNot(_ isOwed: Bool, _ here: SourceLocation = #_sourceLocation) {
        #expect(!isOwed, sourceLocation: here)
    }

    @Test func offersVersionSix() {
        var session = MilterSession()
        session.negotiate()
        #expect(session.takeOutput() == [0, 0, 0, 13, 0x4F, 0, 0, 0, 6, 0, 0, 1, 0xFF, 0x30, 0x1F, 0xF7, 0xFF])
        #expect(session.isWaiting)
        #expect(F.feed(&session, F.negotiation(steps: 0x10_0400)) == [.ready])
        #expect(session.keepsLeadingSpace)
        #expect(!session.isWaiting)
    }

    @Test(arguments: [
        (F.negotiation(version: 1), MilterProblem.version),
        (F.negotiation(actions: 0x200), .options),
        (F.negotiation(steps: 0x800), .options),
        (F.negotiation(steps: 0x4000_0000), .options),
        (F.packet("O", [0, 0, 0, 6]), .badPacket),
        (F.packet("O", F.number(6) + F.number(0) + F.number(0) + [1, 2]), .badPacket),
        (F.packet("c"), .unexpected),
        ([0, 0, 0, 0], .badPacket),
        ([0xFF, 0xFF, 0xFF, 0xFF], .badPacket),
        (F.packet("?"), .badPacket),
    ])
    func refusesBadNegotiations(_ bytes: [UInt8], _ problem: MilterProblem) {
        var session = MilterSession()
        session.negotiate()
        #expect(F.feed(&session, bytes).first == .failed(problem))
        // And nothing after it.
        #expect(F.feed(&session, F.negotiation()).isEmpty)
    }

    @Test func saysWhoConnects() throws {
        var session = F.ready()
        waits(session.connect(name: "[192.0.2.1]".b, address: IPAddress("192.0.2.1"), port: 258))
        #expect(session.takeOutput() == F.packet("C", "[192.0.2.1]\0".b + "4".b + [1, 2] + "192.0.2.1\0".b))
        #expect(F.feed(&session, F.packet("c")) == [.answer(.proceed)])
        waits(session.connect(name: "h.example".b, address: IPAddress("2001:db8::1"), port: 25))
        #expect(session.takeOutput() == F.packet("C", "h.example\0".b + "6".b + [0, 25] + "2001:db8::1\0".b))
        _ = F.feed(&session, F.packet("c"))
        waits(session.connect(name: "localhost".b, address: nil, port: 0))
        #expect(session.takeOutput() == F.packet("C", "localhost\0U".b))
    }

    @Test func saysATransaction() {
        var session = F.ready()
        func answered() { #expect(F.feed(&session, F.packet("c")) == [.answer(.proceed)]) }
        waits(session.helo("client.example".b))
        #expect(session.takeOutput() == F.packet("H", "client.example"))
        // One command waits at a time.
        waitsNot(session.mail("x".b, []))
        #expect(!session.hasOutput)
        answered()
        waits(session.mail([], ["SIZE=5".b, "BODY=8BITMIME".b]))
        #expect(session.takeOutput() == F.packet("M", "<>", "SIZE=5", "BODY=8BITMIME"))
        answered()
        waits(session.recipient("b@y.example".b, []))
        #expect(session.takeOutput() == F.packet("R", "<b@y.example>"))
        answered()
        waits(session.data())
        #expect(session.takeOutput() == F.packet("T"))
        answered()
        waits(session.header("Subject".b, "a\n b\0c".b))
        #expect(session.takeOutput() == F.packet("L", "Subject", "a\n bc"))
        answered()
        waits(session.endOfHeader())
        #expect(session.takeOutput() == F.packet("N"))
        answered()
        waits(session.body("x\r\n".b.span))
        #expect(session.takeOutput() == F.packet("B", "x\r\n".b))
        answered()
        waits(session.endOfMessage())
        #expect(session.takeOutput() == F.packet("E"))
        answered()
        session.abort()
        session.quit()
        #expect(session.takeOutput() == F.packet("A") + F.packet("Q"))
    }

    @Test func aLongHeaderIsCutToOnePacket() {
        var session = F.ready()
        waits(session.header("X".b, [UInt8](repeating: 0x61, count: 100_000)))
        let out = session.takeOutput()
        #expect(out.count == 4 + 1 + 65_535)
        #expect(out.last == 0)
    }

    @Test(arguments: [257, 65_533, 65_534, 65_535, 100_000]) func aNameBeyondTheBoundIsNotSent(_ octets: Int) {
        var session = F.ready()
        waitsNot(session.header([UInt8](repeating: 0x58, count: octets), "value".b))
        #expect(!session.hasOutput)
        waits(session.header([UInt8](repeating: 0x58, count: 256), "value".b))
        #expect(session.takeOutput() == F.packet("L", String(repeating: "X", count: 256), "value"))
    }

    /// Whatever is cut, texts end.
    @Test func aCutTextEnds() {
        var session = F.ready()
        waits(session.helo([UInt8](repeating: 0x58, count: 100_000)))
        #expect(session.takeOutput() == F.packet("H", String(repeating: "X", count: 65_534)))
    }

    @Test func macrosGoInWholePairs() throws {
        let names = (0..<64).map { _ in "{cert_subject}" }.joined(separator: " ")
        var session = F.ready(symbols: [(4, names)])
        session.macros["{cert_subject}"] = [UInt8](repeating: 0x61, count: 2_000)
        waits(session.data())
        let out = session.takeOutput()
        let length = out[..<4].reduce(0) { $0 << 8 | Int($1) }
        #expect(length <= 1 + 65_535 && out[4] == 0x44)
        let texts = out[6..<4 + length].split(separator: 0, omittingEmptySubsequences: false)
        #expect(texts.count % 2 == 1 && texts.last?.isEmpty == true && texts.count > 100)
        #expect(texts.dropLast().allSatisfy { $0.count == 1_024 || Array($0) == "{cert_subject}".b })
        #expect(Array(out[(4 + length)...]) == F.packet("T"))
    }

    /// What a filter did not say it would ask for is not done.
    @Test func kindsThatWereNotNegotiatedAreNone() {
        let wishes: [(UInt32, [UInt8])] = [
            (0x01, F.packet("h", "A", "b")), (0x01, F.packet("i", index: 1, "A", "b")), (0x02, F.packet("b", "x".b)),
            (0x04, F.packet("+", "<a@x.example>")), (0x08, F.packet("-", "<a@x.example>")),
            (0x10, F.packet("m", index: 1, "A", "b")), (0x20, F.packet("q", "x")), (0x40, F.packet("e", "<>")),
            (0x80, F.packet("2", "<a@x.example>")),
        ]
        for (own, packet) in wishes {
            for actions: UInt32 in [own, 0x1FF & ~own & ~(own & 0x84 == 0 ? 0 : 0x84)] {
                var session = MilterSession()
                session.negotiate()
                _ = F.feed(&session, F.negotiation(actions: actions))
                waits(session.endOfMessage())
                let events = F.feed(&session, packet)
                #expect((events == [.change(.notNegotiated)]) == (actions != own), "\(actions)")
            }
        }
    }

    @Test func leavesOutWhatTheFilterLeavesOut() {
        var session = F.ready(steps: 0x7F | 0x200)
        waitsNot(session.connect(name: "h".b, address: nil, port: 0))
        waitsNot(session.helo("h".b))
        waitsNot(session.mail("a".b, []))
        waitsNot(session.recipient("a".b, []))
        waitsNot(session.data())
        waitsNot(session.header("a".b, "b".b))
        waitsNot(session.endOfHeader())
        waitsNot(session.body("b".b.span))
        #expect(!session.hasOutput)
        #expect(!session.wantsBody && !session.wantsHeaders)
        // The end is always told and always answered.
        waits(session.endOfMessage())
        #expect(session.takeOutput() == F.packet("E"))
    }

    @Test func doesNotWaitForSilentFilters() {
        var session = F.ready(steps: 0x80 | 0xFF000)
        waitsNot(session.connect(name: "h".b, address: nil, port: 0))
        waitsNot(session.helo("h".b))
        waitsNot(session.mail("a".b, []))
        waitsNot(session.recipient("a".b, []))
        waitsNot(session.data())
        waitsNot(session.header("a".b, "b".b))
        waitsNot(session.endOfHeader())
        waitsNot(session.body("b".b.span))
        let letters = MilterSessionTests.letters(session.takeOutput())
        #expect(letters == "CHMRTLNB")
        waits(session.endOfMessage())
    }

    @Test func tellsOfCommandsThatAreNone() {
        var session = F.ready()
        #expect(session.wantsUnknown)
        waits(session.unknown("FOO \0bar".b))
        #expect(session.takeOutput() == F.packet("U", "FOO bar"))
        #expect(F.feed(&session, F.packet("y", "500 5.5.1 No such thing")).count == 1)
        for (steps, version, says) in [(0x100, 6, ""), (0, 2, ""), (0x2_0000, 6, "U")] as [(UInt32, UInt32, String)] {
            session = F.ready(steps: steps, version: version)
            #expect(session.wantsUnknown == !says.isEmpty)
            waitsNot(session.unknown("FOO".b))
            #expect(Self.letters(session.takeOutput()) == says)
        }
    }

    /// Larger packets, both ways, where the filter takes them.
    @Test(arguments: [(0, 65_535), (0x1000_0000, 262_143), (0x2000_0000, 1_048_575), (0x3000_0000, 1_048_575)])
    func packetsAreAsLargeAsTheFilterTakes(_ steps: UInt32, _ octets: Int) {
        var session = F.ready(steps: steps)
        #expect(session.bodyPieceMax == octets)
        waits(session.body([UInt8](repeating: 0x61, count: octets + 1).span))
        #expect(session.takeOutput().count == 5 + octets)
        _ = F.feed(&session, F.packet("c"))
        waits(session.header("X".b, [UInt8](repeating: 0x61, count: octets * 2)))
        #expect(session.takeOutput().count == 5 + octets)
        _ = F.feed(&session, F.packet("c"))
        _ = session.endOfMessage()
        let piece = [UInt8](repeating: 0x62, count: octets)
        #expect(F.feed(&session, F.packet("b", piece)) == [.change(.replaceBody(piece))])
        #expect(
            F.feed(&session, F.packet("b", [UInt8](repeating: 0x62, count: octets + 70_000))) == [.failed(.badPacket)])
    }

    @Test func oldFiltersAreNotToldOfData() {
        var session = F.ready(version: 2)
        #expect(session.peerVersion == 2)
        waitsNot(session.data())
        #expect(!session.hasOutput)
    }

    /// The first letter of each packet.
    static func letters(_ bytes: [UInt8]) -> String {
        var out = ""
        var i = 0
        while i + 5 <= bytes.count {
            out.unicodeScalars.append(Unicode.Scalar(bytes[i + 4]))
            i += 4 + bytes[i..<i + 4].reduce(0) { $0 << 8 | Int($1) }
        }
        return out
    }

    @Test func sendsMacrosWhereTheyBelong() {
        var session = F.ready()
        session.macros["j"] = "mx.example".b
        session.macros["{client_addr}"] = "192.0.2.1".b
        session.macros["i"] = "ID".b
        session.macros["{rcpt_addr}"] = "b@y.example".b
        session.macros["{cipher}"] = []
        _ = session.connect(name: "h".b, address: nil, port: 0)
        #expect(
            session.takeOutput()
                == F.packet("D", "C".b + F.z(["j", "mx.example", "{client_addr}", "192.0.2.1"]))
                + F.packet("C", "h\0U".b))
        _ = F.feed(&session, F.packet("c"))
        _ = session.helo("h".b)
        #expect(session.takeOutput() == F.packet("H", "h"))
        _ = F.feed(&session, F.packet("c"))
        _ = session.recipient("b@y.example".b, [])
        #expect(
            session.takeOutput()
                == F.packet("D", "R".b + F.z(["i", "ID", "{rcpt_addr}", "b@y.example"]))
                + F.packet("R", "<b@y.example>"))
    }

    @Test func aFilterNamesItsMacros() {
        var session = F.ready(steps: 0x04, symbols: [(2, "{j} client_addr {unknown}, i"), (9, "x"), (1, "")])
        session.macros["j"] = "mx.example".b
        session.macros["{client_addr}"] = "192.0.2.1".b
        session.macros["{tls_version}"] = "TLSv1.3".b
        // The step is left out, its macros are not.
        waitsNot(session.mail("a".b, []))
        #expect(session.takeOutput() == F.packet("D", "M".b + F.z(["j", "mx.example", "{client_addr}", "192.0.2.1"])))
        _ = session.helo("h".b)
        #expect(session.takeOutput() == F.packet("H", "h"))
    }

    static let answers: [([UInt8], MilterAnswer)] = [
        (F.packet("c"), .proceed), (F.packet("a"), .accept), (F.packet("r"), .reject), (F.packet("t"), .tempfail),
        (F.packet("d"), .discard), (F.packet("4"), .shutdown), (F.packet("f"), .shutdown),
        (F.packet("y", "550 5.7.1 No spam"), .reply(Reply(550, EnhancedStatus(5, 7, 1), "No spam"))),
        (F.packet("y", "201 hello"), .tempfail),
    ]

    @Test(arguments: answers) func understandsAnswers(_ bytes: [UInt8], _ answer: MilterAnswer) {
        for isEnd in [false, true] {
            var session = F.ready()
            _ = isEnd ? session.endOfMessage() : session.mail("a".b, [])
            #expect(F.feed(&session, F.packet("p") + bytes) == [.progress, .answer(answer)])
            #expect(!session.isWaiting)
        }
    }

    private static func address(_ text: String) -> MailAddress { MailAddress(parsing: text.b)! }

    static let changes: [([UInt8], MilterChange)] = [
        (F.packet("q", "looks\r\nbad \u{7}"), .quarantine("looks bad ?".b)),
        (F.packet("h", "X-A", "b\n c"), .addHeader(name: "X-A".b, value: "b\n c".b)),
        (F.packet("i", index: 3, "X-A", "b"), .insertHeader(index: 3, name: "X-A".b, value: "b".b)),
        (F.packet("m", index: 2, "Subject", ""), .changeHeader(index: 2, name: "Subject".b, value: [])),
        (F.packet("m", index: .max, "Subject", "x"), .changeHeader(index: -1, name: "Subject".b, value: "x".b)),
        (F.packet("h", "X A", "b"), .unusable), (F.packet("h", "", "b"), .unusable),
        (F.packet("h", "X:A", "b"), .unusable), (F.packet("h", "X\nA", "b"), .unusable),
        (F.packet("b", "new\r\n\0body".b), .replaceBody("new\r\n\0body".b)), (F.packet("b"), .replaceBody([])),
        (F.packet("+", "<C@Y.example>"), .addRecipient(MilterRecipient(address("C@y.example")))),
        (F.packet("+", "c@y.example"), .addRecipient(MilterRecipient(address("c@y.example")))),
        (
            F.packet("2", "<c@y.example>", "NOTIFY=NEVER"),
            .addRecipient(MilterRecipient(address("c@y.example"), parameters: "NOTIFY=NEVER".b))
        ),
        (F.packet("2", "<c@y.example>"), .addRecipient(MilterRecipient(address("c@y.example")))),
        (F.packet("-", "<c@y.example>"), .removeRecipient(MailAddress(localpart: "c".b, domain: "y.example".b))),
        (F.packet("e", "<>"), .changeSender(MilterSender(nil))),
        (F.packet("e", "<c@y.example>", "SIZE=1"), .changeSender(MilterSender(address("c@y.example")))),
        (F.packet("+", "<c@y.example>\r\nRCPT TO:<d@y.example>"), .unusable), (F.packet("+", "<>"), .unusable),
        (F.packet("+", "nobody at all"), .unusable),
    ]

    @Test(arguments: changes) func understandsChanges(_ bytes: [UInt8], _ change: MilterChange) {
        var session = F.ready()
        _ = session.endOfMessage()
        #expect(F.feed(&session, bytes + F.packet("c")) == [.change(change), .answer(.proceed)])
        // At no other time.
        session = F.ready()
        _ = session.mail("a".b, [])
        #expect(F.feed(&session, bytes) == [.failed(.unexpected)])
    }

    @Test(arguments: [
        F.packet("h", "X-A".b), F.packet("h", "X-A\0b".b), F.packet("i", [0, 0]), F.packet("m", [0, 0, 0, 1]),
        F.packet("y", "550".b), F.packet("+"), F.packet("e", "a".b), F.packet("q", "x".b),
        F.packet("2", "a@b\0NOTIFY".b),
    ])
    func cutPacketsFail(_ bytes: [UInt8]) {
        var session = F.ready()
        _ = session.endOfMessage()
        #expect(F.feed(&session, bytes) == [.failed(.badPacket)])
    }

    @Test func skipIsForHeaderAndBody() {
        var session = F.ready(steps: 0x400)
        _ = session.body("x".b.span)
        #expect(F.feed(&session, F.packet("s")) == [.answer(.skip)])
        _ = session.header("a".b, "b".b)
        #expect(F.feed(&session, F.packet("s")) == [.answer(.skip)])
        _ = session.mail("x".b, [])
        #expect(F.feed(&session, F.packet("s")) == [.failed(.unexpected)])
    }

    @Test func anAnswerNobodyAskedForFails() {
        var session = F.ready()
        #expect(F.feed(&session, F.packet("c")) == [.failed(.unexpected)])
        session = F.ready()
        _ = session.mail("a".b, [])
        #expect(F.feed(&session, F.packet("c") + F.packet("c")) == [.answer(.proceed), .failed(.unexpected)])
    }

    /// The same events however the octets are cut.
    @Test func everyChunkingMeansTheSame() {
        let all =
            Self.changes.flatMap(\.0) + F.packet("p") + F.packet("b", [UInt8](repeating: 0x7A, count: 70_000))
            + F.packet("c")
        func run(_ pieces: (Int) -> Int) -> [MilterEvent] {
            var session = F.ready()
            _ = session.endOfMessage()
            return F.feed(&session, all, pieces: pieces)
        }
        let whole = run { $0 }
        #expect(whole.count == Self.changes.count + 3)
        #expect(run { _ in 1 } == whole)
        for seed in 1...20 {
            var random = SeededRandom(seed: UInt64(seed))
            #expect(run { _ in Int(random.next() % 37) + 1 } == whole)
        }
    }
}
