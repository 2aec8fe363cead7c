import CEpoll
import Foundation
import Reactor
import TestKit
import Testing

/// The peer's end is noticed while nothing is read, and only by who asked for it.
@Suite struct PausedEndTests {
    /// Takes the first octet, then pauses and looks for the end.
    private func holding() -> Recorder {
        let server = Recorder()
        server.onReceived = { c, _ in
            c.pauseReading()
            c.watchForEnd(true)
            return 1
        }
        return server
    }

    private func turns(_ reactor: Reactor, _ n: Int = 5) {
        for _ in 0..<n {
            let tick = reactor.after(0) {}
            reactor.turn()
            reactor.cancel(tick)
        }
    }

    // MARK: Simulated

    /// With more behind the first octet, or nothing; before the pause, or after it.
    @Test(arguments: [("a", ""), ("ab", ""), ("a", "b"), ("ab", "c")])
    func isToldOnceAndNothingIsRead(_ first: String, _ later: String) throws {
        let server = holding()
        let sim = try Sim { _ in server }
        let peer = try #require(sim.network.dial(port: sim.port))
        peer.send(first)
        sim.turns()
        #expect(server.calls == 1)
        peer.send(later)
        sim.turns()
        #expect(server.peerEnds == 0)
        let reads = sim.io.calls["read"]
        peer.shutdown()
        sim.turns(10)
        #expect(server.peerEnds == 1)
        #expect(server.ends.isEmpty)
        #expect(sim.io.calls["read"] == reads)
        // The driver goes on as if it had not been told.
        server.onReceived = { _, _ in nil }
        server.connection?.resumeReading()
        sim.turns()
        #expect(server.text == first + later)
        #expect(server.ends == [.peerClosed])
    }

    @Test func anEndTogetherWithTheInputIsTold() throws {
        let server = holding()
        let sim = try Sim { _ in server }
        let peer = try #require(sim.network.dial(port: sim.port))
        peer.send("ab")
        peer.shutdown()
        sim.turns()
        #expect(server.peerEnds == 1)
        #expect(server.text == "a")
    }

    /// What waits at the driver is full: the socket is watched for nothing but the end.
    @Test func inputDoesNotGrowMeanwhile() throws {
        var limits = small()
        limits.inputBytesMax = 1_000
        let server = holding()
        let sim = try Sim(limits) { _ in server }
        let peer = try #require(sim.network.dial(port: sim.port))
        peer.send([UInt8](repeating: 1, count: 5_000))
        sim.turns(10)
        let kept = try #require(server.connection?.bufferedInput)
        #expect(kept <= 1_000)
        peer.send([UInt8](repeating: 1, count: 50_000))
        sim.turns(10)
        #expect(server.connection?.bufferedInput == kept)
        #expect(server.calls == 1)
        peer.shutdown()
        sim.turns()
        #expect(server.peerEnds == 1)
    }

    @Test func whoDoesNotAskIsNotTold() throws {
        let server = holding()
        let sim = try Sim { _ in server }
        let peer = try #require(sim.network.dial(port: sim.port))
        peer.send("a")
        sim.turns()
        server.connection?.watchForEnd(false)
        peer.shutdown()
        sim.turns()
        #expect(server.peerEnds == 0)
        #expect(server.ends.isEmpty)
        // Asked again later, with the end there already.
        server.connection?.watchForEnd(true)
        sim.turns()
        #expect(server.peerEnds == 1)
    }

    @Test(arguments: ["", "b"]) func aResetClosesAtOnce(_ later: String) throws {
        let server = holding()
        let sim = try Sim { _ in server }
        let peer = try #require(sim.network.dial(port: sim.port))
        peer.send("a")
        sim.turns()
        peer.send(later)
        sim.turns()
        peer.reset()
        sim.turns()
        #expect(server.ends == [.reset(ECONNRESET)])
        #expect(sim.io.openSockets == 0)
    }

    /// It says its last word and closes; the slot and the descriptor are free then.
    @Test func theDriverMayCloseWhenTold() throws {
        let server = holding()
        server.onPeerEnded = { c in
            c.write(ascii: "bye")
            c.closeAfterFlush()
        }
        let sim = try Sim { _ in server }
        let peer = try #require(sim.network.dial(port: sim.port))
        peer.send("abc")
        sim.turns()
        peer.shutdown()
        sim.turns(10)
        #expect(peer.receiveText() == "bye")
        #expect(server.ends == [.local])
        #expect(sim.io.openSockets == 0)
        #expect(sim.reactor.connectionCount == 0)
    }

    // MARK: Real

    private enum Leaving: CaseIterable {
        /// FIN, both with and without more behind what was taken.
        case halfClose, halfCloseWithMore
        /// `close` with something unread, which resets.
        case reset
    }

    @Test(arguments: Leaving.allCases) private func realSockets(_ how: Leaving) throws {
        let reactor = try realReactor()
        let server = holding()
        server.onPeerEnded = { $0.closeAfterFlush() }
        let address = try reactor.listen(.inet(loopback)) { _ in server }
        let client = mt_socket(AF_INET, Int32(SOCK_STREAM.rawValue))
        defer { if how != .reset { _ = mt_close(client) } }
        _ = mt_set_blocking(client)
        var storage = sockaddr_storage()
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        name.sin_port = address.port.bigEndian
        name.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        withUnsafeMutableBytes(of: &storage) { $0.storeBytes(of: name, as: sockaddr_in.self) }
        try #require(mt_connect(client, &storage, UInt32(MemoryLayout<sockaddr_in>.size)) >= 0)
        let sent: [UInt8] = how == .halfClose ? [0x61] : [0x61, 0x62, 0x63]
        #expect(mt_send(client, sent, sent.count) == sent.count)
        turn(reactor, until: { server.calls == 1 })
        turns(reactor)
        #expect(server.peerEnds == 0)
        switch how {
        case .halfClose, .halfCloseWithMore: _ = mt_shutdown_write(client)
        case .reset:
            server.connection?.write(ascii: "unread")
            turns(reactor)
            _ = mt_close(client)
        }
        turn(reactor, until: { !server.ends.isEmpty })
        #expect(server.calls == 1)
        #expect(server.peerEnds == (how == .reset ? 0 : 1))
        #expect(reactor.connectionCount == 0)
        reactor.shutDown()
    }
}
