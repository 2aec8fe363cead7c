extension Registry {
    /// Prometheus text format 0.0.4: what `/metrics` answers with `contentType`.
    package func exposition() -> [UInt8] {
        var out = ""
        for family in families { family.write(to: &out) }
        return Array(out.utf8)
    }

    package static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    /// The families as a table, for docs/metrics.md.
    package func markdown() -> String {
        var out = "| Metric | Type | Unit | Labels | Meaning |\n|---|---|---|---|---|\n"
        for f in families.sorted(by: { $0.name < $1.name }) {
            let labels: [String]
            if case .constant = f.source {
                labels = f.labels.map { "`\($0.name)`" }
            } else {
                labels = f.labels.map { "`\($0.name)`: \($0.values.joined(separator: ", "))" }
            }
            out += "| `\(f.name)` | \(f.kind.rawValue) | \(f.unit.rawValue) | \(labels.joined(separator: "; ")) "
            out += "| \(f.help) |\n"
        }
        return out
    }
}

extension MetricFamily {
    fileprivate func write(to out: inout String) {
        out += "# HELP \(name) \(Self.escape(help, quotes: false))\n# TYPE \(name) \(kind.rawValue)\n"
        switch source {
        case .cells(let cells): writeSeries(cells, to: &out)
        case .buckets(let cells, let bounds): writeBuckets(cells, bounds, to: &out)
        case .closure(let read): out += "\(name) \(Self.number(read()))\n"
        case .constant(let pairs): out += "\(name)\(Self.braces(pairs)) 1\n"
        }
    }

    private func writeSeries(_ cells: Cells, to out: inout String) {
        for slot in 0..<cells.width {
            var rest = slot
            var pairs: [(String, String)] = []
            for set in labels.reversed() {
                pairs.append((set.name, set.values[rest % set.values.count]))
                rest /= set.values.count
            }
            let raw = cells.sum(slot)
            let value = kind == .counter ? "\(raw)" : "\(Int64(bitPattern: raw))"
            out += "\(name)\(Self.braces(pairs.reversed())) \(value)\n"
        }
    }

    private func writeBuckets(_ cells: Cells, _ bounds: [UInt64], to out: inout String) {
        let scale = unit == .seconds ? 1e9 : 1.0
        var total: UInt64 = 0
        for (i, bound) in bounds.enumerated() {
            total &+= cells.sum(i)
            out += "\(name)_bucket{le=\"\(Self.number(Double(bound) / scale))\"} \(total)\n"
        }
        total &+= cells.sum(bounds.count)
        out += "\(name)_bucket{le=\"+Inf\"} \(total)\n"
        out += "\(name)_sum \(Self.number(Double(cells.sum(bounds.count + 1)) / scale))\n\(name)_count \(total)\n"
    }

    private static func braces(_ pairs: [(String, String)]) -> String {
        if pairs.isEmpty { return "" }
        return "{" + pairs.map { "\($0.0)=\"\(escape($0.1, quotes: true))\"" }.joined(separator: ",") + "}"
    }

    private static func number(_ value: Double) -> String {
        if value == value.rounded(), value.magnitude < 1e15 { return "\(Int64(value))" }
        return value.isNaN ? "NaN" : value.isInfinite ? (value < 0 ? "-Inf" : "+Inf") : "\(value)"
    }

    private static func escape(_ text: String, quotes: Bool) -> String {
        var out = String.UnicodeScalarView()
        for c in text.unicodeScalars {
            switch c {
            case "\\": out.append(contentsOf: "\\\\".unicodeScalars)
            case "\n": out.append(contentsOf: "\\n".unicodeScalars)
            case "\"" where quotes: out.append(contentsOf: "\\\"".unicodeScalars)
            default: out.append(c)
            }
        }
        return String(out)
    }
}
