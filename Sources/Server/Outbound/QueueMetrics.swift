import Base
import Delivery
import Protocols
package import Telemetry

package enum DeliveryResultLabel: Int, MetricLabel {
    case delivered, deferred, failed, expired, fenced
    package static var label: String { "result" }

    init(_ result: SchedulerResult) {
        switch result {
        case .delivered: self = .delivered
        case .deferred: self = .deferred
        case .failed: self = .failed
        case .expired: self = .expired
        case .fenced: self = .fenced
        }
    }
}

package enum NoticeLabel: Int, MetricLabel {
    case failed, delayed, delivered, relayed, lost
    package static var label: String { "kind" }
}

/// The queue and its scheduler.
package struct QueueMetrics: Sendable {
    package let recipients: LabeledCounter<DeliveryResultLabel>
    package let delay: Histogram
    package let notices: LabeledCounter<NoticeLabel>
    package let pauses: Counter
    package let settleDuration: Histogram
    package let settleFailures: Counter
    package let leaseDuration: Histogram
    package let inFlight: Gauge
    package let ready: Gauge
    package let slotsFree: Gauge

    package init(_ r: Registry) {
        recipients = r.counter(
            "martlet_queue_attempts_total", "Recipients tried, by what came of it.", by: DeliveryResultLabel.self)
        delay = r.histogram(
            "martlet_queue_delivery_delay_seconds", "From accepting a message to its delivery to another server.",
            unit: .seconds, bounds: Buckets.durations)
        notices = r.counter(
            "martlet_queue_reports_total", "Reports to senders by kind; lost: could not be stored.",
            by: NoticeLabel.self)
        pauses = r.counter(
            "martlet_queue_destination_pauses_total", "Times a destination was left alone because no host answered.")
        settleDuration = r.histogram(
            "martlet_queue_settle_duration_seconds", "Time of one write of outcomes.", unit: .seconds,
            bounds: Buckets.durations)
        settleFailures = r.counter(
            "martlet_queue_settle_failures_total", "Outcomes that the store did not take at once.")
        leaseDuration = r.histogram(
            "martlet_queue_lease_duration_seconds", "Time of taking rows from the queue.", unit: .seconds,
            bounds: Buckets.durations)
        inFlight = r.gauge("martlet_queue_in_flight_jobs", "Messages at delivery workers now.")
        ready = r.gauge("martlet_queue_ready_jobs", "Messages in memory that wait for a place at their destination.")
        slotsFree = r.gauge("martlet_queue_free_slots", "Messages that could be taken into memory now.")
    }
}

/// Tells metrics and log what the scheduler does; on its thread.
final class QueueObserver: SchedulerObserver {
    private let metrics: QueueMetrics
    private let log: Log

    init(metrics: QueueMetrics, log: Log) {
        self.metrics = metrics
        self.log = log
    }

    func ended(_ result: SchedulerResult, of recipients: Int, delaySeconds: Double) {
        metrics.recipients.add(DeliveryResultLabel(result), recipients)
        if result == .delivered { metrics.delay.observe(seconds: delaySeconds) }
    }

    func noticed(_ kind: DeliveryNotice.Kind, isAccepted: Bool) {
        guard isAccepted else { return metrics.notices.add(.lost) }
        switch kind {
        case .failed: metrics.notices.add(.failed)
        case .delayed: metrics.notices.add(.delayed)
        case .delivered: metrics.notices.add(.delivered)
        case .relayed: metrics.notices.add(.relayed)
        }
    }

    func sitePaused(_ site: [UInt8], seconds: Double, failure: DeliveryFailure) {
        metrics.pauses.add()
        log.warning("destination_paused") {
            $0.add("destination", site)
            $0.add("duration", seconds: seconds)
            $0.add("reason", failure.text)
        }
    }

    func leased(rows: Int, seconds: Double) { metrics.leaseDuration.observe(seconds: seconds) }

    func settled(rows: Int, fenced: Int, seconds: Double) {
        metrics.settleDuration.observe(seconds: seconds)
        if fenced > 0 { log.warning("queue_rows_not_ours") { $0.add("rows", fenced) } }
    }

    func settleFailed(rows: Int) {
        metrics.settleFailures.add(rows)
        log.error("queue_settle_failed") { $0.add("rows", rows) }
    }

    func started(rows: Int, sites: Int, takenBack: Int, seconds: Double) {
        log.notice("queue_read") {
            $0.add("rows", rows)
            $0.add("destinations", sites)
            $0.add("taken_back", takenBack)
            $0.add("duration", seconds: seconds)
        }
    }

    func holding(inFlight: Int, ready: Int, slotsFree: Int) {
        metrics.inFlight.set(inFlight)
        metrics.ready.set(ready)
        metrics.slotsFree.set(slotsFree)
    }
}
