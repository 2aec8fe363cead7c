import Base
import Protocols
import TestKit
import Testing

/// Random octets, and random arrangements of what hurts: no trap, no more consumed than given, bounded output.
@Suite struct SMTPRandomTests {
    private static let pieces: [String] = [
        "EHLO a.example\r\n", "HELO b\r\n", "LHLO a.example\r\n", "MAIL FROM:<a@x.example>\r\n",
        "MAIL FROM:<> BODY=BINARYMIME SIZE=10\r\n",
        "RCPT TO:<b@y.example>\r\n", "RCPT TO:<no@y.example> NOTIFY=NEVER\r\n", "DATA\r\n", "BDAT 5\r\nabcde",
        "BDAT 3 LAST\r\nxyz", "BDAT 99999999999999999999\r\n", "BDAT 0 LAST\r\n", "RSET\r\n", "NOOP\r\n", "VRFY a\r\n",
        "STARTTLS\r\n", "AUTH PLAIN AGEAYg==\r\n", "AUTH LOGIN\r\n", "YQ==\r\n", "*\r\n", ".\r\n", "..\r\n",
        "\r\n.\r\n", "\n", "\r",
        "\u{0}", "Received: x\r\n", "\r\n", "Subject: y\r\n\r\n", "\r\n.\n", "ñ", "<>", "\"\\",
        String(repeating: "A", count: 600),
        "MAIL FROM:<@a,@b:\"x\\\"y\"@[IPv6:::1]> RET=FULL ENVID=+41\r\n", "QUIT\r\n", "GET / HTTP/1.1\r\n",
    ]

    private func run(_ seed: UInt64, _ next: (inout SeededRandom) -> [UInt8]) {
        var random = SeededRandom(seed: seed)
        var limits = SMTPLimits()
        limits.messageOctets = 2_000
        limits.drainOctets = 2_000
        limits.recipients = 5
        limits.errorWeight = 400
        let configuration = SMTPSessionConfiguration(
            hostname: Array("mx.example".utf8), kind: [.submission, .mx, .lmtp][Int(seed % 3)], limits: limits,
            offersTLS: true,
            offersAuth: true, requiresAuth: false)
        var coin = SeededRandom(seed: seed ^ 0xFFFF)
        let driver = SMTPTestDriver(configuration: configuration, order: .shuffled(seed: seed)) { question in
            if case .authenticate = question { return .authenticated(identity: []) }
            return coin.next() % 4 == 0 ? .refused(StandardReplies.localError) : .accepted
        }
        var given = 0
        for _ in 0..<300 where driver.close == nil {
            let piece = next(&random)
            given += piece.count
            driver.feed(piece)
            if random.next() % 5 == 0 { driver.settle() }
            if driver.wantsTLS { driver.secure() }
            #expect(driver.sink.current.count <= 2_000)
        }
        driver.settle()
        if random.next() % 2 == 0 { driver.timeOut() }
        #expect(driver.consumedWithinBounds)
        // The longest reply is EHLO's, to a command of at least seven octets.
        #expect(driver.output.count <= 1_000 + given * 60)
        #expect(driver.bodies.count == driver.envelopes.count)
        for reply in ChunkingVerifier.replies(driver.output).joined() {
            #expect(reply.utf8.count <= 510 && reply.utf8.first.map { $0 >= 0x32 && $0 <= 0x35 } == true, "\(reply)")
        }
    }

    @Test(arguments: 0..<60)
    func arrangements(_ seed: UInt64) {
        run(seed) { random in Array(Self.pieces[Int(random.next() % UInt64(Self.pieces.count))].utf8) }
    }

    @Test(arguments: 100..<130)
    func octets(_ seed: UInt64) {
        run(seed) { random in (0..<Int(random.next() % 60)).map { _ in UInt8(truncatingIfNeeded: random.next()) } }
    }

    /// Likely conversations with one octet changed somewhere.
    @Test(arguments: 200..<260)
    func mutations(_ seed: UInt64) {
        var step = 0
        let script = [0, 2, 4, 5, 6, 25, 27, 21, 2, 4, 7, 8, 11, 13]
        run(seed) { random in
            var piece = Array(Self.pieces[script[step % script.count]].utf8)
            step += 1
            if random.next() % 6 == 0 {
                piece[Int(random.next() % UInt64(piece.count))] = UInt8(truncatingIfNeeded: random.next())
            }
            return piece
        }
    }
}
