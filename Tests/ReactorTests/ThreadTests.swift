import Base
import CEpoll
import Handoff
import Reactor
import Synchronization
import Testing

/// Counts, from any thread.
private final class Tally: Sendable {
    let jobs = Atomic<Int>(0)
}

@Suite struct ThreadTests {
    /// Two reactors on their own threads share a port; jobs of several threads all run; `stop` ends both.
    @Test func reactorsOnThreadsServeOnePortAndTakeJobs() throws {
        let tally = Tally()
        var handles: [ReactorHandle] = []
        var threads: [ThreadHandle] = []
        var port: UInt16 = 0
        for i in 0..<2 {
            let (handle, bound, thread) = try startServer(i, port)
            port = bound
            handles.append(handle)
            threads.append(thread)
        }
        let all = handles
        let producers = (0..<3).map { p in
            LoopThread.spawn("producer-\(p)") {
                for n in 0..<3_000 {
                    while !all[n % 2].post({ _ in tally.jobs.add(1, ordering: .relaxed) }) { sched_yield() }
                }
            }
        }
        let sockets = try (0..<20).map { _ in try RawSocket(port: port) }
        for s in sockets {
            s.send("hello")
            s.shutdown()
        }
        #expect(sockets.allSatisfy { $0.readAll() == "hello" })
        for p in producers { p.join() }
        for h in handles { h.stop() }
        for t in threads { t.join() }
        #expect(tally.jobs.load(ordering: .relaxed) == 9_000)
    }

    private func startServer(
        _ i: Int, _ port: UInt16
    ) throws -> (ReactorHandle, UInt16, ThreadHandle) {
        let reactor = try realReactor()
        let bound = try reactor.listen(.inet(SocketAddress(ip: "127.0.0.1", port: port)!)) { _ in echo() }.port
        let handle = reactor.handle
        let thread = LoopThread.spawn("smtp-\(i)") { reactor.run() }
        return (handle, bound, thread)
    }
}
