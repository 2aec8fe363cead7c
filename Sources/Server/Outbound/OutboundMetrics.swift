import Base
package import Delivery
package import Protocols
package import Telemetry

package enum TransportLabel: Int, MetricLabel {
    case plain, tls
    package static var label: String { "transport" }
}

package enum FailureSourceLabel: Int, MetricLabel {
    case remote, dns, network, tls, local
    package static var label: String { "source" }

    init(_ source: DeliveryFailure.Source) {
        switch source {
        case .remote: self = .remote
        case .dns: self = .dns
        case .network: self = .network
        case .tls: self = .tls
        case .local: self = .local
        }
    }
}

package enum StageLabel: Int, MetricLabel {
    case plan, connect, greeting, tls, envelope, body
    package static var label: String { "stage" }

    init(_ stage: DeliveryStage) {
        switch stage {
        case .plan: self = .plan
        case .connect: self = .connect
        case .greeting: self = .greeting
        case .tls: self = .tls
        case .envelope: self = .envelope
        case .body: self = .body
        }
    }
}

/// The result types of RFC 8460 §4.3.
package enum TLSReportLabel: Int, MetricLabel {
    case success, startTLSNotSupported, certificateHostMismatch, certificateExpired, certificateNotTrusted
    case validationFailure, tlsaInvalid, dnssecInvalid, daneRequired, stsPolicyFetchError, stsPolicyInvalid
    case stsWebPKIInvalid
    package static var label: String { "result" }
    package var text: String { TLSResultType.allCases[rawValue].rawValue }

    init(_ result: TLSResultType) {
        self = TLSReportLabel(rawValue: TLSResultType.allCases.firstIndex(of: result) ?? 0) ?? .success
    }
}

/// Connections to other servers; told on the workers' threads.
package final class OutboundMetrics: DeliveryObserver {
    private let opened: LabeledCounter<TransportLabel>
    private let reused: Counter
    private let open: Gauge
    private let failures: LabeledCounter<FailureSourceLabel>
    private let tls: LabeledCounter<TLSReportLabel>
    private let octets: Counter
    private let stages: [Histogram]

    package init(_ r: Registry) {
        opened = r.counter(
            "martlet_delivery_connections_total", "Connections made to other servers.", by: TransportLabel.self)
        reused = r.counter(
            "martlet_delivery_connections_reused_total", "Messages that went over a connection made for another.")
        open = r.gauge("martlet_delivery_connections", "Connections to other servers open now.")
        failures = r.counter(
            "martlet_delivery_host_failures_total", "Hosts that could not be used, by what failed.",
            by: FailureSourceLabel.self)
        tls = r.counter(
            "martlet_delivery_tls_results_total", "Hosts tried, by what RFC 8460 calls the TLS session's result.",
            by: TLSReportLabel.self)
        octets = r.counter("martlet_delivery_sent_bytes_total", "Bytes of messages handed over.", unit: .bytes)
        stages = StageLabel.allCases.map { stage in
            r.histogram(
                "martlet_delivery_\(stage.text)_duration_seconds", "Time of one delivery's \(stage.text) stage.",
                unit: .seconds, bounds: Buckets.durations)
        }
    }

    package func connectionOpened(isTLS: Bool) {
        opened.add(isTLS ? .tls : .plain)
        open.add(1)
    }

    package func connectionReused() { reused.add() }
    package func connectionClosed() { open.add(-1) }
    package func hostFailed(_ failure: DeliveryFailure, host: [UInt8]) {
        failures.add(FailureSourceLabel(failure.source))
    }

    package func attempted(_ attempt: AttemptRecord, octets: Int) {
        if octets > 0 { self.octets.add(octets) }
        if let result = attempt.tls?.result { tls.add(TLSReportLabel(result)) }
    }

    package func stageTook(_ stage: DeliveryStage, seconds: Double) {
        stages[StageLabel(stage).rawValue].observe(seconds: seconds)
    }
}
