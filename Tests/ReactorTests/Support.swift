import Base
import CEpoll
import Foundation
import Handoff
import Reactor
import Testing

/// A driver that records what it is told and does what its closures say.
final class Recorder: ConnectionDriver {
    var connection: Connection?
    var bytes: [UInt8] = []
    var calls = 0
    var opened = 0
    var drains = 0
    var timeouts = 0
    var infos: [TLSInfo] = []
    var ends: [CloseReason] = []
    /// The peer's end was told while paused.
    var peerEnds = 0
    /// What the connection knew of its session at the end.
    var lastInfo: TLSInfo?
    var onOpened: (Connection) -> Void = { _ in }
    var onSecured: (Connection) -> Void = { _ in }
    /// Returns how much to consume; nil is everything.
    var onReceived: (Connection, [UInt8]) -> Int? = { _, _ in nil }
    var onDrained: (Connection) -> Void = { _ in }
    var onTimedOut: (Connection) -> Void = { $0.close(.timedOut) }
    var onPeerEnded: (Connection) -> Void = { _ in }

    func opened(_ c: Connection) {
        connection = c
        opened += 1
        onOpened(c)
    }
    func secured(_ c: Connection, _ info: TLSInfo) {
        infos.append(info)
        onSecured(c)
    }
    func received(_ c: Connection, _ span: Span<UInt8>) -> Int {
        let all = [UInt8](span)
        calls += 1
        let consumed = onReceived(c, all) ?? all.count
        bytes += all[0..<consumed]
        return consumed
    }
    func peerEnded(_ c: Connection) {
        peerEnds += 1
        onPeerEnded(c)
    }
    func drained(_ c: Connection) {
        drains += 1
        onDrained(c)
    }
    func timedOut(_ c: Connection) {
        timeouts += 1
        onTimedOut(c)
    }
    func closed(_ c: Connection, _ reason: CloseReason) {
        ends.append(reason)
        lastInfo = c.tlsInfo
        connection = nil
    }

    var text: String { String(decoding: bytes, as: UTF8.self) }
}

/// Sends everything back.
func echo() -> Recorder {
    let r = Recorder()
    r.onReceived = { c, bytes in
        c.write(bytes)
        return nil
    }
    return r
}

let loopback = SocketAddress(ip: "127.0.0.1", port: 0)!

func realReactor(_ limits: ReactorLimits = small()) throws -> Reactor {
    Reactor(io: try EpollBackend(), time: SystemTime(), limits: limits)
}

func small() -> ReactorLimits {
    var limits = ReactorLimits()
    limits.connections = 64
    limits.mailboxCapacity = 64
    return limits
}

/// Turns until `done`; fails after 10 s of nothing. Timers keep `turn` from waiting for ever.
func turn(_ reactor: Reactor, until done: () -> Bool, _ here: SourceLocation = #_sourceLocation) {
    let end = mt_monotonic_ns() + 10_000_000_000
    while !done() {
        if mt_monotonic_ns() > end {
            Issue.record("did not happen within 10 s", sourceLocation: here)
            return
        }
        let tick = reactor.after(0.05) {}
        reactor.turn()
        reactor.cancel(tick)
    }
}

/// A server and a client end in one reactor, over loopback.
func pair(
    _ reactor: Reactor, server: Recorder, client: Recorder
) throws {
    let address = try reactor.listen(.inet(loopback)) { _ in server }
    #expect(reactor.connect(.inet(address), driver: client) != nil)
}
