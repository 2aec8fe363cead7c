/// A number that goes up and down. `add` from any thread; `set` only where one thread writes.
package struct Gauge: Sendable {
    @usableFromInline let cells: Cells

    init(cells: Cells) { self.cells = cells }

    @inlinable
    package func add(_ n: Int = 1) { cells.add(UInt64(truncatingIfNeeded: n), to: 0) }

    package func set(_ n: Int) { cells.set(UInt64(truncatingIfNeeded: n), of: 0) }

    package var value: Int { Int(truncatingIfNeeded: cells.sum(0)) }
}

/// A gauge for each case of `A`.
package struct LabeledGauge<A: MetricLabel>: Sendable {
    @usableFromInline let cells: Cells

    init(cells: Cells) { self.cells = cells }

    @inlinable
    package func add(_ a: A, _ n: Int = 1) { cells.add(UInt64(truncatingIfNeeded: n), to: a.rawValue) }

    package func set(_ a: A, _ n: Int) { cells.set(UInt64(truncatingIfNeeded: n), of: a.rawValue) }

    package func value(_ a: A) -> Int { Int(truncatingIfNeeded: cells.sum(a.rawValue)) }
}
