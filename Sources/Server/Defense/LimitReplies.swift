import Ledger
package import Policy
import Protocols

/// What clients are told that a limit refuses, and what the record says of it: the limit, by the name it is set by. The
/// id that ends each reply is added by who sends it.
package enum LimitReplies {
    // RFC 5321 §3.8: 421 says that the connection will be closed. RFC 3463 §3.4: X.3.2, no messages now; RFC 3463 §3.8:
    // X.7.0, what a policy decided.
    private static let full = Reply(421, EnhancedStatus(4, 3, 2), "Too many connections, try again later")
    private static let shed = Reply(421, EnhancedStatus(4, 3, 2), "The server is overloaded, try again later")
    private static let fullForPeer = Reply(
        421, EnhancedStatus(4, 7, 0), "Too many connections at once from your address, try again later")
    private static let fullForNetwork = Reply(
        421, EnhancedStatus(4, 7, 0), "Too many connections at once from your network, try again later")
    private static let tooFastForPeer = Reply(
        421, EnhancedStatus(4, 7, 0), "Your address connects too often, try again later")
    private static let tooFastForNetwork = Reply(
        421, EnhancedStatus(4, 7, 0), "Your network connects too often, try again later")
    private static let loginsClosed = Reply(
        421, EnhancedStatus(4, 7, 0), "Too many failed logins from your address, try again later")

    // RFC 4954 §6: 454 4.7.0, a temporary failure; the credentials were not looked at.
    private static let loginsRefused = Reply(
        454, EnhancedStatus(4, 7, 0), "Too many failed logins from your address, try again later")

    private static let loginsOfNetworkRefused = Reply(
        454, EnhancedStatus(4, 7, 0), "Too many failed logins from your network, try again later")

    /// nil: admitted.
    /// `known`: to be good, or exempt; who has the reserve as well.
    package static func connection(
        _ verdict: AdmissionVerdict, _ settings: LimitSettings, known: Bool = false
    ) -> DefenseEvent? {
        switch verdict {
        case .admitted: nil
        case .full:
            closed(
                full,
                known
                    ? "all of smtp.max_connections (\(settings.maxConnections)) are taken, the reserve for known clients as well"
                    : "all but the reserve of smtp.max_connections (\(settings.maxConnections)) are taken",
                DefenseFigures.Limit("smtp.max_connections", settings.maxConnections))
        case .shed: closed(shed, "under pressure only clients known to be good are served")
        case .fullForPeer:
            closed(
                fullForPeer, "smtp.max_connections_per_ip is \(settings.maxConnectionsPerIP)",
                DefenseFigures.Limit("smtp.max_connections_per_ip", settings.maxConnectionsPerIP))
        case .fullForNetwork:
            closed(
                fullForNetwork, "smtp.max_connections_per_network is \(settings.maxConnectionsPerNetwork)",
                DefenseFigures.Limit(
                    "smtp.max_connections_per_network", settings.maxConnectionsPerNetwork, isOfNetwork: true))
        case .tooFast(false):
            closed(
                tooFastForPeer, "\(connectionsKey) is \(settings.rates.connectionsPerMinute)",
                DefenseFigures.Limit(connectionsKey, settings.rates.connectionsPerMinute))
        case .tooFast(true):
            closed(
                tooFastForNetwork,
                "\(connectionsKey) is \(settings.rates.connectionsPerMinute), \(forNetwork(settings))",
                DefenseFigures.Limit(connectionsKey, settings.rates.network.connectionsPerMinute, isOfNetwork: true))
        case .tooManyFailedLogins:
            closed(
                loginsClosed, "it goes on after the limit: \(loginsKey) is \(settings.rates.failedLogins)",
                DefenseFigures.Limit(loginsKey, settings.rates.failedLogins))
        }
    }

    /// Answers MAIL; nil: taken.
    package static func message(_ verdict: RateVerdict, _ settings: LimitSettings) -> DefenseEvent? {
        rate(
            verdict, "messages", "smtp.rate_limit.messages_per_minute", settings.rates.messagesPerMinute, settings)
    }

    /// Answers RCPT; nil: taken.
    package static func recipient(_ verdict: RateVerdict, _ settings: LimitSettings) -> DefenseEvent? {
        rate(
            verdict, "recipients", "smtp.rate_limit.recipients_per_minute", settings.rates.recipientsPerMinute, settings
        )
    }

    /// Answers MAIL of a user; nil: taken.
    package static func accountMessage(
        _ verdict: AccountVerdict, _ limits: AccountLimits, _ account: [UInt8]
    ) -> DefenseEvent? {
        accountRate(verdict, "messages", limits.messagesPerHour, account)
    }

    /// Answers RCPT of a user; nil: taken.
    package static func accountRecipient(
        _ verdict: AccountVerdict, _ limits: AccountLimits, _ account: [UInt8]
    ) -> DefenseEvent? {
        accountRate(verdict, "recipients", limits.recipientsPerHour, account)
    }

    // RFC 5321 §4.2.3: 450. RFC 3463 §3.8: X.7.1, not permitted.
    private static func accountRate(
        _ verdict: AccountVerdict, _ what: String, _ limit: Int, _ account: [UInt8]
    ) -> DefenseEvent? {
        guard case .tooMany(let seconds) = verdict else { return nil }
        return DefenseEvent(
            .rate, .deferred,
            detail: "smtp.rate_limit.account_\(what)_per_hour is \(limit), used up by \(account.shownText)",
            reply: Reply(
                450, EnhancedStatus(4, 7, 1), "Too many \(what) from your account, try again in \(seconds) s"))
    }

    /// Answers AUTH when `mayLogin` says no.
    package static func login(_ settings: LimitSettings, perNetwork: Bool = false) -> DefenseEvent {
        let limit = "\(loginsKey) is \(settings.rates.failedLogins) in ten minutes"
        var event = DefenseEvent(
            .limit, .deferred,
            detail: perNetwork ? "\(limit), \(settings.rates.networkFactor) times that for a network" : limit,
            reply: perNetwork ? loginsOfNetworkRefused : loginsRefused)
        event.figures = .limit(DefenseFigures.Limit(loginsKey, settings.rates.failedLogins))
        return event
    }

    private static let connectionsKey = "smtp.rate_limit.connections_per_minute"
    private static let loginsKey = "smtp.rate_limit.failed_logins"

    private static func closed(
        _ reply: Reply, _ detail: String, _ figures: DefenseFigures.Limit? = nil
    ) -> DefenseEvent {
        var event = DefenseEvent(.limit, .closed, detail: detail, reply: reply)
        event.figures = figures.map { .limit($0) }
        return event
    }

    // RFC 5321 §4.3.2: 451 answers MAIL and RCPT alike. RFC 3463 §3.8: X.7.1, not permitted.
    private static func rate(
        _ verdict: RateVerdict, _ what: String, _ key: String, _ limit: Int, _ settings: LimitSettings
    ) -> DefenseEvent? {
        guard case .tooFast(let perNetwork, let seconds) = verdict else { return nil }
        let whose = perNetwork ? "network" : "address"
        let reply = Reply(
            451, EnhancedStatus(4, 7, 1), "Too many \(what) from your \(whose), try again in \(seconds) s")
        let detail = "\(key) is \(limit)" + (perNetwork ? ", \(forNetwork(settings))" : "")
        var event = DefenseEvent(.limit, .deferred, detail: detail, reply: reply)
        let factor = perNetwork ? max(1, settings.rates.networkFactor) : 1
        event.figures = .limit(
            DefenseFigures.Limit(
                key, limit.multipliedReportingOverflow(by: factor).partialValue, isOfNetwork: perNetwork,
                retrySeconds: seconds))
        return event
    }

    private static func forNetwork(_ settings: LimitSettings) -> String {
        "smtp.rate_limit.network_factor gives a network \(settings.rates.networkFactor) times that"
    }
}
