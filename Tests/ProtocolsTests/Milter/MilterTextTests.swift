import Base
import Protocols
import Testing

@Suite struct MilterTextTests {
    @Test(arguments: [
        ("550 5.7.1 No", Reply(550, EnhancedStatus(5, 7, 1), "No")),
        ("550 No", Reply(550, EnhancedStatus(5, 7, 1), "No")),
        ("451 4.7.1 later", Reply(451, EnhancedStatus(4, 7, 1), "later")),
        // The class of the status is the code's.
        ("550 4.7.1 No", Reply(550, EnhancedStatus(5, 7, 1), "4.7.1 No")),
        ("550", Reply(550, EnhancedStatus(5, 7, 1), "Refused by a mail filter")),
        ("550 5.7.1", Reply(550, EnhancedStatus(5, 7, 1), "Refused by a mail filter")),
        ("550-5.7.1 one\r\n550-5.7.1 two\r\n550 5.7.1 three", Reply(550, EnhancedStatus(5, 7, 1), "one\ntwo\nthree")),
        ("550 5.7.1 100%% sure", Reply(550, EnhancedStatus(5, 7, 1), "100% sure")),
        // What is behind a line end is a further line of the same reply, never a reply of its own.
        ("550 5.7.1 No\r\n250 Yes", Reply(550, EnhancedStatus(5, 7, 1), "No\n250 Yes")),
        ("550 5.7.1 a\u{1}\u{1B}[2Jb\u{E9}", Reply(550, EnhancedStatus(5, 7, 1), "a??[2Jb?")),
    ])
    func refusalsAreMadeFit(_ text: String, _ reply: Reply) {
        var session = MilterFixture.ready()
        _ = session.endOfMessage()
        #expect(MilterFixture.feed(&session, MilterFixture.packet("y", text)) == [.answer(.reply(reply))])
    }

    @Test(arguments: ["", "5", "55", "250 ok", "354 go", "650 x", "5x0 x"])
    func whatIsNoRefusalDefers(_ text: String) {
        var session = MilterFixture.ready()
        _ = session.endOfMessage()
        #expect(MilterFixture.feed(&session, MilterFixture.packet("y", text)) == [.answer(.tempfail)])
    }

    @Test func aReplyIsBounded() throws {
        var session = MilterFixture.ready()
        _ = session.endOfMessage()
        let text = "550 5.7.1 " + String(repeating: "x", count: 50_000) + String(repeating: "\nx", count: 500)
        let events = MilterFixture.feed(&session, MilterFixture.packet("y", text))
        guard case .answer(.reply(let reply)) = try #require(events.first) else {
            Issue.record("no reply")
            return
        }
        #expect(reply.text.count <= 400 + 2 * 32)
        #expect(reply.text.filter { $0 == 0x0A }.count == 31)
    }
}
