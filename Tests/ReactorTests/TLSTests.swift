import Base
import CEpoll
import Foundation
import Reactor
import TestKit
import Testing

/// Certificates of one test run, in a folder of its own.
final class Certificates {
    let folder = NSTemporaryDirectory() + "martlet-tls-\(UUID().uuidString)/"
    init() throws { try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true) }
    deinit { try? FileManager.default.removeItem(atPath: folder) }

    func pair(_ name: String, _ kind: SelfSigned.KeyKind = .ecdsaP256) throws -> TLSKeyPair {
        try SelfSigned.write(
            names: [name], kind: kind, certificatePath: folder + name + "-\(kind).pem",
            keyPath: folder + name + "-\(kind).key")
    }

    func server(_ change: (inout TLSServerOptions) -> Void = { _ in }) throws -> TLSContext {
        var options = TLSServerOptions(identities: [TLSIdentity(names: [], keyPairs: [try pair("mx.example")])])
        change(&options)
        return try TLSContext(server: options)
    }
}

func clientContext(_ change: (inout TLSClientOptions) -> Void = { _ in }) throws -> TLSContext {
    var options = TLSClientOptions()
    change(&options)
    return try TLSContext(client: options)
}

/// A TLS echo server and a client that says hello, over real sockets, implicit TLS.
struct Dialogue {
    let reactor: Reactor
    let server = echo()
    let client = Recorder()
    let address: SocketAddress

    init(
        _ serverContext: TLSContext, _ clientContext: TLSContext, name: String? = "mx.example",
        resume: TLSSession? = nil
    ) throws {
        reactor = try realReactor()
        server.onOpened = { $0.startTLSServer(serverContext) }
        client.onOpened = { $0.startTLSClient(clientContext, serverName: name, resume: resume) }
        client.onSecured = { $0.write(ascii: "hello") }
        let server = server
        address = try reactor.listen(.inet(loopback)) { _ in server }
        reactor.connect(.inet(address), driver: client)
    }

    func run() {
        turn(reactor, until: { client.bytes.count == 5 || !client.ends.isEmpty })
    }
}

@Suite struct TLSTests {
    /// A peer that says nothing in its handshake costs turns only when something happens.
    @Test func silentHandshakeDoesNotSpin() throws {
        let certificates = try Certificates()
        let reactor = try realReactor()
        let server = Recorder()
        let context = try certificates.server()
        server.onOpened = { $0.startTLSServer(context) }
        let address = try reactor.listen(.inet(loopback)) { _ in server }
        let silent = try RawSocket(port: address.port)
        turn(reactor, until: { server.connection != nil })
        let before = reactor.statistics.turns
        var isOver = false
        reactor.after(0.3) { isOver = true }
        while !isOver { reactor.turn() }
        #expect(reactor.statistics.turns - before < 50)
        withExtendedLifetime(silent) {}
    }

    @Test(arguments: [TLSVersion.tls12, .tls13]) func bothSidesAgree(_ version: TLSVersion) throws {
        let certificates = try Certificates()
        let d = try Dialogue(try certificates.server { $0.maximumVersion = version }, try clientContext())
        d.run()
        #expect(d.client.text == "hello")
        let info = try #require(d.server.infos.first)
        #expect(info.version == (version == .tls12 ? "TLSv1.2" : "TLSv1.3"))
        #expect(info.serverName == "mx.example")
        #expect(info.cipherBits >= 128)
        #expect(!info.resumed)
        #expect(info.group.lowercased() == "x25519")
        #expect(info.peerCertificate == nil)
        let seen = try #require(d.client.infos.first?.peerCertificate)
        #expect(seen.subject.contains("mx.example"))
        #expect(!seen.verified)
        #expect(d.client.infos.count == 1 && d.server.infos.count == 1)
        d.client.connection?.closeAfterFlush()
        turn(d.reactor, until: { !d.server.ends.isEmpty && !d.client.ends.isEmpty })
        #expect(d.server.ends == [.tlsClosed])
    }

