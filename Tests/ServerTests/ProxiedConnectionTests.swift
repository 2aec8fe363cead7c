import Base
import Protocols
import Reactor
import Server
import TestKit
import Testing

/// A listener behind a proxy, on a simulated network; the client's driver is played by the test.
@Suite struct ProxiedConnectionTests {
    /// What the client's driver sees.
    final class Client: ConnectionDriver {
        var origin: ProxyHeader.Origin?
        var opened = 0
        var bytes: [UInt8] = []
        var isClosed = false

        func opened(_ c: Connection) {
            opened += 1
            c.write(ascii: "220 ready\r\n")
        }

        func received(_ c: Connection, _ span: Span<UInt8>) -> Int {
            bytes += [UInt8](span)
            return span.count
        }

        func closed(_ c: Connection, _ reason: CloseReason) { isClosed = true }
    }

    final class Setup {
        let network = SimNetwork()
        let time = SimTime()
        let reactor: Reactor
        let networks: ProxyNetworks
        let client = Client()
        var refusals: [ProxiedConnection.Refusal] = []
        private var port: UInt16 = 0
        static let said = Array("421 4.7.0 no, and why (0001)\r\n".utf8)

        init(_ proxies: [String] = ["192.0.2.0/24"]) throws {
            var limits = ReactorLimits()
            limits.connections = 16
            reactor = Reactor(io: SimBackend(network: network), time: time, limits: limits)
            networks = ProxyNetworks(proxies.compactMap { IPNetwork($0) })
            port = try reactor.listen(.inet(SocketAddress(bytes: [127, 0, 0, 1], port: 0))) { [unowned self] c in
                ProxiedConnection(
                    c, networks: networks,
                    refused: { [unowned self] _, kind, _ in
                        refusals.append(kind)
                        return Self.said
                    }
                ) { [unowned self] c, header in
                    client.origin = header.origin
                    return client
                }
            }.port
        }

        func dial(_ address: [UInt8] = [192, 0, 2, 9]) throws -> SimPeer {
            let peer = try #require(network.dial(port: port, from: SocketAddress(bytes: address, port: 50_000)))
            turns()
            return peer
        }

        func turns(_ n: Int = 6) { for _ in 0..<n { reactor.turn() } }
        func pass(_ seconds: Double) {
            time.advance(seconds: seconds)
            turns()
        }
    }

    private static let line = "PROXY TCP4 198.51.100.7 192.0.2.9 40000 25\r\n"
    private static let client = ProxyHeader.Origin.client(IPAddress(v4: 198, 51, 100, 7), port: 40_000)

    /// Whatever the pieces, the driver sees the client's octets and no other.
    @Test(arguments: [1, 2, 3, 7, 44, 45, 1_000]) func handsTheConnectionOn(_ size: Int) throws {
        let setup = try Setup()
        let peer = try setup.dial()
        #expect(setup.client.opened == 0)
        let all = Array((Self.line + "EHLO mail.example\r\n").utf8)
        for start in stride(from: 0, to: all.count, by: size) {
            peer.send(Array(all[start..<min(start + size, all.count)]))
            setup.turns(2)
        }
        setup.turns()
        #expect(setup.client.origin == Self.client)
        #expect(setup.client.opened == 1)
        #expect(setup.client.bytes == Array("EHLO mail.example\r\n".utf8))
        #expect(peer.receiveText() == "220 ready\r\n")
        #expect(setup.refusals.isEmpty)
    }

    @Test func greetsBeforeTheClientSpeaks() throws {
        let setup = try Setup()
        let peer = try setup.dial()
        peer.send(Self.line)
        setup.turns()
        #expect(peer.receiveText() == "220 ready\r\n")
        #expect(setup.client.bytes.isEmpty)
        // The wait for the header is over: the client's own time runs.
        setup.pass(60)
        #expect(!peer.isEnded)
        #expect(setup.refusals.isEmpty)
    }

    @Test func othersAreRefused() throws {
        let setup = try Setup()
        let peer = try setup.dial([198, 51, 100, 7])
        peer.send(Self.line)
        setup.turns()
        #expect(peer.receiveText().hasPrefix("421 4.7.0 "))
        setup.pass(10)
        #expect(peer.isEnded)
        #expect(setup.refusals == [.untrusted])
        #expect(setup.client.opened == 0)
    }

    @Test(arguments: ["EHLO mail.example\r\n", "PROXY TCP4 1.2.3.4\r\n"]) func noHeaderIsRefused(_ text: String) throws
    {
        let setup = try Setup()
        let peer = try setup.dial()
        peer.send(text)
        setup.turns()
        #expect(peer.receiveText().hasPrefix("421 4.7.0 "))
        #expect(setup.refusals == [.malformed])
        setup.pass(10)
        #expect(peer.isEnded)
        #expect(setup.client.opened == 0)
    }

    /// Octet after octet buys no time.
    @Test func theHeaderMustComeInTime() throws {
        let setup = try Setup()
        let peer = try setup.dial()
        for c in "PROX" {
            peer.send(String(c))
            setup.pass(1.2)
        }
        #expect(setup.refusals.isEmpty)
        setup.pass(1)
        #expect(setup.refusals == [.timeout])
        #expect(peer.receiveText().hasPrefix("421 4.7.0 "))
        #expect(setup.client.opened == 0)
    }

    @Test func aProxyThatLeavesCostsNothing() throws {
        let setup = try Setup()
        let peer = try setup.dial()
        peer.send("PROXY ")
        peer.shutdown()
        setup.turns()
        #expect(peer.isEnded)
        #expect(setup.client.opened == 0 && setup.refusals.isEmpty)
    }

    @Test func theProxyMaySpeakForItself() throws {
        let setup = try Setup()
        let peer = try setup.dial()
        peer.send("PROXY UNKNOWN\r\n")
        setup.turns()
        #expect(setup.client.origin == .proxy)
        #expect(setup.client.opened == 1)
    }

    @Test func whoIsBelievedChangesAtRunTime() throws {
        let setup = try Setup([])
        let first = try setup.dial()
        #expect(first.receiveText().hasPrefix("421 "))
        setup.networks.publish([try #require(IPNetwork("192.0.2.9"))])
        let second = try setup.dial()
        second.send(Self.line)
        setup.turns()
        #expect(second.receiveText() == "220 ready\r\n")
        setup.networks.publish([])
        let third = try setup.dial()
        #expect(third.receiveText().hasPrefix("421 "))
        // Who is in stays in.
        second.send("NOOP\r\n")
        setup.turns()
        #expect(setup.client.bytes == Array("NOOP\r\n".utf8))
    }

    @Test func aMappedAddressIsTheIPv4One() throws {
        let networks = ProxyNetworks([try #require(IPNetwork("192.0.2.0/24"))])
        #expect(networks.contains([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 192, 0, 2, 1]))
        #expect(!networks.contains([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 192, 0, 3, 1]))
        #expect(networks.contains([]), "a Unix socket has permissions")
    }
}
