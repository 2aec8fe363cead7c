import CEpoll

/// For threads that may block: tries again what another thread has no room for.
package enum Patience {
    /// Longer than any inbox stays full while its owner lives.
    package static let usualSeconds = 2.0

    /// Attempts until one succeeds; false: none did within `seconds`.
    package static func insist(seconds: Double = usualSeconds, _ attempt: () -> Bool) -> Bool {
        let end = mt_monotonic_ns() &+ UInt64(min(max(0, seconds), 3_600) * 1e9)
        while !attempt() {
            guard mt_monotonic_ns() < end else { return false }
            sched_yield()
        }
        return true
    }
}
