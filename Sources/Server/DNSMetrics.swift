package import Protocols
import ResolverUnbound
package import Telemetry

/// The record type asked for.
package enum DNSTypeLabel: Int, MetricLabel {
    case a, aaaa, mx, txt, ptr, tlsa, cname
    package static var label: String { "type" }

    package init(_ type: DNSRecordType) {
        switch type {
        case .a: self = .a
        case .aaaa: self = .aaaa
        case .mx: self = .mx
        case .txt: self = .txt
        case .ptr: self = .ptr
        case .tlsa: self = .tlsa
        case .cname: self = .cname
        }
    }
}

/// How a query ended. `bogus`: DNSSEC validation failed.
package enum DNSResultLabel: Int, MetricLabel {
    case noerror, nodata, nxdomain, servfail, refused, timeout, bogus
    package static var label: String { "result" }

    package init(_ answer: DNSAnswer) {
        if answer.security == .bogus {
            self = .bogus
            return
        }
        switch answer.status {
        case .noError: self = .noerror
        case .noData: self = .nodata
        case .nxDomain: self = .nxdomain
        case .servFail: self = .servfail
        case .refused: self = .refused
        case .timeout: self = .timeout
        }
    }
}

/// Counts what the resolver thread reports.
package struct DNSMetrics: ResolverObserver {
    package let queries: PairCounter<DNSTypeLabel, DNSResultLabel>
    package let shared: Counter
    package let turnedAway: Counter
    package let remembered: Counter
    package let restarts: Counter
    package let duration: Histogram

    package init(_ r: Registry) {
        queries = r.counter(
            "martlet_dns_queries_total", "DNS queries by record type and result.",
            by: DNSTypeLabel.self, DNSResultLabel.self)
        shared = r.counter(
            "martlet_dns_shared_questions_total", "DNS questions answered by a query that was under way already.")
        turnedAway = r.counter(
            "martlet_dns_turned_away_total", "DNS questions answered as timed out because the resolver was full.")
        remembered = r.counter(
            "martlet_dns_cached_answers_total", "DNS questions answered from memory, without a query.")
        restarts = r.counter(
            "martlet_dns_restarts_total", "Fresh starts of the resolver library after a time without any answer.")
        duration = r.histogram(
            "martlet_dns_query_duration_seconds", "Time from asking a DNS question to its answer or timeout.",
            unit: .seconds, bounds: Buckets.durations)
    }

    package func answered(_ question: DNSQuestion, _ answer: DNSAnswer, nanoseconds: UInt64, shared others: Int) {
        queries.add(DNSTypeLabel(question.type), DNSResultLabel(answer))
        if others > 0 { shared.add(others) }
        duration.observe(nanoseconds)
    }

    package func refused(_ question: DNSQuestion) { turnedAway.add() }
    package func remembered(_ question: DNSQuestion) { remembered.add() }
    package func restarted() { restarts.add() }
}
