import Synchronization

/// Every metric family of the process. Filled while the server starts, read by each scrape.
///
/// A name that is given twice, breaks the naming rules or has no help traps at start. Shareable: the list is behind a
/// lock that only definition and scrape take; handles never come here again.
package final class Registry: Sendable {
    private let list = Mutex<[MetricFamily]>([])

    package init() {}

    package var families: [MetricFamily] { list.withLock { $0 } }

    package func counter(_ name: String, _ help: String, unit: MetricUnit = .items) -> Counter {
        Counter(cells: define(name, help, unit, .counter, []))
    }

    package func counter<A: MetricLabel>(
        _ name: String, _ help: String, unit: MetricUnit = .items, by a: A.Type
    ) -> LabeledCounter<A> {
        LabeledCounter(cells: define(name, help, unit, .counter, [a.values]))
    }

    package func counter<A: MetricLabel, B: MetricLabel>(
        _ name: String, _ help: String, unit: MetricUnit = .items, by a: A.Type, _ b: B.Type
    ) -> PairCounter<A, B> {
        PairCounter(cells: define(name, help, unit, .counter, [a.values, b.values]))
    }

    /// A counter kept elsewhere and read when scraped.
    package func counter(
        _ name: String, _ help: String, unit: MetricUnit = .items, read: @escaping @Sendable () -> Double
    ) {
        add(MetricFamily(name: name, help: help, unit: unit, kind: .counter, labels: [], source: .closure(read)))
    }

    package func gauge(_ name: String, _ help: String, unit: MetricUnit = .items) -> Gauge {
        Gauge(cells: define(name, help, unit, .gauge, []))
    }

    package func gauge<A: MetricLabel>(
        _ name: String, _ help: String, unit: MetricUnit = .items, by a: A.Type
    ) -> LabeledGauge<A> {
        LabeledGauge(cells: define(name, help, unit, .gauge, [a.values]))
    }

    /// A gauge whose value is asked for when scraped.
    package func gauge(
        _ name: String, _ help: String, unit: MetricUnit = .items, read: @escaping @Sendable () -> Double
    ) {
        add(MetricFamily(name: name, help: help, unit: unit, kind: .gauge, labels: [], source: .closure(read)))
    }

    /// A gauge that is always 1 and says something in its labels.
    package func info(_ name: String, _ help: String, _ labels: [(String, String)]) {
        let sets = labels.map { LabelSet(name: $0.0, values: [$0.1]) }
        add(MetricFamily(name: name, help: help, unit: .items, kind: .gauge, labels: sets, source: .constant(labels)))
    }

    package func histogram(
        _ name: String, _ help: String, unit: MetricUnit, bounds: [UInt64]
    ) -> Histogram {
        precondition(zip(bounds, bounds.dropFirst()).allSatisfy { $0 < $1 }, "\(name): bounds must rise")
        let cells = Cells(width: bounds.count + 2)
        add(
            MetricFamily(
                name: name, help: help, unit: unit, kind: .histogram, labels: [],
                source: .buckets(cells, bounds: bounds)))
        return Histogram(cells: cells, bounds: bounds)
    }

    private func define(
        _ name: String, _ help: String, _ unit: MetricUnit, _ kind: MetricKind, _ labels: [LabelSet]
    ) -> Cells {
        let cells = Cells(width: labels.reduce(1) { $0 * $1.values.count })
        add(MetricFamily(name: name, help: help, unit: unit, kind: kind, labels: labels, source: .cells(cells)))
        return cells
    }

    private func add(_ family: MetricFamily) {
        family.validate()
        list.withLock { families in
            precondition(!families.contains { $0.name == family.name }, "\(family.name) is defined twice")
            families.append(family)
        }
    }
}
