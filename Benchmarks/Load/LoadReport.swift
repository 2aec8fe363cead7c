import Histogram

/// The result of a load as text for people, or as JSON.
struct LoadReport {
    let plan: LoadPlan
    let result: LoadResult
    let cpuSeconds: Double

    private static let percentiles: [(name: String, value: Double)] = [
        ("p50", 50), ("p90", 90), ("p99", 99), ("p99_9", 99.9),
    ]

    private var messagesPerSecond: Double { result.seconds > 0 ? Double(result.acknowledged) / result.seconds : 0 }
    private var megabytesPerSecond: Double { result.seconds > 0 ? Double(result.bytes) / 1e6 / result.seconds : 0 }
    private var cpuMicroseconds: Double {
        cpuSeconds * 1e6 / Double(max(1, result.acknowledged > 0 ? result.acknowledged : result.connections))
    }
    private var phases: [Phase] { Phase.allCases.filter { result.latencies[$0].totalCount > 0 } }

    private static func milliseconds(_ nanoseconds: UInt64) -> String { Console.fixed(Double(nanoseconds) / 1e6, 3) }

    var text: String {
        var out = "messages     \(result.acknowledged) acknowledged, \(result.failed) failed"
        out += " in \(Console.fixed(result.seconds, 2)) s\n"
        out +=
            "rate         \(Console.fixed(messagesPerSecond, 1)) messages/s"
        out += ", \(Console.fixed(megabytesPerSecond, 1)) MB/s\n"
        out += "recipients   \(result.recipientsAccepted) accepted, \(result.recipientsRefused) refused\n"
        out +=
            "connections  \(result.connections) made, \(result.connectFailures) not made"
        out += ", \(result.connectionsLost) lost"
        if result.handshakes > 0 { out += "; \(result.handshakes) TLS handshakes, \(result.resumed) resumed" }
        out += "\n"
        if result.heldOpen > 0 {
            out += "held         \(result.heldOpen) established, \(result.droppedByServer) ended by the server\n"
        }
        out +=
            "our CPU      \(Console.fixed(cpuMicroseconds, 1)) us a "
        out += result.acknowledged > 0 ? "message\n" : "connection\n"
        if plan.ledger != nil { out += "run          \(plan.run)\n" }
        out += table
        for (reason, count) in result.reasons.sorted(by: { $0.value > $1.value }) {
            out += "\(Console.right("\(count)", 10)) x \(reason)\n"
        }
        return out
    }

    private var table: String {
        guard !phases.isEmpty else { return "" }
        var out = "\n" + Console.left("ms", 14)
        for (name, _) in Self.percentiles { out += Console.right(name, 11) }
        out += Console.right("max", 11) + Console.right("count", 10) + "  from - to\n"
        for phase in phases {
            let histogram = result.latencies[phase]
            out += Console.left(phase.name, 14)
            for (_, value) in Self.percentiles {
                out += Console.right(Self.milliseconds(histogram.valueAtPercentile(value)), 11)
            }
            out += Console.right(Self.milliseconds(histogram.max), 11) + Console.right("\(histogram.totalCount)", 10)
            out += "  \(phase.meaning)\n"
        }
        return out + "\n"
    }

    var json: String {
        var out =
            "{\"acknowledged\":\(result.acknowledged),\"failed\":\(result.failed)"
        out += ",\"seconds\":\(Console.fixed(result.seconds, 6))"
        out += ",\"messages_per_second\":\(Console.fixed(messagesPerSecond, 2)),\"bytes\":\(result.bytes)"
        out +=
            ",\"recipients_accepted\":\(result.recipientsAccepted),\"recipients_refused\":\(result.recipientsRefused)"
        out += ",\"connections\":\(result.connections),\"connect_failures\":\(result.connectFailures)"
        out +=
            ",\"connections_lost\":\(result.connectionsLost)"
        out += ",\"tls_handshakes\":\(result.handshakes),\"tls_resumed\":\(result.resumed)"
        out += ",\"held\":\(result.heldOpen),\"ended_by_server\":\(result.droppedByServer)"
        out += ",\"client_cpu_us\":\(Console.fixed(cpuMicroseconds, 2)),\"run\":\(plan.run),\"latency_ms\":{"
        out += phases.map { phase in
            let histogram = result.latencies[phase]
            let values = Self.percentiles.map {
                "\"\($0.name)\":\(Self.milliseconds(histogram.valueAtPercentile($0.value)))"
            }
            return Console.quoted(phase.name) + ":{" + values.joined(separator: ",")
                + ",\"max\":\(Self.milliseconds(histogram.max)),\"count\":\(histogram.totalCount)}"
        }.joined(separator: ",")
        out += "},\"reasons\":{"
        out += result.reasons.sorted { $0.key < $1.key }.map { Console.quoted($0.key) + ":\($0.value)" }.joined(
            separator: ",")
        return out + "}}\n"
    }
}
