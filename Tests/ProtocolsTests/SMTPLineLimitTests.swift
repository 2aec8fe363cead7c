import Protocols
import TestKit
import Testing

/// RFC 5321 §4.5.3.1.4: the bounds of command lines, the same for whole lines and for drops.
@Suite struct SMTPLineLimitTests {
    private func reply(to line: [UInt8], drops: Bool) -> (String, SessionClose?) {
        let driver = SMTPTestDriver(configuration: SMTPSessionConfiguration(hostname: Array("mx.example".utf8)))
        driver.feed("EHLO a.example\r\n")
        _ = driver.takeOutput()
        if drops {
            var i = 0
            while i < line.count {
                driver.feed(Array(line[i..<min(i + 97, line.count)]))
                i += 97
            }
        } else {
            driver.feed(line)
        }
        driver.feed("NOOP\r\n")
        return (String(decoding: driver.takeOutput(), as: UTF8.self), driver.close)
    }

    private func line(_ start: String, octets: Int, end: String = "\r\n") -> [UInt8] {
        Array((start + String(repeating: "x", count: octets - start.utf8.count - end.utf8.count) + end).utf8)
    }

    @Test(
        arguments: [
            ("NOOP ", 512, "250 2.0.0"), ("NOOP ", 513, "500 5.5.6"), ("FOO ", 600, "500 5.5.6"),
            ("MAIL FROM:<a@x.example> X=", 4_096, "555 5.5.4"), ("MAIL FROM:<a@x.example> X=", 4_097, "500 5.5.6"),
            ("AUTH PLAIN ", 12_288, "502 5.5.1"), ("AUTH PLAIN ", 12_289, "500 5.5.6"), ("NOOP ", 65_536, "500 5.5.6"),
            ("NOOP ", 65_537, "421 4.7.0"), ("NOOP ", 200_000, "421 4.7.0"),
        ], [false, true])
    func limit(_ one: (start: String, octets: Int, code: String), drops: Bool) {
        let (output, close) = reply(to: line(one.start, octets: one.octets), drops: drops)
        let lines = output.split(separator: "\r\n")
        #expect(lines.first?.hasPrefix(one.code) == true, "\(output)")
        #expect(lines.count == (one.code.hasPrefix("421") ? 1 : 2))
        #expect((close == .lineTooLong) == one.code.hasPrefix("421"))
    }

    @Test(arguments: [false, true])
    func aLongLineWithABareLineFeedCloses(drops: Bool) {
        let (output, close) = reply(to: line("NOOP ", octets: 700, end: "\n"), drops: drops)
        #expect(output.hasPrefix("500 5.5.2"))
        #expect(close == .bareLineEnding)
    }

    @Test func anIdleSessionIsSmall() {
        #expect(MemoryLayout<SMTPSession>.size <= 320)
    }
}
