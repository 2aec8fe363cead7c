import Base
import Protocols
import TestKit
import Testing

/// Commands that are none: refused at once, or as the driver says when it wants to be asked.
@Suite struct UnknownCommandTests {
    private static func driver(
        asks: Bool, order: AnswerOrder = .atOnce, _ world: @escaping (Question) -> Answer
    ) -> SMTPTestDriver {
        let driver = SMTPTestDriver(
            configuration: SMTPSessionConfiguration(hostname: Array("mx.example".utf8), kind: .mx), order: order,
            world: world)
        driver.session.asksAboutUnknown = asks
        _ = driver.takeOutput()
        return driver
    }

    private static func lines(_ driver: SMTPTestDriver) -> [String] {
        String(decoding: driver.takeOutput(), as: UTF8.self).split(separator: "\r\n").map { String($0) }
    }

    @Test(arguments: [false, true]) func nobodyIsAskedWhoDoesNotWantIt(_ asks: Bool) {
        var asked: [String] = []
        let driver = Self.driver(asks: asks) { question in
            if case .unknown(let line) = question { asked.append(String(decoding: line, as: UTF8.self)) }
            return .accepted
        }
        driver.feed("FOO  bar \r\nEXPN list\r\nNOOP\r\n")
        #expect(Self.lines(driver).map { $0.prefix(9) } == ["500 5.5.1", "502 5.5.1", "250 2.0.0"])
        #expect(asked == (asks ? ["FOO  bar", "EXPN list"] : []))
    }

    @Test func theRefusalIsTheDrivers() {
        let driver = Self.driver(asks: true) { question in
            if case .unknown = question { .refused(Reply(550, EnhancedStatus(5, 7, 1), "Go away")) } else { .accepted }
        }
        driver.feed("FOO\r\n")
        #expect(Self.lines(driver) == ["550 5.7.1 Go away"])
        #expect(driver.close == nil)
    }

    @Test func itMayEndTheSession() {
        let driver = Self.driver(asks: true) { question in
            if case .unknown = question { .refused(Reply(421, EnhancedStatus(4, 7, 0), "Bye")) } else { .accepted }
        }
        driver.feed("FOO\r\nNOOP\r\n")
        #expect(Self.lines(driver) == ["421 4.7.0 Bye"])
        #expect(driver.close == .refused)
    }

    /// However late the answer, what was pipelined behind it waits, in its order; recipients asked about before it too.
    @Test(arguments: [AnswerOrder.atOnce, .oldestFirst, .newestFirst])
    func whatIsBehindItWaits(_ order: AnswerOrder) {
        let driver = Self.driver(asks: true, order: order) { _ in .accepted }
        driver.feed("EHLO c.example\r\nMAIL FROM:<a@b.example>\r\n")
        driver.settle()
        _ = driver.takeOutput()
        driver.feed("RCPT TO:<x@y.example>\r\nRCPT TO:<z@y.example>\r\nFOO\r\nNOOP\r\nRCPT TO:<q@y.example>\r\n")
        driver.settle()
        let seen = Self.lines(driver).map { String($0.prefix(9)) }
        #expect(seen == ["250 2.1.5", "250 2.1.5", "500 5.5.1", "250 2.0.0", "250 2.1.5"])
    }

    @Test func recipientsParametersAreToldAsTheyCame() {
        let driver = Self.driver(asks: false, order: .oldestFirst) { _ in .accepted }
        driver.feed("EHLO c.example\r\nMAIL FROM:<a@b.example>\r\n")
        driver.settle()
        driver.feed("RCPT TO:<x@y.example> ORCPT=rfc822;q@y NOTIFY=DELAY,SUCCESS\r\nRCPT TO:<z@y.example>\r\n")
        let told = (0..<5).map { driver.session.recipientParameters(Ticket(value: $0)) }
        #expect(told.flatMap { $0 } == ["NOTIFY=SUCCESS,DELAY", "ORCPT=rfc822;q@y"].map { Array($0.utf8) })
        driver.settle()
        #expect((0..<5).allSatisfy { driver.session.recipientParameters(Ticket(value: $0)).isEmpty })
    }

    @Test func parametersAreToldAsTheyCame() {
        var told: [[UInt8]] = []
        var driver: SMTPTestDriver?
        let made = Self.driver(asks: false, order: .oldestFirst) { question in
            if case .sender = question { told = driver?.session.mailParameters ?? [] }
            return .accepted
        }
        driver = made
        made.feed("EHLO c.example\r\nMAIL FROM:<a@b.example> SIZE=10 RET=HDRS BODY=8BITMIME ENVID=E+2B\r\n")
        #expect(
            made.session.mailParameters
                == ["SIZE=10", "BODY=8BITMIME", "RET=HDRS", "ENVID=E+2B"].map { Array($0.utf8) })
        made.settle()
        driver = nil
        #expect(told.count == 4)
    }
}
