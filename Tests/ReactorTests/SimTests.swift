import Base
import CEpoll
import Reactor
import TestKit
import Testing

/// A reactor on a simulated network and clock.
struct Sim {
    let network = SimNetwork()
    let time = SimTime()
    let io: SimBackend
    let reactor: Reactor
    let port: UInt16

    init(_ limits: ReactorLimits = small(), _ driver: @escaping (Connection) -> (any ConnectionDriver)?) throws {
        io = SimBackend(network: network)
        reactor = Reactor(io: io, time: time, limits: limits)
        port = try reactor.listen(.inet(loopback), overflowReply: Array("421 busy\r\n".utf8), makeDriver: driver).port
    }

    func turns(_ n: Int = 4) { for _ in 0..<n { reactor.turn() } }
    func pass(_ seconds: Double) {
        time.advance(seconds: seconds)
        turns()
    }
}

@Suite struct SimTests {
    @Test(arguments: [1, 2, 7, 100_000]) func echoesInPiecesOfAnySize(_ size: Int) throws {
        let sim = try Sim { _ in echo() }
        let peer = try #require(sim.network.dial(port: sim.port))
        peer.slowReads(size)
        let sent = (0..<500).map { UInt8(truncatingIfNeeded: $0) }
        peer.send(sent)
        sim.turns(600)
        #expect(peer.receive() == sent)
    }

