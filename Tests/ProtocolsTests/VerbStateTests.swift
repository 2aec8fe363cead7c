import Protocols
import TestKit
import Testing

/// Every verb in every state: the code of its reply. One row a verb, one column a state.
@Suite struct VerbStateTests {
    enum State: Int, CaseIterable, Sendable {
        case connected, ready, mail, recipient, chunk, tls, authenticated

        var isTLS: Bool { self == .tls || self == .authenticated }
    }

    static let rows: [(command: String, codes: [Int])] = [
        // connected, EHLO said, after MAIL, after RCPT, after a chunk, EHLO under TLS, authenticated
        ("EHLO a.example", [250, 250, 250, 250, 250, 250, 250]),
        ("HELO a.example", [250, 250, 250, 250, 250, 250, 250]),
        ("EHLO", [501, 501, 501, 501, 501, 501, 501]),
        ("MAIL FROM:<a@x.example>", [503, 530, 503, 503, 503, 530, 250]),
        ("RCPT TO:<a@x.example>", [503, 503, 250, 250, 503, 503, 503]),
        ("DATA", [503, 503, 503, 354, 503, 503, 503]),
        ("BDAT 0", [503, 503, 503, 250, 250, 503, 503]),
        ("BDAT 0 LAST", [503, 503, 503, 250, 250, 503, 503]),
        ("BDAT", [501, 501, 501, 501, 501, 501, 501]),
        ("RSET", [250, 250, 250, 250, 250, 250, 250]),
        ("RSET x", [501, 501, 501, 501, 501, 501, 501]),
        ("NOOP", [250, 250, 250, 250, 250, 250, 250]),
        ("NOOP x y", [250, 250, 250, 250, 250, 250, 250]),
        ("VRFY a", [252, 252, 252, 252, 252, 252, 252]),
        ("VRFY", [501, 501, 501, 501, 501, 501, 501]),
        ("EXPN a", [502, 502, 502, 502, 502, 502, 502]),
        ("HELP", [214, 214, 214, 214, 214, 214, 214]),
        ("QUIT", [221, 221, 221, 221, 221, 221, 221]),
        ("STARTTLS", [220, 220, 220, 220, 220, 503, 503]),
        ("STARTTLS x", [501, 501, 501, 501, 501, 503, 503]),
        ("AUTH PLAIN", [538, 538, 503, 503, 503, 334, 503]),
        ("AUTH PLAIN AGEAYg==", [538, 538, 503, 503, 503, 235, 503]),
        ("AUTH LOGIN", [538, 538, 503, 503, 503, 334, 503]),
        ("AUTH SCRAM-SHA-256", [538, 538, 503, 503, 503, 334, 503]),
        ("AUTH X", [538, 538, 503, 503, 503, 504, 503]),
        ("TURN", [502, 502, 502, 502, 502, 502, 502]),
        ("LHLO a.example", [500, 500, 500, 500, 500, 500, 500]),
        ("EHLOX a", [500, 500, 500, 500, 500, 500, 500]),
        ("", [500, 500, 500, 500, 500, 500, 500]),
        ("NO\u{0}OP", [500, 500, 500, 500, 500, 500, 500]),
        ("NOOP \u{1}", [500, 500, 500, 500, 500, 500, 500]),
    ]

    /// A submission listener; the transaction states are reached with a client that has authenticated.
    private func driver(in state: State) -> SMTPTestDriver {
        let configuration = SMTPSessionConfiguration(
            hostname: Array("mx.example".utf8), kind: .submission, offersTLS: true, offersAuth: true)
        let driver = SMTPTestDriver(configuration: configuration) { question in
            guard case .authenticate = question else { return .accepted }
            return .authenticated(identity: Array("a".utf8))
        }
        switch state {
        case .connected: break
        case .ready: driver.feed("EHLO a.example\r\n")
        case .tls, .authenticated, .mail, .recipient, .chunk:
            driver.feed("STARTTLS\r\n")
            driver.secure()
            driver.feed("EHLO a.example\r\n")
            if state != .tls { driver.feed("AUTH PLAIN AGEAYg==\r\n") }
            if state == .mail || state == .recipient || state == .chunk { driver.feed("MAIL FROM:<a@x.example>\r\n") }
            if state == .recipient || state == .chunk { driver.feed("RCPT TO:<b@y.example>\r\n") }
            if state == .chunk { driver.feed("BDAT 2\r\nab") }
        }
        _ = driver.takeOutput()
        return driver
    }

