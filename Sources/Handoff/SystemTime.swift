package import Base
import CEpoll

/// The system's clocks.
package final class SystemTime: TimeSource, Sendable {
    package init() {}
    package func monotonic() -> Instant { Instant(nanoseconds: mt_monotonic_ns()) }
    package func wall() -> WallTime { WallTime(microseconds: mt_wall_us()) }
}
