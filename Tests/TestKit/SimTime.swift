package import Base

/// A clock that stands still until it is told to go on.
package final class SimTime: TimeSource {
    private var nanoseconds: UInt64
    private let wallStart: Int64

    package init(startSeconds: UInt64 = 1_000, wallSeconds: Int64 = 1_800_000_000) {
        nanoseconds = startSeconds * 1_000_000_000
        wallStart = wallSeconds * 1_000_000 - Int64(startSeconds) * 1_000_000
    }

    package func monotonic() -> Instant { Instant(nanoseconds: nanoseconds) }
    package func wall() -> WallTime { WallTime(microseconds: wallStart + Int64(nanoseconds / 1_000)) }

    package func advance(seconds: Double) { nanoseconds += UInt64(seconds * 1e9) }
}
