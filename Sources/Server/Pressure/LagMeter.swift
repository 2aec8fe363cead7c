import CEpoll
package import Reactor
import Synchronization

/// How late reactors come to their work: the longest turn since the last look, and the time a job that is posted now and
/// then waits for its turn, which also shows a reactor that does not come back.
///
/// Shareable: atomics, and a lock that only the pressure thread and the start take. `take` is for the pressure thread.
package final class LagMeter: Sendable {
    /// One reactor's job on its way.
    private final class Ping: Sendable {
        let handle: ReactorHandle
        /// 0: none is on its way.
        let sent = Atomic<UInt64>(0)
        /// The mailbox was full: it is to be posted again.
        let isUnposted = Atomic<Bool>(false)

        init(_ handle: ReactorHandle) { self.handle = handle }
    }

    /// Looks between two pings of a reactor that is not late.
    private static let looksBetweenPings: UInt64 = 5

    private let longest = Atomic<UInt64>(0)
    private let looks = Atomic<UInt64>(0)
    private let pings = Mutex<[Ping]>([])

    package init() {}

    /// A turn, or the wait for one, took so long. Any thread, once for each turn.
    package func note(_ nanoseconds: UInt64) {
        guard nanoseconds > longest.load(ordering: .relaxed) else { return }
        longest.max(nanoseconds, ordering: .relaxed)
    }

    /// From now on these are pinged too.
    package func watch(_ handles: [ReactorHandle]) {
        pings.withLock { $0 += handles.map { Ping($0) } }
    }

    /// The worst since the last look, in seconds.
    package func take(at now: UInt64 = mt_monotonic_ns()) -> Double {
        var worst = longest.exchange(0, ordering: .relaxed)
        let isTurn = looks.add(1, ordering: .relaxed).newValue % Self.looksBetweenPings == 0
        for ping in pings.withLock({ $0 }) where !ping.handle.isStopping {
            let sent = ping.sent.load(ordering: .acquiring)
            if sent != 0 {
                worst = max(worst, now > sent ? now - sent : 0)
                if ping.isUnposted.load(ordering: .relaxed) { post(ping, since: sent) }
            } else if isTurn {
                ping.sent.store(max(1, now), ordering: .relaxed)
                post(ping, since: now)
            }
        }
        return Double(worst) / 1e9
    }

    private func post(_ ping: Ping, since: UInt64) {
        let posted = ping.handle.post { [self] _ in
            let now = mt_monotonic_ns()
            note(now > since ? now - since : 0)
            ping.sent.store(0, ordering: .releasing)
        }
        ping.isUnposted.store(!posted, ordering: .relaxed)
    }
}
