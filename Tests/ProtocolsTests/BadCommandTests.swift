import Base
import Protocols
import TestKit
import Testing

/// Which refusals the session calls bad commands: what a client that fails is slowed for.
@Suite struct BadCommandTests {
    private static let refused = Reply(550, EnhancedStatus(5, 1, 1), "No such mailbox here")

    private func driver(world: @escaping (Question) -> Answer = { _ in .accepted }) -> SMTPTestDriver {
        var limits = SMTPLimits()
        limits.errorWeight = 1_000
        let driver = SMTPTestDriver(
            configuration: SMTPSessionConfiguration(hostname: Array("mx.example".utf8), limits: limits), world: world)
        driver.session.refusalID = MessageID(rawValue: 1_234_567_890_123)
        return driver
    }

    private func faults(_ commands: String..., world: @escaping (Question) -> Answer = { _ in .accepted }) -> Int {
        let driver = driver(world: world)
        for command in commands { driver.feed(command + "\r\n") }
        return driver.session.drainRefusals { _, _ in }
    }

    @Test(arguments: [
        "FOO", "EHLO", "EHLO a b", "EXPN list", "AUTH PLAIN", "MAIL FROM:no", "RCPT TO:<b@y.example>", "DATA",
        "QUIT now", "RSET x", "NOOP\u{1}", "BDAT x", "GET / HTTP/1.1", "MAIL FROM:<a@x.example>",
    ])
    func whatIsWrongByItselfIsOne(_ command: String) {
        #expect(faults(command) == 1)
    }

    @Test(arguments: ["NOOP", "EHLO a.example", "VRFY bob", "HELP", "QUIT", "RSET"])
    func whatIsRightIsNone(_ command: String) {
        #expect(faults(command) == 0)
    }

    @Test func parametersAreCommands() {
        #expect(faults("EHLO a.example", "MAIL FROM:<a@x.example> X=1") == 1)
        #expect(faults("EHLO a.example", "MAIL FROM:<a@x.example>", "RCPT TO:<no>", "RCPT TO:<b@y.example> X=1") == 2)
    }

    /// They are asked for once, and the next look finds new ones only.
    @Test func allOfABurstAreCounted() {
        let driver = driver()
        driver.feed(String(repeating: "FOO\r\n", count: 40))
        let (first, second) = (
            driver.session.drainRefusals { _, _ in }, driver.session.drainRefusals { _, _ in }
        )
        #expect(first == 40 && second == 0)
    }

    /// RFC 2920 §3.1: who pipelines could not know.
    @Test func whatFollowsFromARefusalIsNone() {
        let refusesSender: (Question) -> Answer = {
            if case .sender = $0 { .refused(Self.refused) } else { .accepted }
        }
        #expect(
            faults(
                "EHLO a.example", "MAIL FROM:<a@x.example>\r\nRCPT TO:<b@y.example>\r\nRCPT TO:<c@y.example>\r\nDATA",
                world: refusesSender) == 0)
        #expect(
            faults(
                "EHLO a.example", "MAIL FROM:<a@x.example>\r\nRCPT TO:<b@y.example>\r\nBDAT 0 LAST",
                world: refusesSender) == 0)
        let refusesRecipients: (Question) -> Answer = {
            if case .recipient = $0 { .refused(Self.refused) } else { .accepted }
        }
        #expect(
            faults(
                "EHLO a.example", "MAIL FROM:<a@x.example>\r\nRCPT TO:<b@y.example>\r\nDATA",
                world: refusesRecipients) == 0)
        // Only MAIL was wrong.
        #expect(faults("EHLO a.example", "MAIL FROM:no\r\nRCPT TO:<b@y.example>\r\nDATA") == 1)
        // After RSET there is nothing it could follow from.
        #expect(
            faults(
                "EHLO a.example", "MAIL FROM:<a@x.example>", "RSET", "RCPT TO:<b@y.example>", world: refusesSender) == 1
        )
    }

    /// What a filter says to an unknown command takes the place of our 500.
    @Test func aFiltersWordToAnUnknownCommandCounts() {
        let driver = driver { if case .unknown = $0 { .refused(Self.refused) } else { .accepted } }
        driver.session.asksAboutUnknown = true
        driver.feed("FOO\r\n")
        let (hasNews, count) = (driver.session.hasRefusals, driver.session.drainRefusals { _, _ in })
        #expect(hasNews && count == 1)
    }
}