    @Test(arguments: rows.indices, State.allCases)
    func code(_ row: Int, _ state: State) {
        let (command, codes) = Self.rows[row]
        var wanted = codes[state.rawValue]
        // The transaction states are under TLS.
        if command.hasPrefix("STARTTLS"), state == .mail || state == .recipient || state == .chunk { wanted = 503 }
        let driver = driver(in: state)
        driver.feed(command + "\r\n")
        let replies = ChunkingVerifier.replies(driver.takeOutput())
        #expect(replies.count == 1)
        #expect(replies.first?.last?.hasPrefix("\(wanted)") == true, "\(command) in \(state): \(replies)")
    }

    /// RFC 2034 §4: every 2xx, 4xx and 5xx but the greeting's carries an enhanced code of the same class.
    @Test(arguments: rows.indices, State.allCases)
    func enhancedCode(_ row: Int, _ state: State) {
        let command = Self.rows[row].command
        let driver = driver(in: state)
        driver.feed(command + "\r\n")
        for line in ChunkingVerifier.replies(driver.takeOutput()).joined() {
            if line.hasPrefix("3")
                || (line.hasPrefix("250") && (command.hasPrefix("EHLO") || command.hasPrefix("HELO")))
            {
                continue
            }
            let fields = line.dropFirst(4).prefix { $0 != " " }.split(separator: ".")
            #expect(fields.count == 3 && fields[0] == line.prefix(1), "\(line)")
        }
    }

    /// RFC 3207 §4: before TLS a listener that requires it does next to nothing.
    @Test(arguments: rows.indices)
    func requiresTLS(_ row: Int) {
        let command = Self.rows[row].command
        let configuration = SMTPSessionConfiguration(
            hostname: Array("mx.example".utf8), kind: .submission, offersTLS: true, requiresTLS: true, offersAuth: true)
        let driver = SMTPTestDriver(configuration: configuration)
        driver.feed("EHLO a.example\r\n")
        _ = driver.takeOutput()
        driver.feed(command + "\r\n")
        let code = ChunkingVerifier.replies(driver.takeOutput()).first?.last?.prefix(3)
        let free = ["EHLO", "HELO", "NOOP", "QUIT", "STARTTLS", "HELP"].contains { command.hasPrefix($0) }
        if !free, Self.rows[row].codes[0] != 500, command != "BDAT" { #expect(code == "530", "\(command)") }
        if free { #expect(code != "530", "\(command)") }
    }

    @Test func staleTicketsAreIgnored() {
        let configuration = SMTPSessionConfiguration(hostname: Array("mx.example".utf8))
        let driver = SMTPTestDriver(configuration: configuration, order: .oldestFirst)
        driver.feed("EHLO a.example\r\nMAIL FROM:<a@x.example>\r\n")
        _ = driver.takeOutput()
        driver.session.resume(Ticket(value: 99), with: .accepted)
        let hasOutput = driver.session.hasOutput
        #expect(!hasOutput)
        driver.session.resume(Ticket(value: 1), with: .accepted)
        driver.session.resume(Ticket(value: 1), with: .refused(Reply(550, nil, "no")))
        let out = driver.session.takeOutput()
        #expect(out == Array("250 2.1.0 Ok\r\n".utf8))
    }

    @Test func repliesAreSafe() {
        var out: [UInt8] = []
        Reply(550, EnhancedStatus(5, 7, 1), "one\r\n250 two\u{0}é\nthree").append(to: &out)
        #expect(out == Array("550-5.7.1 one?\r\n550-5.7.1 250 two???\r\n550 5.7.1 three\r\n".utf8))
    }
}
