import CEpoll
import Handoff
import Reactor
import Synchronization

/// Wakes workers when an open loop's next message is due, finer than the reactors' timer wheel. Shareable: constants
/// and one atomic.
final class Pacer: Sendable {
    private let rate: Double
    private let start: UInt64
    private let handles: [ReactorHandle]
    private let stopping = Atomic<Bool>(false)
    /// Wake-ups are at least this far apart; above 5,000 messages a second several share one.
    private static let spacing: UInt64 = 200_000

    init(rate: Double, start: UInt64, handles: [ReactorHandle]) {
        self.rate = rate
        self.start = start
        self.handles = handles
    }

    func run() -> ThreadHandle { LoopThread.spawn("bench-pacer") { [self] in loop() } }
    func stop() { stopping.store(true, ordering: .releasing) }

    private func loop() {
        var next = 0
        while !stopping.load(ordering: .acquiring) {
            let due = start + UInt64(Double(next) / rate * 1e9)
            let now = mt_monotonic_ns()
            if due > now {
                Self.sleep(min(max(due - now, Self.spacing), 100_000_000))
                continue
            }
            let count = Int(Double(now - start) / 1e9 * rate) + 1 - next
            for i in 0..<min(max(count, 1), handles.count) { _ = handles[(next + i) % handles.count].post { _ in } }
            next += max(count, 1)
            Self.sleep(Self.spacing / 4)
        }
    }

    private static func sleep(_ nanoseconds: UInt64) {
        var time = timespec(tv_sec: Int(nanoseconds / 1_000_000_000), tv_nsec: Int(nanoseconds % 1_000_000_000))
        nanosleep(&time, nil)
    }
}
