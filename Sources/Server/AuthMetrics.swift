package import Policy
package import Protocols
package import Telemetry

package enum AuthMethodLabel: Int, MetricLabel {
    case spf, helo, dkim, arc, dmarc, iprev, bimi
    package static var label: String { "method" }
}

/// The words of RFC 8601 §2.7.
package enum CheckResultLabel: Int, MetricLabel {
    case absent, pass, fail, softfail, neutral, policy, temperror, permerror
    package static var label: String { "result" }
    package var text: String { self == .absent ? "none" : "\(self)" }

    package init(_ result: AuthResult) {
        switch result {
        case .absent: self = .absent
        case .pass: self = .pass
        case .fail: self = .fail
        case .softfail: self = .softfail
        case .neutral: self = .neutral
        case .policy: self = .policy
        case .temperror: self = .temperror
        case .permerror: self = .permerror
        }
    }
}

package enum ActionLabel: Int, MetricLabel {
    case accept, quarantine, postpone, reject
    package static var label: String { "action" }
    package var text: String { self == .postpone ? "defer" : "\(self)" }

    package init(_ action: Disposition.Action) {
        switch action {
        case .accept: self = .accept
        case .quarantine: self = .quarantine
        case .postpone: self = .postpone
        case .reject: self = .reject
        }
    }
}

package enum RuleLabel: Int, MetricLabel {
    case noObjection, trustedClient, brokenFrom, spfFail, spfTemporary, dmarcPass, dmarcPolicy, dmarcTemporary
    package static var label: String { "rule" }
    package var text: String { rule.rawValue }

    package init(_ rule: Disposition.Rule) {
        self = RuleLabel(rawValue: Disposition.Rule.allCases.firstIndex(of: rule) ?? 0) ?? .noObjection
    }

    private var rule: Disposition.Rule { Disposition.Rule.allCases[rawValue] }
}

/// What the checks of inbound mail came to.
package struct AuthMetrics: Sendable {
    package let results: PairCounter<AuthMethodLabel, CheckResultLabel>
    package let decisions: PairCounter<ActionLabel, RuleLabel>
    package let verdictDuration: Histogram
    package let questions: Histogram

    package init(_ r: Registry) {
        results = r.counter(
            "martlet_auth_results_total", "Checks of received mail by method and result; one for each signature.",
            by: AuthMethodLabel.self, CheckResultLabel.self)
        decisions = r.counter(
            "martlet_auth_decisions_total", "What was decided of received mail and by which rule.",
            by: ActionLabel.self, RuleLabel.self)
        verdictDuration = r.histogram(
            "martlet_auth_verdict_duration_seconds", "Time from the final dot to the verdict of all checks.",
            unit: .seconds, bounds: Buckets.durations)
        questions = r.histogram(
            "martlet_auth_questions", "DNS questions that one message's checks wanted answered.", unit: .items,
            bounds: Buckets.batches)
    }

    func count(_ results: AuthResults) {
        if let spf = results.spf { self.results.add(.spf, CheckResultLabel(spf.result)) }
        if let helo = results.helo { self.results.add(.helo, CheckResultLabel(helo.result)) }
        if results.dkim.isEmpty { self.results.add(.dkim, .absent) }
        for signature in results.dkim { self.results.add(.dkim, CheckResultLabel(signature.result)) }
        if let arc = results.arc { self.results.add(.arc, CheckResultLabel(arc.result)) }
        if let dmarc = results.dmarc { self.results.add(.dmarc, CheckResultLabel(dmarc.result)) }
        if let iprev = results.iprev { self.results.add(.iprev, CheckResultLabel(iprev.result)) }
    }
}
