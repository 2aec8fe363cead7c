/// A point on the monotonic clock, in nanoseconds. Only differences mean anything.
package struct Instant: Sendable, Hashable, Comparable {
    package var nanoseconds: UInt64

    @inlinable
    package init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

    @inlinable
    package static func < (a: Instant, b: Instant) -> Bool { a.nanoseconds < b.nanoseconds }

    /// Saturates: a deadline past the end of the clock is the end of the clock.
    @inlinable
    package func advanced(bySeconds seconds: Double) -> Instant {
        guard seconds > 0 else { return self }
        let ns = seconds * 1e9
        guard ns < 9e18 else { return Instant(nanoseconds: .max) }
        let (sum, overflow) = nanoseconds.addingReportingOverflow(UInt64(ns))
        return Instant(nanoseconds: overflow ? .max : sum)
    }

    /// Seconds from `earlier` to here; 0 when `earlier` is later.
    @inlinable
    package func seconds(since earlier: Instant) -> Double {
        nanoseconds > earlier.nanoseconds ? Double(nanoseconds - earlier.nanoseconds) / 1e9 : 0
    }
}

/// Civil time: microseconds since 1970-01-01 00:00:00 UTC.
package struct WallTime: Sendable, Hashable, Comparable {
    package var microseconds: Int64

    @inlinable
    package init(microseconds: Int64) { self.microseconds = microseconds }

    package init(seconds: Int64) {
        let (us, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000)
        microseconds = overflow ? (seconds < 0 ? .min : .max) : us
    }

    package var seconds: Int64 { microseconds / 1_000_000 }

    @inlinable
    package static func < (a: WallTime, b: WallTime) -> Bool { a.microseconds < b.microseconds }
}

/// The clock seam. The system's is `SystemTime` (Handoff), the simulated one is in TestKit.
package protocol TimeSource: AnyObject {
    func monotonic() -> Instant
    func wall() -> WallTime
}
