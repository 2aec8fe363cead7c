import Base
import Handoff
import Reactor

/// Full handshakes, both ends on one reactor over loopback.
enum TLSBench {
    /// Counts handshakes; a client of it closes and comes again.
    private final class Peer: ConnectionDriver {
        unowned let bench: Loop
        let isClient: Bool

        init(_ bench: Loop, isClient: Bool) {
            self.bench = bench
            self.isClient = isClient
        }

        func opened(_ c: Connection) {
            if isClient {
                c.startTLSClient(bench.client, serverName: nil)
            } else {
                c.startTLSServer(bench.server)
            }
        }

        func secured(_ c: Connection, _ info: TLSInfo) {
            guard isClient else { return }
            bench.handshakes += 1
            c.close()
        }

        func received(_ c: Connection, _ bytes: Span<UInt8>) -> Int { bytes.count }

        func closed(_ c: Connection, _ reason: CloseReason) {
            if isClient { bench.connect() }
        }
    }

    private final class Loop {
        let reactor: Reactor
        let server: TLSContext
        let client: TLSContext
        var target = SocketAddress()
        var handshakes = 0

        init(_ certificate: String, _ key: String) throws {
            let identity = TLSIdentity(names: [], keyPairs: [TLSKeyPair(chainPath: certificate, keyPath: key)])
            server = try TLSContext(server: TLSServerOptions(identities: [identity]))
            client = try TLSContext(client: TLSClientOptions())
            reactor = Reactor(io: try EpollBackend(), time: SystemTime())
            target = try reactor.listen(.inet(SocketAddress(bytes: [127, 0, 0, 1], port: 0))) { [unowned self] _ in
                Peer(self, isClient: false)
            }
        }

        func connect() { reactor.connect(.inet(target), driver: Peer(self, isClient: true)) }
    }

    static func run(_ seconds: Double, _ certificate: String, _ key: String) throws -> MicroResult {
        let loop = try Loop(certificate, key)
        for _ in 0..<8 { loop.connect() }
        return MicroResult.measure("tls", "handshakes, both ends,", seconds) {
            let before = loop.handshakes
            while loop.handshakes < before + 10 { loop.reactor.turn() }
            return Double(loop.handshakes - before)
        }
    }
}
