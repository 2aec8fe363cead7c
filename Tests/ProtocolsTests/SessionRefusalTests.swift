import Base
import Protocols
import TestKit
import Testing

/// The session's own refusals end with the id they are explained under; nothing else does.
@Suite struct SessionRefusalTests {
    private static let id = MessageID(rawValue: 1_234_567_890_123)
    private static let mark = " (" + String(decoding: id.text, as: UTF8.self) + ")"

    private func driver(
        _ id: MessageID? = Self.id, errors: Int = 1_000, world: @escaping (Question) -> Answer = { _ in .accepted }
    ) -> SMTPTestDriver {
        var limits = SMTPLimits()
        limits.errorWeight = errors
        let configuration = SMTPSessionConfiguration(hostname: Array("mx.example".utf8), limits: limits)
        let driver = SMTPTestDriver(configuration: configuration, world: world)
        driver.session.refusalID = id
        return driver
    }

    private func lines(_ driver: SMTPTestDriver) -> [String] {
        String(decoding: driver.takeOutput(), as: UTF8.self).split(separator: "\r\n").map(String.init)
    }

    private static let commands = [
        "MAIL FROM:<a@x.example>", "EHLO a.example", "RCPT TO:<b@y.example>", "BLAH",
        "MAIL FROM:<a@x.example> SIZE=9999999999",
        "MAIL FROM:no", "MAIL FROM:<a@x.example>", "RCPT TO:<no>", "RCPT TO:<b@y.example> X=1", "NOOP", "DATA",
        "BDAT 3 LAST", "HELO",
    ]

    @Test func everyRefusalAndNothingElseHasIt() {
        let driver = driver()
        for command in Self.commands {
            driver.feed(command + "\r\n")
            if command.hasPrefix("BDAT") { driver.feed("abc") }
            for line in lines(driver) {
                #expect(line.hasSuffix(Self.mark) == "45".contains(line.prefix(1)), "\(command): \(line)")
            }
        }
    }

    @Test func theyAreTheSameRepliesWithoutAnID() {
        let (plain, marked) = (driver(nil), driver())
        for command in Self.commands {
            plain.feed(command + "\r\n")
            marked.feed(command + "\r\n")
        }
        let cut = lines(marked).map { $0.hasSuffix(Self.mark) ? String($0.dropLast(Self.mark.count)) : $0 }
        #expect(cut == lines(plain))
        let hasMore = plain.session.hasRefusals
        #expect(!hasMore)
    }

    @Test func whatTheDriverSaysIsNotTouched() {
        let refusal = Reply(550, EnhancedStatus(5, 1, 1), "No such mailbox here (its own)")
        let driver = driver { question in
            switch question {
            case .recipient, .unknown: .refused(refusal)
            case .sender, .verify, .authenticate, .submit: .accepted
            }
        }
        driver.feed("EHLO a.example\r\nMAIL FROM:<a@x.example>\r\nRCPT TO:<b@y.example>\r\n")
        #expect(lines(driver).last == "550 5.1.1 No such mailbox here (its own)")
        let hasMore = driver.session.hasRefusals
        #expect(!hasMore)
        driver.session.asksAboutUnknown = true
        driver.feed("BLAH\r\n")
        #expect(lines(driver) == ["550 5.1.1 No such mailbox here (its own)"])
        driver.feed("DATA\r\n")
        #expect(lines(driver) == ["554 5.5.1 No valid recipients" + Self.mark])
    }

    @Test func theDriverLearnsOfTheFirstFewOnce() {
        let driver = driver()
        driver.feed("EHLO a.example\r\nMAIL FROM:no\r\n" + String(repeating: "BLAH\r\n", count: 50))
        var seen: [(Verb?, Reply)] = []
        driver.session.drainRefusals { seen.append(($0, $1)) }
        #expect(seen.count == 8)
        #expect(seen.first?.0 == .mail)
        #expect(seen.last?.0 == nil)
        #expect(seen.first?.1.enhanced == EnhancedStatus(5, 1, 7))
        let hasMore = driver.session.hasRefusals
        #expect(!hasMore)
    }

    @Test func theLastWordHasItAsWell() {
        let errors = driver(errors: 10)
        errors.feed("BLAH\r\nBLAH\r\n")
        #expect(lines(errors).last == "421 4.7.0 Too many errors, closing connection" + Self.mark)
        #expect(errors.close == .tooManyErrors)
        let idle = driver()
        idle.timeOut()
        #expect(lines(idle).last == "421 4.4.2 Timeout, closing connection" + Self.mark)
        let bare = driver()
        bare.feed("NOOP\n")
        #expect(lines(bare).last?.hasSuffix(Self.mark) == true)
    }

    @Test func aServerThatStopsSaysNoMore() {
        let driver = driver()
        driver.session.shutdown()
        var out: [UInt8] = []
        driver.session.takeOutput(into: &out)
        #expect(String(decoding: out, as: UTF8.self).hasSuffix("try again later\r\n"))
    }

    /// A text of any length leaves the id whole, in a line that is not too long.
    @Test(arguments: [0, 1, 463, 464, 465, 480, 2_000])
    func aLongTextIsCutBeforeTheID(_ octets: Int) {
        for first in ["", "one line\n"] {
            let text = Array((first + String(repeating: "x", count: octets)).utf8)
            var out: [UInt8] = []
            Reply(code: 550, enhanced: EnhancedStatus(5, 7, 1), text: text).explained(by: Self.id).append(to: &out)
            let lines = String(decoding: out, as: UTF8.self).split(separator: "\r\n")
            #expect(lines.count == (first.isEmpty ? 1 : 2))
            #expect(lines.last?.hasSuffix(Self.mark) == true)
            #expect(lines.allSatisfy { $0.utf8.count <= 510 })
        }
    }

    @Test func anIDNamesItsLoop() {
        for loop in [0, 1, 17, 31] {
            var ids = MessageIDSource(loop: loop)
            #expect(ids.next(at: WallTime(seconds: 1_700_000_000)).loop == loop)
        }
    }
}
