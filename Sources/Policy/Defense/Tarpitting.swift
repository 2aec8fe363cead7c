package import Base

/// The failures of one client, and how long its next answer is held for them. Pure.
package struct Tarpitting: Sendable, Hashable {
    /// A client that fails no more for so long starts anew.
    package static let memorySeconds = 3_600.0
    /// No policy holds an answer longer.
    package static let delaySecondsMax = 30

    private static let countMax: UInt32 = 1_000_000

    private var count: UInt32 = 0
    private var last = Instant(nanoseconds: 0)

    package init() {}

    /// Failures that are still remembered.
    package func failures(_ now: Instant) -> Int {
        now.seconds(since: last) < Self.memorySeconds ? Int(count) : 0
    }

    /// Counts one more; the answer is how many there were before.
    package mutating func fail(_ now: Instant) -> Int {
        let before = failures(now)
        count = min(Self.countMax, UInt32(before) + 1)
        last = now
        return before
    }

    package mutating func forgive() { count = 0 }

    /// 0, 1, 2, 4, 8 … seconds after 0, 1, 2, 3, 4 … failures, at most `maxSeconds`.
    package static func delaySeconds(failures: Int, maxSeconds: Int) -> Int {
        guard failures > 0 else { return 0 }
        return min(1 << min(failures - 1, 5), max(0, min(maxSeconds, delaySecondsMax)))
    }
}
