import Base
import Protocols
import Testing

@Suite struct ReplyParserTests {
    /// Feeds `text` in pieces of `piece` bytes, as a connection would; the first step that is not `.needMore`.
    private func parse(_ text: String, piece: Int = .max) -> (ReplyParser.Step, left: Int) {
        var parser = ReplyParser()
        let all = Array(text.utf8)
        var unread: [UInt8] = []
        var fed = 0
        while fed < all.count {
            let end = min(all.count, fed + min(piece, all.count))
            unread += all[fed..<end]
            fed = end
            var offset = 0
            let step = parser.next(unread.span, &offset)
            unread.removeFirst(offset)
            if step != .needMore { return (step, unread.count) }
        }
        return (.needMore, unread.count)
    }

    @Test(arguments: [1, 2, 3, 7, 1000])
    func readsMultiLineRepliesInAnyPieces(piece: Int) {
        let (step, _) = parse("250-mx.example greets\r\n250-SIZE 100\r\n250 PIPELINING\r\n", piece: piece)
        #expect(step == .reply(ServerReply(code: 250, text: Array("mx.example greets\nSIZE 100\nPIPELINING".utf8))))
    }

    @Test(arguments: ["250\r\n", "250 \r\n"])
    func readsRepliesWithoutText(text: String) {
        #expect(parse(text).0 == .reply(ServerReply(code: 250)))
    }

    @Test func leavesTheNextReplyUnread() {
        #expect(parse("250 a\r\n354 b\r\n").left == 7)
    }

    @Test func findsTheEnhancedStatus() {
        guard case .reply(let reply) = parse("550-5.1.1 no such\r\n550 5.1.1 user\r\n").0 else {
            Issue.record("no reply")
            return
        }
        #expect(reply.status == EnhancedStatusValue(5, 1, 1))
    }

    @Test(arguments: ["250 5.1.1 x\r\n", "250 2.1 x\r\n", "250 2.1.1x\r\n", "250 2.1234.0 x\r\n", "250 2..0 x\r\n"])
    func ignoresWhatIsNoStatusOfThisCode(text: String) {
        guard case .reply(let reply) = parse(text).0 else {
            Issue.record("no reply")
            return
        }
        #expect(reply.status == nil)
    }

    @Test(arguments: [
        ("25 x\r\n", ReplyError.badCode), ("\r\n", .badCode), ("25x ok\r\n", .badCode), ("150 x\r\n", .badCode),
        ("650 x\r\n", .badCode), ("2500 x\r\n", .badCode), ("250_x\r\n", .badCode), ("HTTP/1.1 400\r\n", .badCode),
        ("250-a\r\n251 b\r\n", .mixedCodes), ("250 a\n", .bareLineEnd), ("250 a\rb\r\n", .bareLineEnd),
        ("250-" + String(repeating: "x", count: 4_091) + "\r\n", .lineTooLong),
        (String(repeating: "2", count: 4_096), .lineTooLong),
        (String(repeating: "250-x\r\n", count: 129), .tooManyLines),
    ])
    func refusesWhatIsNoReply(text: String, error: ReplyError) {
        #expect(parse(text).0 == .failed(error))
        #expect(parse(text, piece: 1).0 == .failed(error))
    }

    @Test func takesTheLongestLineAndTheMostLines() {
        let line = "250 " + String(repeating: "x", count: 4_090) + "\r\n"
        guard case .reply(let long) = parse(line).0 else {
            Issue.record("no reply")
            return
        }
        #expect(long.text.count == 4_090)
        guard case .reply(let many) = parse(String(repeating: "250-x\r\n", count: 127) + "250 x\r\n").0 else {
            Issue.record("no reply")
            return
        }
        #expect(many.lines.count == 128)
    }
}

@Suite struct DotStufferTests {
    @Test(arguments: [
        ("", ".\r\n"), (".", "..\r\n.\r\n"), ("a\r\n.b\r\n", "a\r\n..b\r\n.\r\n"), ("a\n.b\r\n", "a\r\n..b\r\n.\r\n"),
        ("a", "a\r\n.\r\n"), ("..\r\n.\r\n", "...\r\n..\r\n.\r\n"), ("a\r\n\r\n.", "a\r\n\r\n..\r\n.\r\n"),
        ("\n.", "\r\n..\r\n.\r\n"), ("a\r.\r\nb", "a\r\n..\r\nb\r\n.\r\n"), ("x\r", "x\r\n.\r\n"),
        ("\r\r\n", "\r\n\r\n.\r\n"),
    ])
    func doublesDotsAtLineStartsInAnyPieces(text: String, wire: String) {
        for piece in 1...4 {
            var stuffer = DotStuffer()
            var out: [UInt8] = []
            var rest = Array(text.utf8)[...]
            while !rest.isEmpty {
                stuffer.append(Array(rest.prefix(piece)).span, to: &out)
                rest = rest.dropFirst(piece)
            }
            stuffer.finish(to: &out)
            #expect(String(decoding: out, as: UTF8.self) == wire)
        }
    }

    /// A body kept by BDAT may hold any end of data somebody dreamt of: none of them may leave as one.
    @Test func nothingInABodyEndsTheData() {
        let pieces = ["\n", "\r", "\r\n", ".", "\0", "MAIL FROM:<a@b>", "\n.\r\n", "\r.\r", "\n.\n", "\r\n.\r"]
        for first in pieces {
            for second in pieces {
                for third in pieces {
                    var stuffer = DotStuffer()
                    var out: [UInt8] = []
                    for piece in [first, second, third] { stuffer.append(Array(piece.utf8).span, to: &out) }
                    stuffer.finish(to: &out)
                    let wire = String(decoding: out, as: UTF8.self)
                    let lines = wire.utf8.split(separator: 0x0A, omittingEmptySubsequences: false).map(Array.init)
                    #expect(lines.dropLast().allSatisfy { $0.last == 0x0D && !$0.dropLast().contains(0x0D) })
                    #expect(lines.filter { $0 == [0x2E, 0x0D] }.count == 1 && lines.last == [])
                }
            }
        }
    }
}
