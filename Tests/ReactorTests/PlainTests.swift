import Base
import CEpoll
import Foundation
import Reactor
import Testing

@Suite struct PlainTests {
    @Test func echoesAMegabyteOverRealSockets() throws {
        let reactor = try realReactor()
        let server = echo()
        let client = Recorder()
        let sent = (0..<1_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
        client.onOpened = { $0.write(sent) }
        try pair(reactor, server: server, client: client)
        turn(reactor, until: { client.bytes.count == sent.count })
        #expect(client.bytes == sent)
        #expect(client.connection?.peer.isLoopback == true)
        client.connection?.closeAfterFlush()
        turn(reactor, until: { !client.ends.isEmpty && !server.ends.isEmpty })
        #expect(client.ends == [.local])
        #expect(server.ends == [.peerClosed])
        #expect(reactor.connectionCount == 0)
    }

    @Test func unconsumedInputIsKeptAndOfferedWithWhatFollows() throws {
        let reactor = try realReactor()
        let server = Recorder()
        server.onReceived = { _, bytes in bytes.count < 10 ? 0 : nil }
        let client = Recorder()
        client.onOpened = { $0.write(ascii: "01234") }
        try pair(reactor, server: server, client: client)
        turn(reactor, until: { server.calls == 1 })
        #expect(server.connection?.bufferedInput == 5)
        client.connection?.write(ascii: "56789")
        turn(reactor, until: { server.bytes.count == 10 })
        #expect(server.text == "0123456789")
        #expect(server.connection?.bufferedInput == 0)
        reactor.shutDown()
        #expect(server.ends == [.stopping])
    }

    @Test func pausedDriverIsLeftAloneAndServedOnResume() throws {
        let reactor = try realReactor()
        let server = Recorder()
        server.onReceived = { c, _ in
            c.pauseReading()
            return 1
        }
        let client = Recorder()
        client.onOpened = { c in
            c.write(ascii: "abc")
            c.closeAfterFlush()
        }
        try pair(reactor, server: server, client: client)
        turn(reactor, until: { server.calls == 1 && !client.ends.isEmpty })
        for _ in 0..<5 {
            let tick = reactor.after(0) {}
            reactor.turn()
            reactor.cancel(tick)
        }
        #expect(server.calls == 1)
        #expect(server.ends.isEmpty)
        server.connection?.resumeReading()
        turn(reactor, until: { server.calls == 2 })
        server.connection?.resumeReading()
        turn(reactor, until: { server.calls == 3 })
        server.connection?.resumeReading()
        turn(reactor, until: { !server.ends.isEmpty })
        #expect(server.text == "abc")
        #expect(server.ends == [.peerClosed])
    }

    /// The half-closed peer still gets its replies.
    @Test func replyReachesAPeerThatShutItsSide() throws {
        let reactor = try realReactor()
        let server = echo()
        let address = try reactor.listen(.inet(loopback)) { _ in server }
        let fd = try RawSocket(port: address.port)
        fd.send("QUIT\r\n")
        fd.shutdown()
        turn(reactor, until: { !server.ends.isEmpty })
        #expect(fd.readAll() == "QUIT\r\n")
        #expect(server.ends == [.peerClosed])
    }

    /// Unread input at a close makes the system send a reset, which would throw away our last words.
    @Test func lastReplySurvivesUnreadInput() throws {
        let reactor = try realReactor()
        let server = Recorder()
        server.onReceived = { c, bytes in
            c.write(ascii: "554 no\r\n")
            c.closeAfterFlush()
            return bytes.count
        }
        let address = try reactor.listen(.inet(loopback)) { _ in server }
        let fd = try RawSocket(port: address.port)
        fd.send(String(repeating: "x", count: 300_000))
        turn(reactor, until: { reactor.statistics.bytesWritten > 0 })
        fd.shutdown()
        turn(reactor, until: { !server.ends.isEmpty })
        #expect(fd.readAll() == "554 no\r\n")
    }

    @Test func refusedConnectIsTold() throws {
        let reactor = try realReactor()
        let address = try reactor.listen(.inet(loopback)) { _ in nil }
        reactor.stopListening()
        let client = Recorder()
        reactor.connect(.inet(address), driver: client)
        turn(reactor, until: { !client.ends.isEmpty })
        #expect(client.ends == [.connectFailed(ECONNREFUSED)])
        #expect(client.opened == 0)
    }

    @Test func connectsFromAChosenSource() throws {
        let reactor = try realReactor()
        let server = Recorder()
        let address = try reactor.listen(.inet(loopback)) { _ in server }
        let client = Recorder()
        reactor.connect(.inet(address), from: SocketAddress(ip: "127.0.0.9", port: 0), driver: client)
        turn(reactor, until: { server.opened == 1 && client.opened == 1 })
        #expect(server.connection?.peer.ipText == "127.0.0.9")
        #expect(client.connection?.local.ipText == "127.0.0.9")
        reactor.shutDown()
    }

    @Test func unixListenerIsPrivateAndKnowsItsPeer() throws {
        let path = NSTemporaryDirectory() + "martlet-\(UUID().uuidString).sock"
        defer { unlink(path) }
        let reactor = try realReactor()
        let server = echo()
        try reactor.listen(.unix(path: path)) { _ in server }
        let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
        #expect(mode == 0o600)
        let client = Recorder()
        client.onOpened = { $0.write(ascii: "hello") }
        reactor.connect(.unix(path: path), driver: client)
        turn(reactor, until: { client.bytes.count == 5 })
        #expect(server.connection?.peerUserID == getuid())
        reactor.shutDown()
    }

    @Test func fullTableRefusesWithAReply() throws {
        var limits = small()
        limits.connections = 1
        let reactor = try realReactor(limits)
        let server = Recorder()
        let address = try reactor.listen(.inet(loopback), overflowReply: Array("421 busy\r\n".utf8)) { _ in server }
        let first = try RawSocket(port: address.port)
        let second = try RawSocket(port: address.port)
        turn(reactor, until: { reactor.statistics.refused == 1 })
        #expect(second.readAll() == "421 busy\r\n")
        #expect(reactor.statistics.accepted == 1)
        #expect(reactor.connect(.inet(address), driver: Recorder()) == nil)
        _ = first
        reactor.shutDown()
    }

    @Test func runEndsOnStopAndJobsRunInOrder() throws {
        let reactor = try realReactor()
        var order: [Int] = []
        let box = Box()
        #expect(reactor.handle.post { _ in box.values.append(1) })
        #expect(reactor.handle.post { _ in box.values.append(2) })
        #expect(reactor.handle.post { $0.handle.stop() })
        reactor.run()
        order = box.values
        #expect(order == [1, 2])
    }

    /// What is left for after the flush comes behind every job of the turn, in order, and still in that turn.
    @Test func whatWaitsForTheFlushEndsTheTurn() throws {
        let reactor = try realReactor()
        let box = Box()
        #expect(reactor.handle.post { $0.afterFlush { _ in box.values.append(3) } })
        #expect(reactor.handle.post { _ in box.values.append(1) })
        #expect(
            reactor.handle.post {
                box.values.append(2)
                $0.afterFlush { _ in box.values.append(4) }
            })
        reactor.turn()
        #expect(box.values == [1, 2, 3, 4])
        #expect(reactor.handle.post { _ in box.values.append(5) })
        reactor.turn()
        #expect(box.values == [1, 2, 3, 4, 5])
    }
}

/// Touched on one thread only, in tests.
// Safety: each test runs its reactor on the thread that reads the box.
final class Box: @unchecked Sendable {
    var values: [Int] = []
}

/// A blocking client socket.
final class RawSocket {
    let fd: Int32
    init(port: UInt16) throws {
        fd = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var a = sockaddr_in()
        a.sin_family = sa_family_t(AF_INET)
        a.sin_port = port.bigEndian
        a.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let status = withUnsafePointer(to: &a) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(fd, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        try #require(status == 0)
    }
    deinit { close(fd) }
    func send(_ text: String) {
        let bytes = Array(text.utf8)
        #expect(write(fd, bytes, bytes.count) == bytes.count)
    }
    func send(_ bytes: [UInt8]) { #expect(write(fd, bytes, bytes.count) == bytes.count) }
    func shutdown() { Glibc.shutdown(fd, Int32(SHUT_WR)) }
    func readAll() -> String {
        var out: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let n = read(fd, &buffer, buffer.count)
            if n <= 0 { return String(decoding: out, as: UTF8.self) }
            out += buffer[0..<n]
        }
    }
}
