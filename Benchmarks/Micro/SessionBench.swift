import Base
import Protocols

/// The receiver's state machine on a canned, pipelined conversation: parsing, replies, unstuffing; no I/O.
enum SessionBench {
    private struct CountingSink: BodySink {
        var octets = 0
        var stored = 0
        mutating func begin() { octets = 0 }
        mutating func append(_ bytes: Span<UInt8>) { octets += bytes.count }
        mutating func discard() {}
    }

    static func run(_ seconds: Double) -> MicroResult {
        let configuration = SMTPSessionConfiguration(hostname: Array("mx.bench.invalid".utf8))
        let line = String(repeating: "x", count: 76) + "\r\n"
        let text = "MAIL FROM:<load@client.test> SIZE=4096\r\nRCPT TO:<u1@bench.test>\r\nDATA\r\n"
        let commands = Array(text.utf8)
        let body = Array((String(repeating: line, count: 52) + ".\r\n").utf8)
        var session = SMTPSession(
            configuration: configuration, peer: SMTPPeer(address: Array("127.0.0.1".utf8)), now: Instant(nanoseconds: 0)
        )
        var sink = CountingSink()
        var output: [UInt8] = []
        session.start()
        give(Array("EHLO client.test\r\n".utf8), &session, &sink, &output)
        return MicroResult.measure("session", "messages of 4 KiB", seconds) {
            let before = sink.stored
            for _ in 0..<100 {
                give(commands, &session, &sink, &output)
                give(body, &session, &sink, &output)
            }
            precondition(sink.stored == before + 100, "the canned conversation was refused")
            return 100
        }
    }

    private static func give(
        _ bytes: [UInt8], _ session: inout SMTPSession, _ sink: inout CountingSink, _ output: inout [UInt8]
    ) {
        var offset = 0
        while true {
            let n = session.receive(bytes.span.extracting(offset..<bytes.count), body: &sink)
            offset += n
            var hadEffect = false
            while let effect = session.nextEffect() {
                hadEffect = true
                guard case .ask(let question, let ticket) = effect else { continue }
                if case .submit = question {
                    sink.stored += 1
                    session.resume(ticket, with: .stored(MessageID(rawValue: 1)))
                } else {
                    session.resume(ticket, with: .accepted)
                }
            }
            output.removeAll(keepingCapacity: true)
            session.takeOutput(into: &output)
            if n == 0, !hadEffect { return }
        }
    }
}
