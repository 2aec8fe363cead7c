/// What a family's numbers measure. Families use base units only.
package enum MetricUnit: String, Sendable {
    case items, seconds, bytes
}

package enum MetricKind: String, Sendable {
    case counter, gauge, histogram
}

/// One documented metric: what is needed to expose it and to print its row in docs/metrics.md.
package struct MetricFamily: Sendable {
    enum Source: Sendable {
        case cells(Cells)
        case buckets(Cells, bounds: [UInt64])
        case closure(@Sendable () -> Double)
        case constant([(String, String)])
    }

    package let name: String
    package let help: String
    package let unit: MetricUnit
    package let kind: MetricKind
    package let labels: [LabelSet]
    let source: Source

    /// Traps at start on a family that breaks the naming rules: a programmer's error, never a peer's.
    func validate() {
        precondition(name.hasPrefix("martlet_") || name.hasPrefix("process_"), "\(name): wrong prefix")
        precondition(help.count >= 8 && help.hasSuffix("."), "\(name): help is missing or no sentence")
        precondition((kind == .counter) == name.hasSuffix("_total"), "\(name): counters, and only they, end in _total")
        if unit != .items {
            let stem = kind == .counter ? String(name.dropLast(6)) : name
            precondition(stem.hasSuffix("_" + unit.rawValue), "\(name): its unit is not in its name")
        }
    }
}
