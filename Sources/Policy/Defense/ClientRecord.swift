package import Base

/// What is known of one client address, or of one network of them: connections, rates, failures, deliveries. Pure and of
/// fixed size; tables of clients hold it by value.
package struct ClientRecord: Sendable, Hashable {
    /// A client that had mail accepted is known to be good for so long after.
    package static let goodSeconds = 86_400.0
    /// … as long as it has this many accepted messages for each failure.
    private static let deliveriesPerFailure = 5
    /// Who owes twice what the limit of failed logins allows is not let in.
    private static let loginBuckets: UInt64 = 2

    package private(set) var open: Int32 = 0
    /// When it was last dealt with: the stalest record makes room.
    package private(set) var touched = Instant(nanoseconds: 0)
    package private(set) var refused = Refused()
    private var connections = TokenBucket()
    private var messages = TokenBucket()
    private var recipients = TokenBucket()
    private var logins = TokenBucket()
    private var tarpit = Tarpitting()
    private var slowedUntil = Instant(nanoseconds: 0)
    private var goodUntil = Instant(nanoseconds: 0)
    private var deliveries: UInt32 = 0

    package init() {}

    /// How often it was told no, since the record began or was released.
    package struct Refused: Sendable, Hashable {
        package var connections: UInt32 = 0
        package var messages: UInt32 = 0
        package var recipients: UInt32 = 0
        package var logins: UInt32 = 0

        package init() {}

        package var total: Int { Int(connections) + Int(messages) + Int(recipients) + Int(logins) }
    }

    /// The limits that one record is held to.
    package struct EntryRules: Sendable {
        /// 0: no limit.
        package var openMax: Int
        package var rates: RateLimits
        package var isNetwork: Bool
        /// Held to nothing.
        package var isExempt: Bool
        /// What a client gets that is not known to be good; nil: it is let in like others.
        package var unknown: AdmissionVerdict?

        package init(
            openMax: Int, rates: RateLimits, isNetwork: Bool = false, isExempt: Bool = false,
            unknown: AdmissionVerdict? = nil
        ) {
            self.openMax = openMax
            self.rates = rates
            self.isNetwork = isNetwork
            self.isExempt = isExempt
            self.unknown = unknown
        }
    }

    // MARK: Connections

    package mutating func enter(_ rules: EntryRules, _ now: Instant) -> AdmissionVerdict {
        touched = now
        let verdict = rules.isExempt ? .admitted : judge(rules, now)
        if verdict == .admitted { open += 1 } else { Self.raise(&refused.connections) }
        return verdict
    }

    private mutating func judge(_ rules: EntryRules, _ now: Instant) -> AdmissionVerdict {
        if let unknown = rules.unknown, !isKnownGood(now) { return unknown }
        if rules.openMax > 0, Int(open) >= rules.openMax { return rules.isNetwork ? .fullForNetwork : .fullForPeer }
        if !rules.isNetwork, !logins.hasToken(rules.rates.logins, now, of: Self.loginBuckets) {
            return .tooManyFailedLogins
        }
        let wait = connections.take(rules.rates.connections, now)
        return wait == 0 ? .admitted : .tooFast(perNetwork: rules.isNetwork)
    }

    package mutating func leave() { open = max(0, open - 1) }

    // MARK: Rates

    /// 0: taken; else nanoseconds until it would be.
    package mutating func message(_ rates: RateLimits, _ now: Instant) -> UInt64 {
        touched = now
        let wait = messages.take(rates.messages, now)
        if wait > 0 { Self.raise(&refused.messages) }
        return wait
    }

    package mutating func recipient(_ rates: RateLimits, _ now: Instant) -> UInt64 {
        touched = now
        let wait = recipients.take(rates.recipients, now)
        if wait > 0 { Self.raise(&refused.recipients) }
        return wait
    }

    // MARK: Logins

    package mutating func loginFailed(_ rates: RateLimits, _ now: Instant) {
        touched = now
        logins.charge(rates.logins, now, upTo: Self.loginBuckets)
    }

    /// An attempt that is not allowed counts as a failed one: who goes on is not let in any more.
    package mutating func mayLogin(_ rates: RateLimits, _ now: Instant) -> Bool {
        if logins.hasToken(rates.logins, now) { return true }
        loginFailed(rates, now)
        Self.raise(&refused.logins)
        return false
    }

    // MARK: Conduct

    /// The answer is how many failures there were before.
    package mutating func fail(_ now: Instant) -> Int {
        touched = now
        return tarpit.fail(now)
    }

    package func failures(_ now: Instant) -> Int { tarpit.failures(now) }

    /// How long the next answer is held; noted, for the operators.
    package mutating func tarpitSeconds(max: Int, _ now: Instant) -> Int {
        let seconds = Tarpitting.delaySeconds(failures: tarpit.failures(now), maxSeconds: max)
        if seconds > 0 { slowedUntil = now.advanced(bySeconds: Double(seconds)) }
        return seconds
    }

    package func slowedSeconds(_ now: Instant) -> Double { slowedUntil.seconds(since: now) }

    /// It proved itself: by mail that was accepted, or by a login.
    package mutating func proved(_ now: Instant) {
        touched = now
        if now >= goodUntil { deliveries = 0 }
        Self.raise(&deliveries)
        goodUntil = now.advanced(bySeconds: Self.goodSeconds)
    }

    package func isKnownGood(_ now: Instant) -> Bool {
        now < goodUntil && failures(now) * Self.deliveriesPerFailure <= Int(deliveries)
    }

    /// Whether there is anything that `release` would undo.
    package func isHeldBack(_ rates: RateLimits, _ now: Instant) -> Bool {
        refused != Refused() || failures(now) > 0 || spent(rates, now).total > 0
    }

    /// Forgets what it did wrong; open connections and its good name stay.
    package mutating func release() {
        refused = Refused()
        connections = TokenBucket()
        messages = TokenBucket()
        recipients = TokenBucket()
        logins = TokenBucket()
        tarpit.forgive()
        slowedUntil = Instant(nanoseconds: 0)
    }

    /// What is used up of each rate.
    package struct Spent: Sendable, Hashable {
        package var connections: Int
        package var messages: Int
        package var recipients: Int
        package var failedLogins: Int

        package var total: Int { connections + messages + recipients + failedLogins }
    }

    package func spent(_ rates: RateLimits, _ now: Instant) -> Spent {
        Spent(
            connections: connections.spent(rates.connections, now), messages: messages.spent(rates.messages, now),
            recipients: recipients.spent(rates.recipients, now), failedLogins: logins.spent(rates.logins, now))
    }

    private static func raise(_ count: inout UInt32) { count += count < .max ? 1 : 0 }
}
