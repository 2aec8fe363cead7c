import Base
import Reactor
import Testing

/// TLS that begins behind something that was read in plaintext.
@Suite struct ImplicitTLSTests {
    private static let prefix = Array("PROXY UNKNOWN\r\n".utf8)

    /// The ClientHello stands in the segment of the header, and is not lost.
    @Test(arguments: [false, true]) func takesWhatStandsBehindTheHeader(_ inPieces: Bool) throws {
        let certificates = try Certificates()
        let context = try certificates.server()
        let other = try clientContext()
        let reactor = try realReactor()
        let server = echo()
        let client = Recorder()
        var behind = 0
        var isPlain = true
        server.onReceived = { c, bytes in
            guard isPlain else {
                c.write(bytes)
                return nil
            }
            // As a driver that reads on when more has come.
            guard bytes.count > (inPieces ? Self.prefix.count + 1 : 0) else { return 0 }
            isPlain = false
            behind = bytes.count - Self.prefix.count
            c.startImplicitTLSServer(context)
            return Self.prefix.count
        }
        client.onOpened = {
            $0.write(Self.prefix)
            $0.startTLSClient(other, serverName: "mx.example")
        }
        client.onSecured = { $0.write(ascii: "hello") }
        try pair(reactor, server: server, client: client)
        turn(reactor, until: { client.bytes.count == 5 || !client.ends.isEmpty || !server.ends.isEmpty })
        #expect(client.text == "hello")
        #expect(behind > 0, "nothing stood behind the header: the test shows nothing")
        #expect(server.infos.count == 1)
        #expect(server.connection?.discardedPlaintext == 0)
    }

    /// STARTTLS still forgets what was pipelined behind it.
    // RFC 3207 §4.2
    @Test func startTLSTakesNothing() throws {
        let certificates = try Certificates()
        let context = try certificates.server()
        let reactor = try realReactor()
        let server = Recorder()
        let client = Recorder()
        server.onReceived = { c, _ in
            if !c.isTLS { c.startTLSServer(context) }
            return 0
        }
        client.onOpened = { $0.write(ascii: "STARTTLS\r\nNOOP\r\n") }
        try pair(reactor, server: server, client: client)
        turn(reactor, until: { server.connection?.isTLS == true })
        #expect((server.connection?.discardedPlaintext ?? 0) > 0)
    }

    /// Something that is no ClientHello ends the connection, in pieces or at once.
    @Test(arguments: [10, 20_000]) func rubbishEndsTheConnection(_ count: Int) throws {
        let certificates = try Certificates()
        let context = try certificates.server()
        let reactor = try realReactor()
        let server = Recorder()
        let client = Recorder()
        server.onReceived = { c, bytes in
            guard !c.isTLS, bytes.count >= count else { return 0 }
            c.startImplicitTLSServer(context)
            return 0
        }
        client.onOpened = { $0.write([UInt8](repeating: 0x41, count: count)) }
        try pair(reactor, server: server, client: client)
        turn(reactor, until: { !server.ends.isEmpty })
        guard case .tlsFailed? = server.ends.first else {
            Issue.record("ended with \(server.ends)")
            return
        }
    }
}
