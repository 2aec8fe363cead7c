import Base
import Protocols
import TestKit
import Testing

@Suite struct MessageTests {
    @Test(
        arguments: [
            (0, "Thu, 01 Jan 1970 00:00:00 +0000"), (951_782_400, "Tue, 29 Feb 2000 00:00:00 +0000"),
            (1_795_398_206, "Mon, 23 Nov 2026 01:43:26 +0000"), (-1, "Wed, 31 Dec 1969 23:59:59 +0000"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 +0000"),
        ] as [(Int64, String)])
    func dates(_ seconds: Int64, _ text: String) {
        var out: [UInt8] = []
        DateTime(WallTime(seconds: seconds)).append(to: &out)
        #expect(out == Array(text.utf8))
    }

    private func received(_ change: (inout Envelope) -> Void) -> String {
        var envelope = Envelope(sender: nil)
        envelope.helo = Array("client\r\nX: <y>.example".utf8)
        envelope.isESMTP = true
        change(&envelope)
        let field = Received(
            peer: SMTPPeer(address: Array("2001:db8::9".utf8)), reverseName: Array("r.example".utf8),
            hostname: Array("mx.example".utf8), software: Array("Martlet".utf8), id: MessageID(rawValue: 33),
            date: WallTime(seconds: 0))
        var out: [UInt8] = []
        field.append(for: envelope, to: &out)
        return String(decoding: out, as: UTF8.self)
    }

    @Test func receivedField() throws {
        let recipient = EnvelopeRecipient(address: try #require(MailAddress(parsing: Array("b@y.example".utf8))))
        let text = received {
            $0.recipients = [recipient]
            $0.tls = TLSFacts(version: Array("TLSv1.3".utf8), cipher: Array("TLS_AES_256_GCM_SHA384".utf8))
        }
        #expect(
            text == """
                Received: from client??X:??y?.example (r.example [IPv6:2001:db8::9])\r
                \tby mx.example (Martlet) with ESMTPS\r
                \tid 0000000000011\r
                \t(version=TLSv1.3 cipher=TLS_AES_256_GCM_SHA384)\r
                \tfor <b@y.example>;\r
                \tThu, 01 Jan 1970 00:00:00 +0000\r\n
                """)
        #expect(!received { $0.recipients = [recipient, recipient] }.contains("for <"))
        #expect(received { $0.isESMTP = false }.contains(" with SMTP\r\n"))
        #expect(
            received {
                $0.smtpUTF8 = true; $0.identity = []
            }.contains(" with UTF8SMTPA\r\n"))
        #expect(received { $0.isLMTP = true }.contains(" with LMTP\r\n"))
        #expect(
            received {
                $0.isLMTP = true; $0.tls = TLSFacts(version: [], cipher: [])
            }.contains(" with LMTPS\r\n"))
        #expect(
            received {
                $0.isLMTP = true; $0.smtpUTF8 = true
            }.contains(" with UTF8LMTP\r\n"))
    }

    /// A Unix socket's client has no address to tell of.
    @Test func receivedFromASocket() {
        var envelope = Envelope(sender: nil)
        envelope.helo = Array("front.example".utf8)
        let field = Received(
            peer: SMTPPeer(address: []), reverseName: nil, hostname: Array("mx.example".utf8),
            software: Array("Martlet".utf8), id: MessageID(rawValue: 33), date: WallTime(seconds: 0))
        var out: [UInt8] = []
        field.append(for: envelope, to: &out)
        #expect(out.starts(with: Array("Received: from front.example\r\n\tby mx.example (".utf8)))
    }

    @Test(arguments: [1, 2, 3, 7, 1000])
    func scannerSeesTheSameInAnyPieces(_ size: Int) {
        let message = Array(
            "Received: a\r\n b\r\nX-Received: no\r\nreceived: c\r\nReceived : d\r\nSubject: ñ\r\n\r\nReceived: body\r\nlong line here is it"
                .utf8)
        var scanner = MessageScanner()
        var i = 0
        while i < message.count {
            let n = min(size, message.count - i)
            scanner.append(Array(message[i..<i + n]).span)
            i += n
        }
        #expect(scanner.facts.receivedCount == 2)
        #expect(scanner.facts.has8bit)
        #expect(scanner.facts.longestLine == 20)
        #expect(scanner.facts.headerOctets == UInt64(message.count - 36))
    }

    @Test func headerWalk() {
        let message = Array("From: a\r\nSubject : one\r\n\ttwo \r\nbroken line\r\nX:\r\n\r\nbody: x\r\n".utf8)
        var parser = HeaderParser()
        var found: [String] = []
        while let field = parser.next(in: message.span) {
            found.append(
                String(decoding: message[field.name], as: UTF8.self) + "="
                    + String(decoding: field.unfolded(in: message.span), as: UTF8.self))
        }
        #expect(found == ["From=a", "Subject=one\ttwo", "X="])
        #expect(parser.bodyStart == message.count - 9)
        #expect(HeaderParser().bodyStart == nil)
    }

    @Test func hopLimitAndHeaderLimit() throws {
        for (count, code) in [(99, "250"), (100, "554 5.4.6")] {
            let driver = SMTPTestDriver(configuration: try Transcript(parsing: "").configuration)
            driver.feed("EHLO a.example\r\nMAIL FROM:<>\r\nRCPT TO:<b@y.example>\r\nDATA\r\n")
            _ = driver.takeOutput()
            driver.feed(String(repeating: "Received: x\r\n", count: count) + "\r\n.\r\n")
            #expect(String(decoding: driver.takeOutput(), as: UTF8.self).hasPrefix(code))
            #expect(driver.bodies.count == (count == 99 ? 1 : 0))
        }
        let driver = SMTPTestDriver(configuration: try Transcript(parsing: "@limit header 50").configuration)
        driver.feed("EHLO a.example\r\nMAIL FROM:<>\r\nRCPT TO:<b@y.example>\r\nDATA\r\n")
        _ = driver.takeOutput()
        driver.feed("Subject: " + String(repeating: "x", count: 60) + "\r\n\r\n.\r\n")
        #expect(String(decoding: driver.takeOutput(), as: UTF8.self).hasPrefix("552 5.3.4"))
        #expect(driver.sink.discards == 1)
    }

    @Test func manyLinesAreOneAppend() throws {
        let driver = SMTPTestDriver(configuration: try Transcript(parsing: "").configuration)
        driver.feed("EHLO a.example\r\nMAIL FROM:<>\r\nRCPT TO:<b@y.example>\r\nDATA\r\n")
        driver.feed(String(repeating: "a line of the message\r\n", count: 500) + ".\r\n")
        #expect(driver.sink.appends == 1)
        #expect(driver.envelopes.first?.actualSize == 11_500)
    }
}
