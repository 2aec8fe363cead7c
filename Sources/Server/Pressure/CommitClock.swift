import Base
import CEpoll
import Synchronization

/// How long commits take: the one under way, and the latest. Told by the store's threads, read by the pressure thread.
///
/// Shareable: atomics only.
package final class CommitClock: Sendable {
    /// After so long without a commit the latest one says nothing any more.
    private static let staleNanoseconds: UInt64 = 1_000_000_000

    /// 0: none is under way.
    private let begun = Atomic<UInt64>(0)
    private let endedAt = Atomic<UInt64>(0)
    private let lastNanoseconds = Atomic<UInt64>(0)

    package init() {}

    package func began(at now: UInt64 = mt_monotonic_ns()) { begun.store(max(1, now), ordering: .relaxed) }

    /// `underWay` false: the fsync of a body, which `began` was not called for.
    package func ended(_ seconds: Double, at now: UInt64 = mt_monotonic_ns(), underWay: Bool = true) {
        if underWay { begun.store(0, ordering: .relaxed) }
        lastNanoseconds.store(seconds > 0 && seconds < 9e9 ? UInt64(seconds * 1e9) : 0, ordering: .relaxed)
        endedAt.store(now, ordering: .relaxed)
    }

    package func failed() { begun.store(0, ordering: .relaxed) }

    /// The longer of the commit under way and the latest that is not stale.
    package func seconds(at now: UInt64 = mt_monotonic_ns()) -> Double {
        let start = begun.load(ordering: .relaxed)
        let current = start == 0 || start > now ? 0 : now - start
        let end = endedAt.load(ordering: .relaxed)
        let isFresh = end != 0 && (end > now || now - end <= Self.staleNanoseconds)
        return Double(max(current, isFresh ? lastNanoseconds.load(ordering: .relaxed) : 0)) / 1e9
    }
}
