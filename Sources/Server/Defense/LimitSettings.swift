import Base
package import Policy
package import Protocols
import Synchronization

/// The limits of clients, as configured. A reload makes new ones.
package struct LimitSettings: Sendable, Hashable {
    package var maxConnections = 10_000
    package var maxConnectionsPerIP = 1_000
    /// 0: no limit.
    package var maxConnectionsPerNetwork = 0
    package var rates = RateLimits()
    /// Held to no limit but the total of connections.
    package var trusted: [AddressBlock] = []
    /// Sessions that may be slowed at once.
    package var maxHeldSessions = 2_500

    package init() {}

    package init(_ configuration: Configuration) {
        let smtp = configuration.smtp
        maxConnections = smtp.maxConnections
        maxConnectionsPerIP = smtp.maxConnectionsPerIP
        maxConnectionsPerNetwork = smtp.maxConnectionsPerNetwork
        maxHeldSessions = smtp.maxHeldSessions
        rates.connectionsPerMinute = smtp.rateLimit.connectionsPerMinute
        rates.messagesPerMinute = smtp.rateLimit.messagesPerMinute
        rates.recipientsPerMinute = smtp.rateLimit.recipientsPerMinute
        rates.failedLogins = smtp.rateLimit.failedLogins
        rates.networkFactor = smtp.rateLimit.networkFactor
        trusted = smtp.trustedNetworks.compactMap { AddressBlock($0.description) }
    }

    /// What one account may send.
    package static func accounts(_ configuration: Configuration) -> AccountLimits {
        var out = AccountLimits()
        out.messagesPerHour = configuration.smtp.rateLimit.accountMessagesPerHour
        out.recipientsPerHour = configuration.smtp.rateLimit.accountRecipientsPerHour
        out.exempt = Set(configuration.smtp.rateLimit.accountExempt.map { ASCII.lowercased(Array($0.utf8)) })
        return out
    }

    package func trusts(_ address: IPAddress) -> Bool { trusted.contains { $0.contains(address) } }
}

/// The limits in force: each loop reads them, a reload replaces them.
///
/// Shareable because the value is behind a lock that is held for one load or store.
package final class LimitPublisher: Sendable {
    private let settings: Mutex<LimitSettings>

    package init(_ settings: LimitSettings) { self.settings = Mutex(settings) }

    package var current: LimitSettings { settings.withLock { $0 } }

    /// The total of connections stays: the loops' slots were made for it at the start.
    package func publish(_ new: LimitSettings) {
        settings.withLock {
            let slots = $0.maxConnections
            $0 = new
            $0.maxConnections = slots
        }
    }
}
