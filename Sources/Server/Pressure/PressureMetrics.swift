package import Policy
package import Telemetry

extension PressureResource: MetricLabel {
    package static var label: String { "resource" }
}

extension PressureAction: MetricLabel {
    package static var label: String { "action" }
}

/// What pressure there is and what was given up for it. The gauges are set by the pressure thread alone.
package struct PressureMetrics: Sendable {
    package let level: LabeledGauge<PressureResource>
    package let limiting: LabeledGauge<PressureResource>
    package let changes: LabeledCounter<PressureResource>
    package let shed: PairCounter<PressureAction, PressureResource>
    package let descriptors: Gauge
    package let descriptorsMax: Gauge
    package let resident: Gauge
    package let memoryMax: Gauge
    package let dnsQuestions: Gauge

    package init(_ r: Registry) {
        level = r.gauge(
            "martlet_pressure_level", "How scarce a resource is: 0 calm, 1 elevated, 2 high, 3 critical.",
            by: PressureResource.self)
        limiting = r.gauge(
            "martlet_pressure_limiting", "1 for the resource that is scarcest now; all 0 when there is no pressure.",
            by: PressureResource.self)
        changes = r.counter(
            "martlet_pressure_changes_total", "Changes of a resource's level.", by: PressureResource.self)
        shed = r.counter(
            "martlet_pressure_shed_total",
            "Work given up: sessions not held, timeouts shortened, connections and messages put off, by the limiting resource.",
            by: PressureAction.self, PressureResource.self)
        descriptors = r.gauge("process_open_fds", "Open descriptors.")
        descriptorsMax = r.gauge("process_max_fds", "Most descriptors the process may have; 0: no limit.")
        resident = r.gauge("process_resident_memory_bytes", "Resident memory, mapped files included.", unit: .bytes)
        memoryMax = r.gauge(
            "martlet_memory_limit_bytes", "Memory that pressure is measured by; 0: not known.", unit: .bytes)
        dnsQuestions = r.gauge("martlet_dns_questions_in_flight", "DNS questions that queries are open for.")
    }
}
