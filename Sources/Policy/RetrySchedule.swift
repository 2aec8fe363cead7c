package import Base

/// When a message that was not delivered is tried again. Pure; randomness and time come in as values.
package struct RetrySchedule: Sendable, Hashable {
    /// Waits after the first, second … attempt, in seconds; after the last they double.
    package var intervalSeconds: [Int]
    /// `delivery.max_age`.
    package var maxAgeSeconds: Int

    /// No wait is longer.
    package static let longestSeconds = 172_800.0
    // RFC 5321 §4.5.4.1: giving up takes at least 4 to 5 days.
    package static let defaultMaxAgeSeconds = 432_000

    package enum Next: Sendable, Hashable {
        case at(WallTime)
        /// The message is too old: its sender is told.
        case expired
    }

    package init(intervalSeconds: [Int], maxAgeSeconds: Int = defaultMaxAgeSeconds) {
        self.intervalSeconds = intervalSeconds
        self.maxAgeSeconds = maxAgeSeconds
    }

    /// Seconds to wait after `attempts` attempts (1: the first one failed). `jitter` is in 0…1 and moves the wait by up to
    /// a tenth; the first wait is never shortened, so that it outlasts the greylisting it was chosen for.
    package func seconds(afterAttempts attempts: Int, jitter: Double) -> Double {
        let n = max(attempts, 1)
        let base: Double
        if n <= intervalSeconds.count {
            base = Double(intervalSeconds[n - 1])
        } else {
            let doublings = min(n - intervalSeconds.count, 30)
            base = Double(intervalSeconds.last ?? 300) * Double(1 << doublings)
        }
        let capped = min(max(base, 1), Self.longestSeconds)
        let share = jitter > 0 ? min(jitter, 1) : 0
        let moved = n == 1 ? capped * (1 + share * 0.1) : capped * (0.9 + share * 0.2)
        return min(moved, Self.longestSeconds)
    }

    /// As `seconds(afterAttempts:jitter:)`, from 32 random bits.
    package func seconds(afterAttempts attempts: Int, random: UInt32) -> Double {
        seconds(afterAttempts: attempts, jitter: Double(random) / Double(UInt32.max))
    }

    /// The next attempt of a message received at `received`. The last one is made when its time is up, not before.
    package func next(afterAttempts attempts: Int, received: WallTime, now: WallTime, jitter: Double) -> Next {
        let end = Self.later(received, by: Double(maxAgeSeconds))
        guard now < end else { return .expired }
        return .at(min(Self.later(now, by: seconds(afterAttempts: attempts, jitter: jitter)), end))
    }

    private static func later(_ time: WallTime, by seconds: Double) -> WallTime {
        let (sum, overflow) = time.microseconds.addingReportingOverflow(Int64(min(max(seconds, 0), 4e9) * 1e6))
        return WallTime(microseconds: overflow ? .max : sum)
    }
}
