import Base
import Protocols
import Testing

private struct Store: BodySink {
    var body: [UInt8] = []
    mutating func begin() { body = [] }
    mutating func append(_ bytes: Span<UInt8>) { for i in 0..<bytes.count { body.append(bytes[i]) } }
    mutating func discard() { body = [] }
}

/// Our two halves of SMTP, joined in memory: what one writes the other reads.
@Suite struct ClientAgainstServerTests {
    /// Sends `messages` over one connection in pieces of `piece` bytes; what the server stored.
    private func send(
        _ messages: [[UInt8]], piece: Int, _ change: (inout SMTPClientSession.Options) -> Void
    ) -> (stored: [[UInt8]], verdicts: [TransferOutcome.Verdict], closed: Bool) {
        var options = SMTPClientSession.Options(name: Array("client.example".utf8))
        options.tls = .never
        change(&options)
        var client = SMTPClientSession(options)
        var server = SMTPSession(
            configuration: SMTPSessionConfiguration(hostname: Array("mx.example".utf8)),
            peer: SMTPPeer(address: Array("192.0.2.1".utf8)), now: Instant(nanoseconds: 0))
        var sink = Store()
        var stored: [[UInt8]] = []
        var verdicts: [TransferOutcome.Verdict] = []
        var waiting = messages
        var toServer: [UInt8] = []
        var toClient: [UInt8] = []
        var closed = false
        server.start()
        for _ in 0..<200_000 where !closed {
            // The server's turn.
            let given = Array(toServer.prefix(piece))
            let n = server.receive(given.span, body: &sink)
            toServer.removeFirst(n)
            while let effect = server.nextEffect() {
                guard case .ask(let question, let ticket) = effect else { continue }
                if case .submit = question {
                    stored.append(sink.body)
                    server.resume(ticket, with: .stored(MessageID(rawValue: 1)))
                } else {
                    server.resume(ticket, with: .accepted)
                }
            }
            toClient += server.takeOutput()
            // A line longer than a piece must be offered whole in the end.
            if n == 0, !toServer.isEmpty {
                let rest = toServer
                let m = server.receive(rest.span, body: &sink)
                toServer.removeFirst(m)
            }
            // The client's turn.
            let heard = toClient
            let taken = client.receive(heard.span)
            toClient.removeFirst(taken)
            while let effect = client.nextEffect() {
                toServer += client.output
                client.output = []
                switch effect {
                case .ready:
                    guard let next = waiting.first else {
                        client.quit()
                        continue
                    }
                    let recipients = [Array("b@y.example".utf8), Array("c@y.example".utf8)]
                    client.submit(
                        OutgoingEnvelope(sender: Array("a@x.example".utf8), recipients: recipients, size: next.count))
                case .writeStuffedBody:
                    var stuffer = DotStuffer()
                    let text = waiting[0]
                    stuffer.append(text.span, to: &toServer)
                    stuffer.finish(to: &toServer)
                    client.bodyWritten()
                case .writeChunk(let range):
                    toServer += waiting[0][range]
                    client.bodyWritten()
                case .finished(let outcome):
                    waiting.removeFirst()
                    verdicts.append(outcome.verdict)
                case .close: closed = true
                case .greeted, .startTLS, .introduced, .senderAccepted, .recipientsAnswered, .failed: break
                }
            }
            toServer += client.output
            client.output = []
        }
        return (stored, verdicts, closed)
    }

    @Test(arguments: [1, 5, 64, 100_000], [(false, false), (true, false), (true, true), (false, true)])
    func everyMessageArrivesAsItWas(piece: Int, way: (pipelining: Bool, chunking: Bool)) {
        let texts = ["Subject: a\r\n\r\n.\r\n..b\r\n", "Subject: b\r\n\r\n", "Subject: c\r\n\r\n.c\r\nc.\r\n.\r\n"]
        let messages = texts.map { Array($0.utf8) }
        let result = send(messages, piece: piece) {
            $0.usesPipelining = way.pipelining
            $0.usesChunking = way.chunking
            $0.chunkBytesMaximum = 7
        }
        #expect(result.stored == messages)
        #expect(result.verdicts.count == 3)
        for verdict in result.verdicts {
            guard case .accepted = verdict else {
                Issue.record("\(verdict)")
                continue
            }
        }
        #expect(result.closed)
    }
}
