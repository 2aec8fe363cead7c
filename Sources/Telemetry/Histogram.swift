/// Observations counted in fixed buckets. Any thread; a short linear search and two relaxed additions.
///
/// Durations are observed in nanoseconds and exposed in seconds, sizes and counts as they are.
package struct Histogram: Sendable {
    @usableFromInline let cells: Cells
    /// Inclusive upper bounds, rising; the slot after the last is +Inf, the one after that the sum.
    @usableFromInline let bounds: [UInt64]

    init(cells: Cells, bounds: [UInt64]) {
        self.cells = cells
        self.bounds = bounds
    }

    /// Counts one value, in nanoseconds for a histogram of durations.
    @inlinable
    package func observe(_ value: UInt64) {
        var i = 0
        while i < bounds.count, value > bounds[i] { i &+= 1 }
        cells.add(1, to: i)
        cells.add(value, to: bounds.count &+ 1)
    }

    /// Counts a duration given in seconds.
    @inlinable
    package func observe(seconds: Double) {
        observe(seconds > 0 && seconds < 9e9 ? UInt64(seconds * 1e9) : 0)
    }

    /// How many values were observed.
    package var count: UInt64 { (0...bounds.count).reduce(0) { $0 &+ cells.sum($1) } }
    package var sum: UInt64 { cells.sum(bounds.count + 1) }
}

/// Bucket bounds shared by the families.
package enum Buckets {
    /// 50 µs to 30 s, in nanoseconds.
    package static let durations: [UInt64] = [
        50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000, 25_000_000, 50_000_000,
        100_000_000, 250_000_000, 500_000_000, 1_000_000_000, 2_500_000_000, 5_000_000_000, 10_000_000_000,
        30_000_000_000,
    ]
    /// Powers of two up to 1,024.
    package static let batches: [UInt64] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024]
}
