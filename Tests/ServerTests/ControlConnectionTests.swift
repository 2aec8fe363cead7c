import Base
import CEpoll
import Foundation
import Handoff
import Protocols
import Reactor
import Server
import Store
import StoreSQLite
import Testing

/// The daemon's end of the control socket: a real reactor and a real store, blocking clients.
@Suite(.serialized) struct ControlConnectionTests {
    final class Daemon {
        let directory = NSTemporaryDirectory() + "ctl-\(UUID().uuidString.prefix(8))"
        let socket: String
        private let store: SQLiteStore
        private let handle: ReactorHandle
        private let thread: ThreadHandle

        init(ownUser: UInt32 = UInt32(geteuid()), change: (inout ControlHooks) -> Void = { _ in }) throws {
            socket = directory + "/c.sock"
            store = try SQLiteStore.open(path: directory)
            store.start()
            let reactor = Reactor(io: try EpollBackend(), time: SystemTime())
            let handle = reactor.handle
            let gateway = store.gateway
            var hooks = ControlHooks(
                reload: { _ in .failed("bad configuration", ExitStatus.configuration) },
                status: { [JSONMember("ready", .boolean(true))] }, hostname: { "mx.example.org" },
                now: { SystemTime().wall() })
            change(&hooks)
            let service = ControlService(hooks: hooks)
            try reactor.listen(.unix(path: socket)) { _ in
                ControlConnection(service: service, gateway: gateway, handle: handle, ownUser: ownUser)
            }
            self.handle = handle
            thread = LoopThread.spawn("control-test") { reactor.run() }
        }

        func stop() {
            handle.stop()
            thread.join()
            store.stop()
            try? FileManager.default.removeItem(atPath: directory)
        }

        func ask(_ request: ControlRequest, _ format: ControlFormat = .text) throws -> (Int32, String, String) {
            var (output, complaint) = ("", "")
            let sink = ControlClient.Sink(
                output: { output += String(decoding: $0, as: UTF8.self) },
                complaint: { complaint += String(decoding: $0, as: UTF8.self) })
            let status = try ControlClient.run(request, format, socketPath: socket, into: sink)
            return (status, output, complaint)
        }

        /// Sends bytes as they are and reads to the end.
        func raw(_ pieces: [[UInt8]]) -> [UInt8] {
            let descriptor = mt_socket(AF_UNIX, Int32(SOCK_STREAM.rawValue))
            defer { _ = mt_close(descriptor) }
            _ = mt_set_blocking(descriptor)
            var address = sockaddr_storage()
            address.ss_family = sa_family_t(AF_UNIX)
            withUnsafeMutableBytes(of: &address) { raw in
                for (i, c) in socket.utf8.enumerated() { raw[2 + i] = c }
            }
            guard mt_connect(descriptor, &address, UInt32(3 + socket.utf8.count)) >= 0 else { return [] }
            for piece in pieces { _ = mt_send(descriptor, piece, piece.count) }
            var out: [UInt8] = []
            var chunk = [UInt8](repeating: 0, count: 65_536)
            while true {
                let n = mt_read(descriptor, &chunk, chunk.count)
                if n <= 0 { return out }
                out += chunk[..<Int(n)]
            }
        }
    }

    @Test func requestsThroughTheDaemon() throws {
        let daemon = try Daemon()
        defer { daemon.stop() }
        #expect(try daemon.ask(.domainAdd(Array("example.org".utf8))).0 == 0)
        #expect(
            try daemon.ask(.domainList, .json).1 == "[{\"domain\":\"example.org\",\"enabled\":true,\"accounts\":0}]\n")
        let again = try daemon.ask(.domainAdd(Array("example.org".utf8)))
        #expect(again.0 == ExitStatus.failure)
        #expect(again.2.contains("exists already"))
        let status = try daemon.ask(.status, .json)
        #expect(status.1.hasPrefix("{\"ready\":true,\"domains\":1,"))
        #expect(try daemon.ask(.reload).0 == ExitStatus.configuration)
        #expect(try daemon.ask(.storeVerify(ControlVerifyState())).0 == 0)
        // The command line finds the daemon by the socket and does not open the store.
        var configuration = Configuration()
        configuration.store.path = daemon.directory
        configuration.control.socket = daemon.socket
        #expect(ControlCommand.isDaemonRunning(configuration))
        configuration.control.socket = daemon.directory + "/other.sock"
        var complaint = ""
        let sink = ControlClient.Sink(
            output: { _ in }, complaint: { complaint += String(decoding: $0, as: UTF8.self) })
        #expect(ControlCommand.run(.domainList, .text, configuration, into: sink) == ExitStatus.temporary)
        #expect(complaint.contains("is in use by another process"))
    }

    /// Each kind of command has its own thread: one that has no room for more is no matter to the other.
    @Test func poisonAndDefencesDoNotWaitForEachOther() throws {
        let id = try #require(MessageID(text: Array("0000000000001".utf8)))
        let poison = ControlRequest.poison(ControlPoison(.delete, id))
        let defense = ControlRequest.defense(ControlDefense(.limits, .list))
        for isPoisonBusy in [true, false] {
            let daemon = try Daemon {
                $0.poison.folder = PoisonFolder(path: "/nowhere/poison")
                if isPoisonBusy { $0.poison.perform = { _ in false } } else { $0.defense.perform = { _ in false } }
            }
            defer { daemon.stop() }
            let statuses = [try daemon.ask(poison).0, try daemon.ask(defense).0]
            #expect(
                statuses
                    == (isPoisonBusy
                        ? [ExitStatus.temporary, ExitStatus.success] : [ExitStatus.failure, ExitStatus.temporary]))
        }
    }

    @Test func badFramesEndOnlyTheirConnection() throws {
        let daemon = try Daemon()
        defer { daemon.stop() }
        #expect(daemon.raw([Array("GET / HTTP/1.1\r\n\r\n".utf8)]).isEmpty)
        #expect(daemon.raw([[0xFF, 0xFF, 0xFF, 0xFF, 0x51]]).isEmpty)
        #expect(daemon.raw([[0, 0, 0, 1, 0]]).isEmpty)
        let unknown = daemon.raw([ControlFrame(.request, ControlFields.encode([[0x31], [0x78]])).encoded])
        #expect(unknown.suffix(6) == [0, 0, 0, 2, ControlFrame.Kind.end.rawValue, UInt8(ExitStatus.usage)])
        let frame = ControlRequest.domainList.frame(.json).encoded
        let whole = daemon.raw([frame])
        #expect(daemon.raw(frame.map { [$0] }) == whole)
        #expect(try daemon.ask(.domainList, .json).1 == "[]\n")
    }

    @Test func otherUsersAreRefused() throws {
        // Root is always served, so only somebody else can see the refusal.
        let daemon = try Daemon(ownUser: UInt32(geteuid()) &+ 1)
        defer { daemon.stop() }
        let status = try daemon.ask(.domainList).0
        #expect(status == (geteuid() == 0 ? 0 : ExitStatus.permission))
    }
}
