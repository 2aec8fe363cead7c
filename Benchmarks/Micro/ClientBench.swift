import Base
import Protocols

/// The sender's state machine against canned replies.
enum ClientBench {
    static func run(_ seconds: Double) -> MicroResult {
        var options = SMTPClientSession.Options(name: Array("client.test".utf8))
        options.tls = .never
        var session = SMTPClientSession(options)
        drain(&session, Array("220 mx\r\n".utf8))
        drain(&session, Array("250-mx\r\n250 PIPELINING\r\n".utf8))
        let replies = Array("250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n354 go ahead\r\n".utf8)
        let final = Array("250 2.0.0 Ok: queued as 06FVH3M2J0000\r\n".utf8)
        let envelope = OutgoingEnvelope(
            sender: Array("load@client.test".utf8), recipients: [Array("u1@bench.test".utf8)], size: 4_096)
        return MicroResult.measure("client", "messages", seconds) {
            for _ in 0..<100 {
                session.submit(envelope)
                drain(&session, replies)
                session.bodyWritten()
                drain(&session, final)
            }
            return 100
        }
    }

    private static func drain(_ session: inout SMTPClientSession, _ bytes: [UInt8]) {
        _ = session.receive(bytes.span)
        while let effect = session.nextEffect() {
            if case .failed(let failure) = effect { preconditionFailure("the canned conversation failed: \(failure)") }
        }
        session.output.removeAll(keepingCapacity: true)
    }
}
