/// The rates one client address may reach; 0: no limit. A network of addresses may reach `networkFactor` times as much.
package struct RateLimits: Sendable, Hashable {
    package var connectionsPerMinute = 0
    package var messagesPerMinute = 0
    package var recipientsPerMinute = 0
    /// In ten minutes.
    package var failedLogins = 10
    package var networkFactor = 4

    private static let loginSeconds = 600

    package init() {}

    package var connections: TokenBucket.Rate { .perMinute(connectionsPerMinute) }
    package var messages: TokenBucket.Rate { .perMinute(messagesPerMinute) }
    package var recipients: TokenBucket.Rate { .perMinute(recipientsPerMinute) }
    package var logins: TokenBucket.Rate { TokenBucket.Rate(failedLogins, perSeconds: Self.loginSeconds) }

    /// What all clients of one network may do together.
    package var network: RateLimits {
        var all = self
        all.connectionsPerMinute = scaled(connectionsPerMinute)
        all.messagesPerMinute = scaled(messagesPerMinute)
        all.recipientsPerMinute = scaled(recipientsPerMinute)
        all.failedLogins = scaled(failedLogins)
        return all
    }

    private func scaled(_ rate: Int) -> Int {
        let (value, overflow) = rate.multipliedReportingOverflow(by: max(1, networkFactor))
        return overflow ? .max : value
    }
}

/// Whether a message or a recipient is within its client's rates.
package enum RateVerdict: Sendable, Hashable {
    case taken
    /// The client's, or its whole network's; it would be taken again after `seconds`, at least 1.
    case tooFast(perNetwork: Bool, seconds: Int)
}

/// Whether a client may connect.
package enum AdmissionVerdict: Sendable, Hashable {
    case admitted
    /// All connections are taken, but for those kept for clients known to be good.
    case full
    case fullForPeer
    case fullForNetwork
    case tooFast(perNetwork: Bool)
    /// It went on guessing passwords after it was told to stop.
    case tooManyFailedLogins
    /// The server is under pressure and does not know the client to be good.
    case shed
}
