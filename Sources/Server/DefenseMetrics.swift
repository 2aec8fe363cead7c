package import Policy
package import Telemetry

package enum DefenseControlLabel: Int, MetricLabel {
    case limit, greylist, tarpit, score, milter, pressure, poison, proxy, directory, `protocol`, login, store, rate
    package static var label: String { "control" }

    package init(_ control: DefenseEvent.Control) {
        switch control {
        case .limit: self = .limit
        case .greylist: self = .greylist
        case .tarpit: self = .tarpit
        case .score: self = .score
        case .milter: self = .milter
        case .pressure: self = .pressure
        case .poison: self = .poison
        case .proxy: self = .proxy
        case .directory: self = .directory
        case .protocol: self = .protocol
        case .login: self = .login
        case .store: self = .store
        case .rate: self = .rate
        }
    }
}

package enum DefenseEffectLabel: Int, MetricLabel {
    case noted, passed, slowed, deferred, refused, closed, quarantined, discarded, modified
    package static var label: String { "effect" }

    package init(_ effect: DefenseEvent.Effect) {
        switch effect {
        case .noted: self = .noted
        case .passed: self = .passed
        case .slowed: self = .slowed
        case .deferred: self = .deferred
        case .refused: self = .refused
        case .closed: self = .closed
        case .quarantined: self = .quarantined
        case .discarded: self = .discarded
        case .modified: self = .modified
        }
    }

    /// The client got less than it asked for.
    package var isRefusal: Bool {
        switch self {
        case .deferred, .refused, .closed: true
        case .noted, .passed, .slowed, .quarantined, .discarded, .modified: false
        }
    }
}

/// Which limit refused something.
package enum LimitLabel: Int, MetricLabel {
    case connections, connectionsPerIP, connectionsPerNetwork
    case connectionRate, networkConnectionRate, messageRate, recipientRate, failedLogins
    case accountMessages, accountRecipients
    package static var label: String { "limit" }
    package var text: String {
        switch self {
        case .connections: "connections"
        case .connectionsPerIP: "connections_per_ip"
        case .connectionsPerNetwork: "connections_per_network"
        case .connectionRate: "connection_rate"
        case .networkConnectionRate: "network_connection_rate"
        case .messageRate: "message_rate"
        case .recipientRate: "recipient_rate"
        case .failedLogins: "failed_logins"
        case .accountMessages: "account_message_rate"
        case .accountRecipients: "account_recipient_rate"
        }
    }
}

/// Which way a DNS list's answer weighs.
package enum ListSignLabel: Int, MetricLabel {
    case block, welcome, broken
    package static var label: String { "list" }
}

/// What the defences do: one event counts once here, whatever else counts it. Counted on the loops.
package struct DefenseMetrics: Sendable {
    package let events: PairCounter<DefenseControlLabel, DefenseEffectLabel>
    package let limits: LabeledCounter<LimitLabel>
    /// Sessions whose answer is held back now.
    package let held: Gauge
    package let heldDuration: Histogram
    /// Sessions not held although they were to be: too many are, or the server is under pressure.
    package let holdsSkipped: Counter
    /// Sessions whose client left before the answer that was held back.
    package let holdsAbandoned: Counter
    package let earlyTalkers: Counter
    /// Refused connections told of by a record that stands for several.
    package let summarised: Counter
    package let listHits: LabeledCounter<ListSignLabel>
    package let scores: Histogram

    package init(_ r: Registry) {
        events = r.counter(
            "martlet_defense_events_total", "What defences and other rules did or noted, by control and effect.",
            by: DefenseControlLabel.self, DefenseEffectLabel.self)
        limits = r.counter(
            "martlet_limit_refusals_total", "Connections, messages, recipients and logins over a limit.",
            by: LimitLabel.self)
        held = r.gauge("martlet_tarpit_held_sessions", "Sessions whose reply is held back now.")
        heldDuration = r.histogram(
            "martlet_tarpit_delay_seconds", "How long replies were held back.", unit: .seconds,
            bounds: Buckets.durations)
        holdsSkipped = r.counter(
            "martlet_tarpit_skipped_total",
            "Replies not held back: too many were, under pressure, or in a burst that ended a session or a message.")
        holdsAbandoned = r.counter(
            "martlet_tarpit_abandoned_total", "Clients that left while their reply was held back.")
        summarised = r.counter(
            "martlet_refusals_summarised_total",
            "Refused connections that share an id and a record with others of their network, because they came in a flood."
        )
        earlyTalkers = r.counter("martlet_early_talkers_total", "Clients that spoke before the banner.")
        listHits = r.counter(
            "martlet_dns_list_hits_total", "Answers of DNS lists that name a client; broken: not an answer of a list.",
            by: ListSignLabel.self)
        scores = r.histogram(
            "martlet_client_score", "What is known against clients, added up; welcome ones count as 0.", unit: .items,
            bounds: [0, 1, 2, 3, 4, 5, 6, 8, 10, 15, 20])
    }

    package func count(_ event: DefenseEvent) {
        events.add(DefenseControlLabel(event.control), DefenseEffectLabel(event.effect))
    }

    package func count(_ control: DefenseEvent.Control, _ effect: DefenseEvent.Effect) {
        events.add(DefenseControlLabel(control), DefenseEffectLabel(effect))
    }

    package func observe(score: Int) { scores.observe(UInt64(max(0, score))) }
}