    @Test func namesChooseTheCertificate() throws {
        let certificates = try Certificates()
        let context = try certificates.server { options in
            for name in ["one.example", "*.two.example"] {
                let pair = try! certificates.pair(name.replacingOccurrences(of: "*", with: "any"))
                options.identities.append(TLSIdentity(names: [name], keyPairs: [pair]))
            }
        }
        let expected = [
            "one.example": "one.example", "ONE.example": "one.example", "x.two.example": "any.two.example",
            "other.example": "mx.example",
        ]
        for (asked, shown) in expected {
            let d = try Dialogue(context, try clientContext(), name: asked)
            d.run()
            #expect(d.client.infos.first?.peerCertificate?.subject.hasSuffix("CN=" + shown) == true, "\(asked)")
            d.reactor.shutDown()
        }
        let nameless = try Dialogue(context, try clientContext(), name: nil)
        nameless.run()
        #expect(nameless.client.infos.first?.peerCertificate?.subject.contains("mx.example") == true)
        #expect(nameless.server.infos.first?.serverName == nil)
    }

    @Test(arguments: [("ECDHE+aRSA", "RSA"), ("ECDHE+aECDSA", "ECDSA")])
    func twoKindsOfKeySideBySide(_ ciphers: String, _ kind: String) throws {
        let certificates = try Certificates()
        let context = try certificates.server {
            $0.identities[0].keyPairs.append(try! certificates.pair("mx.example", .rsa2048))
            $0.maximumVersion = .tls12
        }
        let d = try Dialogue(context, try clientContext { $0.ciphers = ciphers })
        d.run()
        #expect(d.client.infos.first?.cipher.contains("-\(kind)-") == true)
    }

    @Test(arguments: [TLSVersion.tls12, .tls13]) func sessionsResume(_ version: TLSVersion) throws {
        let certificates = try Certificates()
        let context = try certificates.server { $0.maximumVersion = version }
        let first = try Dialogue(context, try clientContext())
        first.run()
        let session = try #require(first.client.connection?.tlsSession)
        let second = try Dialogue(context, try clientContext(), resume: session)
        second.run()
        #expect(second.client.text == "hello")
        #expect(second.server.infos.first?.resumed == true)
        #expect(second.client.infos.first?.resumed == true)
    }

    @Test(arguments: [TLSVersion.tls12, .tls13]) func ticketsCanBeSwitchedOff(_ version: TLSVersion) throws {
        let certificates = try Certificates()
        let context = try certificates.server {
            $0.sessionTickets = false
            $0.maximumVersion = version
        }
        let d = try Dialogue(context, try clientContext())
        d.run()
        #expect(d.client.text == "hello")
        if let session = d.client.connection?.tlsSession {
            let again = try Dialogue(context, try clientContext(), resume: session)
            again.run()
            #expect(again.server.infos.first?.resumed == false)
        }
    }