    /// A flood is turned away a few at a time, so that others are served between; who is let in comes in at once.
    @Test func aTurnRefusesFew() throws {
        var isFull = true
        let sim = try Sim { c in
            guard isFull else { return echo() }
            c.refusal = Array("421 no\r\n".utf8)
            return nil
        }
        let few = UInt64(small().refusalsPerEvent)
        for _ in 0..<20 { _ = try #require(sim.network.dial(port: sim.port)) }
        sim.turns(1)
        #expect(sim.reactor.statistics.refused == few)
        sim.turns(10)
        #expect(sim.reactor.statistics.refused == 20)
        isFull = false
        for _ in 0..<20 { _ = try #require(sim.network.dial(port: sim.port)) }
        sim.turns(1)
        #expect(sim.reactor.statistics.accepted == 20)
    }

    @Test func writesOnceATurnAndWaitsWhenThePeerIsFull() throws {
        let server = Recorder()
        server.onOpened = { c in for _ in 0..<100 { c.write(ascii: "0123456789") } }
        let sim = try Sim { _ in server }
        let peer = try #require(sim.network.dial(port: sim.port))
        peer.narrow(600)
        sim.turns(1)
        #expect(sim.io.calls["write"] == 1)
        #expect(server.connection?.pendingOutput == 400)
        #expect(server.drains == 0)
        sim.turns(3)
        #expect(sim.io.calls["write"] == 1)
        #expect(peer.receive().count == 600)
        sim.turns(3)
        #expect(peer.receive().count == 400)
        #expect(server.drains == 1)
    }

    @Test func backPressureStopsReading() throws {
        var limits = small()
        limits.outputHighWater = 1_000
        let server = echo()
        let sim = try Sim(limits) { _ in server }
        let peer = try #require(sim.network.dial(port: sim.port))
        peer.slowReads(500)
        peer.narrow(0)
        peer.send([UInt8](repeating: 1, count: 10_000))
        sim.turns(50)
        #expect(server.bytes.count == 1_000)
        peer.narrow(.max)
        sim.turns(100)
        #expect(peer.receive().count == 10_000)
    }

    @Test func inputLimitStopsReading() throws {
        var limits = small()
        limits.inputBytesMax = 1_000
        let server = Recorder()
        server.onReceived = { _, _ in 0 }
        let sim = try Sim(limits) { _ in server }
        let peer = try #require(sim.network.dial(port: sim.port))
        peer.send([UInt8](repeating: 1, count: 5_000))
        sim.turns(20)
        #expect(server.connection?.bufferedInput == 1_000)
        server.onReceived = { _, _ in nil }
        server.connection?.offerInput()
        sim.turns(20)
        #expect(server.bytes.count == 5_000)
    }

    @Test func resetIsTold() throws {
        let server = echo()
        let sim = try Sim { _ in server }
        let peer = try #require(sim.network.dial(port: sim.port))
        sim.turns()
        peer.reset()
        sim.turns()
        #expect(server.ends == [.reset(ECONNRESET)])
        #expect(sim.io.openSockets == 0)
    }

    @Test func resetWhilePausedDoesNotSpin() throws {
        let server = Recorder()
        server.onOpened = { $0.pauseReading() }
        let sim = try Sim { _ in server }
        let peer = try #require(sim.network.dial(port: sim.port))
        sim.turns()
        peer.reset()
        sim.turns()
        #expect(server.ends == [.reset(ECONNRESET)])
    }

    /// `close` inside a callback frees nothing there, `closed` comes once, and the token finds nothing afterwards.
    @Test func closeIsDeferredAndTokensGoStale() throws {
        var seen: [String] = []
        var reactor: Reactor?
        let server = Recorder()
        server.onReceived = { c, _ in
            c.close()
            c.close(.timedOut)
            c.write(ascii: "lost")
            seen.append("ends: \(server.ends.count), known: \(reactor?.connection(for: c.token) === c)")
            return nil
        }
        let sim = try Sim { _ in server }
        reactor = sim.reactor
        let peer = try #require(sim.network.dial(port: sim.port))
        sim.turns()
        let token = try #require(server.connection?.token)
        peer.send("x")
        peer.send("y")
        sim.turns()
        #expect(seen == ["ends: 0, known: true"])
        #expect(server.ends == [.local])
        #expect(sim.reactor.connection(for: token) == nil)
        _ = sim.network.dial(port: sim.port)
        sim.turns()
        let reused = try #require(server.connection?.token)
        #expect(reused.slot == token.slot)
        #expect(reused.generation != token.generation)
        #expect(sim.reactor.connection(for: token) == nil)
        #expect(peer.receiveText() == "")
    }

    @Test func deadlineMovesAndFires() throws {
        let server = Recorder()
        server.onOpened = { $0.setDeadline(afterSeconds: 10) }
        let sim = try Sim { _ in server }
        _ = sim.network.dial(port: sim.port)
        sim.turns()
        sim.pass(8)
        server.connection?.setDeadline(afterSeconds: 10)
        sim.pass(8)
        #expect(server.timeouts == 0)
        server.connection?.setDeadline(afterSeconds: 1)
        sim.pass(1.1)
        #expect(server.timeouts == 1)
        #expect(server.ends == [.timedOut])
    }

    @Test func clearedDeadlineDoesNotFire() throws {
        let server = Recorder()
        server.onOpened = { $0.setDeadline(afterSeconds: 10) }
        let sim = try Sim { _ in server }
        _ = sim.network.dial(port: sim.port)
        sim.turns()
        server.connection?.clearDeadline()
        sim.pass(100)
        #expect(server.timeouts == 0)
        #expect(server.ends.isEmpty)
    }

    /// A peer that never takes our last words does not hold the slot.
    @Test func flushBeforeCloseIsBounded() throws {
        let server = Recorder()
        server.onOpened = { c in
            c.write(ascii: "bye")
            c.closeAfterFlush()
        }
        let sim = try Sim { _ in server }
        let peer = try #require(sim.network.dial(port: sim.port))
        peer.narrow(0)
        sim.pass(1)
        #expect(server.ends.isEmpty)
        sim.pass(10)
        #expect(server.ends == [.timedOut])
    }

    @Test func ownerTimersFireOnceAndCancel() throws {
        let sim = try Sim { _ in nil }
        var fired: [Int] = []
        sim.reactor.after(1) { fired.append(1) }
        let second = sim.reactor.after(2) { fired.append(2) }
        sim.reactor.after(500) { fired.append(3) }
        sim.pass(1.1)
        sim.reactor.cancel(second)
        sim.pass(10)
        #expect(fired == [1])
        sim.pass(480)
        #expect(fired == [1])
        sim.pass(10)
        #expect(fired == [1, 3])
        sim.reactor.cancel(second)
        #expect(fired == [1, 3])
    }

    @Test(arguments: [EMFILE, ENFILE]) func descriptorShortageRefusesOnePausesAndResumes(_ code: Int32) throws {
        let sim = try Sim { _ in echo() }
        sim.io.acceptFailures = [code]
        let first = try #require(sim.network.dial(port: sim.port))
        let second = try #require(sim.network.dial(port: sim.port))
        sim.turns(10)
        #expect(first.receiveText() == "421 busy\r\n")
        #expect(first.isEnded)
        #expect(sim.io.reserveReleases == 1)
        second.send("hello")
        sim.turns(10)
        #expect(second.receiveText() == "")
        sim.pass(1)
        sim.turns()
        #expect(second.receiveText() == "hello")
        #expect(sim.reactor.statistics.descriptorShortages == 1)
    }

    @Test func abortedConnectionsDoNotStopAccepting() throws {
        let sim = try Sim { _ in echo() }
        sim.io.acceptFailures = [ECONNABORTED, EINTR, EPROTO]
        let peer = try #require(sim.network.dial(port: sim.port))
        peer.send("hello")
        sim.turns(3)
        #expect(peer.receiveText() == "hello")
    }

    @Test func outputOverflowClosesTheConnection() throws {
        var limits = small()
        limits.outputBytesMax = 100
        let server = Recorder()
        server.onOpened = { $0.write([UInt8](repeating: 0, count: 101)) }
        let sim = try Sim(limits) { _ in server }
        _ = sim.network.dial(port: sim.port)
        sim.turns()
        #expect(server.ends == [.outputOverflow])
    }
}
