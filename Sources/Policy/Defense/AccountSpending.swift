package import Base

/// What one account may send in an hour; 0: no limit.
package struct AccountLimits: Sendable, Hashable {
    package var messagesPerHour = 0
    package var recipientsPerHour = 0
    /// Accounts that no limit holds; lower case.
    package var exempt: Set<[UInt8]> = []

    private static let seconds = 3_600

    package init() {}

    package var messages: TokenBucket.Rate { TokenBucket.Rate(messagesPerHour, perSeconds: Self.seconds) }
    package var recipients: TokenBucket.Rate { TokenBucket.Rate(recipientsPerHour, perSeconds: Self.seconds) }
}

/// Whether an account may have one more message or recipient.
package enum AccountVerdict: Sendable, Hashable {
    case taken
    /// It would be taken again after so many seconds, at least 1.
    case tooMany(seconds: Int)
}

/// What is counted of one account that sends. Pure; two words and two figures, whoever it is.
package struct AccountSpending: Sendable {
    private var messages = TokenBucket()
    private var recipients = TokenBucket()
    /// Messages and recipients refused since the record is kept.
    package private(set) var refused = 0
    package private(set) var touched: Instant

    package init(_ now: Instant) { touched = now }

    package mutating func message(_ limits: AccountLimits, _ now: Instant) -> AccountVerdict {
        touched = now
        return verdict(after: messages.take(limits.messages, now))
    }

    package mutating func recipient(_ limits: AccountLimits, _ now: Instant) -> AccountVerdict {
        touched = now
        return verdict(after: recipients.take(limits.recipients, now))
    }

    private mutating func verdict(after wait: UInt64) -> AccountVerdict {
        guard wait > 0 else { return .taken }
        refused = refused == .max ? refused : refused + 1
        let seconds = wait / 1_000_000_000
        return .tooMany(seconds: Int(clamping: wait % 1_000_000_000 == 0 ? seconds : seconds + 1))
    }

    /// What is used up now.
    package func spent(_ limits: AccountLimits, _ now: Instant) -> (messages: Int, recipients: Int) {
        (messages.spent(limits.messages, now), recipients.spent(limits.recipients, now))
    }

    /// Nothing is used up: whoever forgets the record forgets no limit.
    package func isIdle(_ limits: AccountLimits, _ now: Instant) -> Bool {
        let (messages, recipients) = spent(limits, now)
        return messages == 0 && recipients == 0
    }
}