    @Test func versionsThatDoNotMeetFailWithAReason() throws {
        let certificates = try Certificates()
        let d = try Dialogue(
            try certificates.server { $0.minimumVersion = .tls13 }, try clientContext { $0.maximumVersion = .tls12 })
        turn(d.reactor, until: { !d.server.ends.isEmpty && !d.client.ends.isEmpty })
        guard case .tlsFailed(let reason) = d.server.ends[0] else { return #expect(Bool(false), "\(d.server.ends)") }
        #expect(reason.contains("protocol"))
        guard case .tlsFailed(let alert) = d.client.ends[0] else { return #expect(Bool(false), "\(d.client.ends)") }
        #expect(alert.contains("alert"))
        #expect(d.reactor.statistics.handshakesFailed == 2)
    }

    @Test func verificationAcceptsTheRightNameOnly() throws {
        let certificates = try Certificates()
        let context = try certificates.server()
        let roots = certificates.folder + "mx.example-ecdsaP256.pem"
        let client = try clientContext {
            $0.verifies = true
            $0.rootsPath = roots
        }
        let right = try Dialogue(context, client)
        right.run()
        #expect(right.client.infos.first?.peerCertificate?.verified == true)
        let wrong = try Dialogue(context, client, name: "other.example")
        wrong.run()
        #expect(wrong.client.ends == [.tlsUnverified(.nameMismatch, "hostname mismatch")])
        #expect(wrong.client.infos.isEmpty)
    }

    @Test(arguments: [TLSVersion.tls12, .tls13]) func bulkGoesBothWays(_ version: TLSVersion) throws {
        let certificates = try Certificates()
        let d = try Dialogue(try certificates.server { $0.maximumVersion = version }, try clientContext())
        let sent = (0..<2_000_000).map { UInt8(truncatingIfNeeded: $0 &* 13 &+ $0 >> 9) }
        d.client.onSecured = { $0.write(sent) }
        turn(d.reactor, until: { d.client.bytes.count == sent.count || !d.client.ends.isEmpty })
        #expect(d.client.bytes == sent)
    }

    @Test func missingAndMismatchedFilesAreNamed() throws {
        let certificates = try Certificates()
        let one = try certificates.pair("one.example")
        let two = try certificates.pair("two.example")
        for (chain, key) in [("/nonexistent.pem", one.keyPath), (one.chainPath, two.keyPath)] {
            let pairs = [TLSKeyPair(chainPath: chain, keyPath: key)]
            let error = #expect(throws: TLSError.self) {
                try TLSContext(server: TLSServerOptions(identities: [TLSIdentity(names: [], keyPairs: pairs)]))
            }
            #expect(error?.description.contains(chain == one.chainPath ? key : chain) == true)
        }
    }
}

/// STARTTLS and the ends of TLS streams, on the simulated network: TLS needs no socket.
@Suite struct TLSStreamTests {
    /// A server that upgrades on any input ending in LF, and a client reactor on the same network.
    struct Upgrade {
        let network = SimNetwork()
        let time = SimTime()
        let near: Reactor
        let far: Reactor
        let io: SimBackend
        let server = Recorder()
        let client = Recorder()
        let port: UInt16

        init(_ certificates: Certificates, injected: String = "") throws {
            let context = try certificates.server()
            let clientContext = try clientContext()
            io = SimBackend(network: network)
            near = Reactor(io: io, time: time, limits: small())
            far = Reactor(io: SimBackend(network: network), time: time, limits: small())
            let server = server
            port = try near.listen(.inet(loopback)) { _ in server }.port
            server.onReceived = { c, bytes in
                guard !c.isTLS else { return nil }
                guard let end = bytes.firstIndex(of: 10) else { return 0 }
                c.write(ascii: "220 go\r\n")
                c.startTLSServer(context)
                return end + 1
            }
            client.onOpened = { $0.write(Array(("STARTTLS\r\n" + injected).utf8)) }
            client.onReceived = { c, _ in
                if !c.isTLS { c.startTLSClient(clientContext, serverName: nil) }
                return nil
            }
            far.connect(.inet(SocketAddress(ip: "127.0.0.1", port: port)!), driver: client)
        }

        func turns(_ n: Int = 20) {
            for _ in 0..<n {
                near.turn()
                far.turn()
            }
        }
    }

    @Test func upgradeSendsTheReplyInPlaintextThenSecures() throws {
        let u = try Upgrade(try Certificates())
        u.client.onSecured = { $0.write(ascii: "EHLO x\r\n") }
        u.turns()
        #expect(u.client.text == "220 go\r\n")
        #expect(u.server.text == "STARTTLS\r\nEHLO x\r\n")
        #expect(u.server.infos.count == 1)
        #expect(u.server.connection?.discardedPlaintext == 0)
    }

    /// RFC 3207 §4.2: commands sent behind STARTTLS in plaintext are not seen as if they came inside TLS.
    @Test func injectedPlaintextIsDiscarded() throws {
        let u = try Upgrade(try Certificates(), injected: "RSET\r\n")
        u.client.onSecured = { $0.write(ascii: "EHLO x\r\n") }
        u.turns()
        #expect(u.server.text == "STARTTLS\r\nEHLO x\r\n")
        #expect(u.server.connection?.discardedPlaintext == 6)
        #expect(u.server.connection?.bufferedInput == 0)
    }

