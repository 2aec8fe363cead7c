import Handoff
package import Telemetry

package enum PoisonStage: Int, MetricLabel {
    case inbound, delivery, report, envelope
    package static var label: String { "stage" }

    init(_ kind: InProgress.Kind) {
        switch kind {
        case .inbound: self = .inbound
        case .delivery: self = .delivery
        case .report: self = .report
        case .envelope: self = .envelope
        }
    }
}

/// Mail that ended the process.
package struct PoisonMetrics: Sendable {
    package let deaths: LabeledCounter<PoisonStage>
    package let setAside: LabeledCounter<PoisonStage>
    package let failures: Counter

    package init(_ r: Registry) {
        deaths = r.counter(
            "martlet_poison_deaths_total", "Messages that the last run died of, by stage.", by: PoisonStage.self)
        setAside = r.counter(
            "martlet_poison_set_aside_total", "Messages set aside or held because the process died of them twice.",
            by: PoisonStage.self)
        failures = r.counter(
            "martlet_poison_failures_total", "Messages that could not be set aside and were put off.")
    }
}
