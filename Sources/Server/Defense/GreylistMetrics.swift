import Policy
package import Telemetry

/// What greylisting said to one recipient.
package enum GreylistOutcomeLabel: Int, MetricLabel {
    case new, early, passed, known, skipped
    package static var label: String { "outcome" }

    init(_ decision: GreylistDecision) {
        switch decision {
        case .deferNew: self = .new
        case .deferEarly: self = .early
        case .passedNow: self = .passed
        case .known: self = .known
        case .skipped: self = .skipped
        }
    }
}

package enum GreylistSkipLabel: Int, MetricLabel {
    case off, trusted, noClient, allowedClient, allowedDomain, skipDomain, score
    package static var label: String { "reason" }
    package var text: String { GreylistSkip.allCases[rawValue].rawValue }

    init(_ skip: GreylistSkip) {
        self = GreylistSkip.allCases.firstIndex(of: skip).flatMap { GreylistSkipLabel(rawValue: $0) } ?? .off
    }
}

package enum GreylistStateLabel: Int, MetricLabel {
    case new, waiting, known
    package static var label: String { "state" }

    init(_ state: GreylistRecord.State) {
        switch state {
        case .new: self = .new
        case .waiting: self = .waiting
        case .known: self = .known
        }
    }
}

/// What greylisting caught, what it delayed, and how its book and journal fare.
package struct GreylistMetrics: Sendable {
    package let outcomes: LabeledCounter<GreylistOutcomeLabel>
    package let skips: LabeledCounter<GreylistSkipLabel>
    package let caught: Counter
    package let delay: Counter
    package let pushedOut: LabeledCounter<GreylistStateLabel>
    package let entries: LabeledGauge<GreylistStateLabel>
    package let journalFrames: Counter
    package let journalDropped: Counter
    package let journalErrors: Counter
    package let journalRewrites: Counter
    package let journalOctets: Gauge

    package init(_ r: Registry) {
        outcomes = r.counter(
            "martlet_greylist_decisions_total", "Recipients by what greylisting said of them.",
            by: GreylistOutcomeLabel.self)
        skips = r.counter(
            "martlet_greylist_skipped_total",
            "Recipients here that were not greylisted, by reason; off: their domain does not greylist, and like who is logged in, may relay or comes by LMTP they are in no decision.",
            by: GreylistSkipLabel.self)
        caught = r.counter(
            "martlet_greylist_caught_total", "Triplets that never came back within their window.")
        delay = r.counter(
            "martlet_greylist_delay_seconds_total", "Delay that greylisting caused to mail that was then taken.",
            unit: .seconds)
        pushedOut = r.counter(
            "martlet_greylist_pushed_out_total", "Entries forgotten early because the book was full, by their state.",
            by: GreylistStateLabel.self)
        entries = r.gauge("martlet_greylist_entries", "Entries of the greylist book.", by: GreylistStateLabel.self)
        journalFrames = r.counter(
            "martlet_defense_journal_changes_total", "Changes written to the defence journal.")
        journalDropped = r.counter(
            "martlet_defense_journal_dropped_total",
            "Changes that were not written because the journal's thread was behind or the disk full.")
        journalErrors = r.counter(
            "martlet_defense_journal_errors_total", "Failed writes, syncs and rewrites of the defence journal.")
        journalRewrites = r.counter(
            "martlet_defense_journal_rewrites_total", "Times the defence journal was rewritten to its live state.")
        journalOctets = r.gauge(
            "martlet_defense_journal_size_bytes", "Bytes of the defence journal.", unit: .bytes)
    }
}
