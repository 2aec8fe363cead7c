/// A number that only grows. Any thread; relaxed atomics, no locks, no allocation.
package struct Counter: Sendable {
    @usableFromInline let cells: Cells

    init(cells: Cells) { self.cells = cells }

    @inlinable
    package func add(_ n: Int = 1) { cells.add(UInt64(truncatingIfNeeded: n), to: 0) }

    package var value: UInt64 { cells.sum(0) }
}

/// A counter for each case of `A`.
package struct LabeledCounter<A: MetricLabel>: Sendable {
    @usableFromInline let cells: Cells

    init(cells: Cells) { self.cells = cells }

    @inlinable
    package func add(_ a: A, _ n: Int = 1) { cells.add(UInt64(truncatingIfNeeded: n), to: a.rawValue) }

    package func value(_ a: A) -> UInt64 { cells.sum(a.rawValue) }
}

/// A counter for each pair of a case of `A` and a case of `B`.
package struct PairCounter<A: MetricLabel, B: MetricLabel>: Sendable {
    @usableFromInline let cells: Cells
    @usableFromInline let columns: Int

    init(cells: Cells) {
        self.cells = cells
        columns = B.allCases.count
    }

    @inlinable
    package func add(_ a: A, _ b: B, _ n: Int = 1) {
        cells.add(UInt64(truncatingIfNeeded: n), to: a.rawValue &* columns &+ b.rawValue)
    }

    package func value(_ a: A, _ b: B) -> UInt64 { cells.sum(a.rawValue * columns + b.rawValue) }
}