    @Test func plaintextInsteadOfAHandshakeFails() throws {
        let u = try Upgrade(try Certificates())
        let peer = try #require(u.network.dial(port: u.port))
        u.server.onOpened = { _ in }
        u.turns(2)
        peer.send("STARTTLS\n")
        u.turns(2)
        peer.send("MAIL FROM:<a@example>\r\n")
        u.turns(4)
        #expect(peer.receiveText().hasPrefix("220 go\r\n"))
        #expect(u.server.ends.contains { if case .tlsFailed = $0 { true } else { false } })
        #expect(!u.server.text.contains("MAIL"))
    }

    /// CVE-2026-45185's shape: after close_notify inside a body, nothing is read any more, least of all as plaintext.
    @Test func nothingIsReadAfterCloseNotify() throws {
        let u = try Upgrade(try Certificates())
        u.client.onSecured = { c in
            c.write(ascii: "BDAT 100 LAST\r\nhalf")
            c.closeAfterFlush()
        }
        u.turns()
        #expect(u.server.text.hasSuffix("half"))
        #expect(u.server.ends == [.tlsClosed])
        #expect(u.io.openSockets == 0)
    }

    /// A FIN without close_notify may be an attacker's.
    @Test func truncationIsTold() throws {
        let u = try Upgrade(try Certificates())
        u.client.onSecured = { $0.write(ascii: "half") }
        u.turns()
        u.client.connection?.close()
        u.turns()
        #expect(u.server.text.hasSuffix("half"))
        #expect(u.server.ends == [.tlsTruncated])
    }

    @Test func pausedSessionKeepsItsInputAndItsEnd() throws {
        let u = try Upgrade(try Certificates())
        u.client.onSecured = { $0.write(ascii: "first\r\n") }
        let inner = u.server.onReceived
        u.server.onReceived = { c, bytes in
            if c.isTLS { c.pauseReading() }
            return inner(c, bytes)
        }
        u.turns()
        u.client.connection?.write(ascii: "second\r\n")
        u.client.connection?.closeAfterFlush()
        u.turns()
        #expect(u.server.text == "STARTTLS\r\nfirst\r\n")
        #expect(u.server.ends.isEmpty)
        u.server.connection?.resumeReading()
        u.turns()
        #expect(u.server.text == "STARTTLS\r\nfirst\r\nsecond\r\n")
        u.server.connection?.resumeReading()
        u.turns()
        #expect(u.server.ends == [.tlsClosed])
    }

    @Test func idleSessionGivesItsPairBackAndGoesOn() throws {
        let u = try Upgrade(try Certificates())
        u.turns()
        #expect(u.near.livePairCount == 1)
        for _ in 0..<4 {
            u.time.advance(seconds: 1.1)
            u.turns(4)
        }
        #expect(u.near.livePairCount == 0)
        u.client.connection?.write(ascii: "still here")
        u.turns()
        #expect(u.server.text.hasSuffix("still here"))
        u.server.connection?.write(ascii: "me too")
        u.turns()
        #expect(u.client.text.hasSuffix("me too"))
        #expect(u.near.livePairCount == 1)
    }

    /// The engine's last flight, the tickets and the greeting leave in one write each: no stall on a delayed ACK.
    @Test func flightsAreNotSplit() throws {
        let network = SimNetwork()
        let time = SimTime()
        let io = SimBackend(network: network)
        let near = Reactor(io: io, time: time, limits: small())
        let far = Reactor(io: SimBackend(network: network), time: time, limits: small())
        let certificates = try Certificates()
        let context = try certificates.server()
        let clientTLS = try clientContext()
        let server = Recorder()
        server.onOpened = { $0.startTLSServer(context) }
        server.onSecured = { $0.write(ascii: "220 mx.example\r\n") }
        let port = try near.listen(.inet(loopback)) { _ in server }.port
        let client = Recorder()
        client.onOpened = { $0.startTLSClient(clientTLS, serverName: nil) }
        far.connect(.inet(SocketAddress(ip: "127.0.0.1", port: port)!), driver: client)
        for _ in 0..<20 {
            near.turn()
            far.turn()
        }
        #expect(client.text == "220 mx.example\r\n")
        #expect(io.calls["write"] == 2)
    }
}
