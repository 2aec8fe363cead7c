package import Telemetry

/// How a filter answered one command, or failed to.
package enum MilterResultLabel: Int, MetricLabel {
    case proceed, accept, reject, tempfail, discard, quarantine, modify
    case connectFailed, timeout, protocolError, closed, skipped
    package static var label: String { "result" }
    package var text: String {
        switch self {
        case .connectFailed: "connect_failed"
        case .protocolError: "protocol_error"
        case .proceed, .accept, .reject, .tempfail, .discard, .quarantine, .modify, .timeout, .closed, .skipped:
            "\(self)"
        }
    }
}

package enum MilterStageLabel: Int, MetricLabel {
    case connect, envelope, content, end
    package static var label: String { "stage" }
}

/// Conversations with mail filters; counted on the loops' threads.
package final class MilterMetrics: Sendable {
    package let results: LabeledCounter<MilterResultLabel>
    package let connections: Gauge
    package let resting: Counter
    private let durations: [Histogram]

    package init(_ r: Registry) {
        results = r.counter(
            "martlet_milter_results_total",
            "What mail filters did with messages and commands, and how they failed; skipped: left alone after failures.",
            by: MilterResultLabel.self)
        connections = r.gauge("martlet_milter_connections", "Connections to mail filters open now.")
        resting = r.counter(
            "martlet_milter_rests_total", "Times a mail filter was left alone after repeated failures.")
        durations = MilterStageLabel.allCases.map { stage in
            r.histogram(
                "martlet_milter_\(stage.text)_duration_seconds",
                "Time a mail filter took to answer, \(stage.text) stage.", unit: .seconds, bounds: Buckets.durations)
        }
    }

    package func observe(_ stage: MilterStageLabel, seconds: Double) {
        durations[stage.rawValue].observe(seconds: seconds)
    }
}
