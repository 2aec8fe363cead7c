package import Base

/// What is known of one client address, or of one network of them: connections, rates, failures, deliveries. Pure and of
/// fixed size; tables of clients hold it by value.
package struct ClientRecord: Sendable, Hashable {
    /// A client that had mail accepted is known to be good for so long after.
    package static let goodSeconds = 86_400.0
    /// … as long as it has this many accepted messages for each failure.
    private static let deliveriesPerFailure = 5
    /// Its good name is told to the journal this often, and that it lost it not sooner.
    package static let journalSeconds = 7_200.0

    package private(set) var open: Int32 = 0
    /// When it was last dealt with: the stalest record makes room.
    package private(set) var touched = Instant(nanoseconds: 0)
    package private(set) var refused = Refused()
    private var connections = TokenBucket()
    private var messages = TokenBucket()
    private var recipients = TokenBucket()
    private var logins = TokenBucket()
    private var reserved = Reserved()
    private var tarpit = Tarpitting()
    private var slowedUntil = Instant(nanoseconds: 0)
    private var goodUntil = Instant(nanoseconds: 0)
    private var deliveries: UInt32 = 0
    /// What the journal was told last is that it is good.
    package private(set) var isJournaledGood = false
    private var journaledNext = Instant(nanoseconds: 0)

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

    /// Logins that were allowed and have no result yet, each with its token taken.
    private struct Reserved: Hashable {
        var count: UInt16 = 0
        /// Of those, how many took a token of the client's network as well.
        var ofNetwork: UInt16 = 0
        /// What the tokens were taken from; a reload may change it meanwhile.
        var rate = TokenBucket.Rate(0, perSeconds: 1)
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
        if !rules.isNetwork, logins.owes(rules.rates.logins, now) { return .tooManyFailedLogins }
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

    /// Takes the token before the credentials are looked at: however many are tried at once, no more pass than the limit
    /// allows. An attempt that is not allowed costs one token beyond them, so that who goes on is not let in for a while,
    /// and who comes after it is not shut out for long.
    package mutating func mayLogin(_ rates: RateLimits, _ now: Instant) -> Bool {
        touched = now
        guard rates.logins.isLimited else { return true }
        guard logins.take(rates.logins, now) == 0 else {
            logins.charge(rates.logins, now)
            Self.raise(&refused.logins)
            return false
        }
        reserved.count += reserved.count < .max ? 1 : 0
        reserved.rate = rates.logins
        return true
    }

    /// The attempt that was just allowed took a token of the network too.
    package mutating func noteNetworkLogin() { reserved.ofNetwork += reserved.ofNetwork < .max ? 1 : 0 }

    /// What an attempt had taken.
    package enum LoginTokens: Sendable, Hashable { case none, own, ownAndNetwork }

    /// The attempt has a result: wrong credentials keep its token, anything else gives it back.
    package mutating func endLogin(givesBack: Bool, _ now: Instant) -> LoginTokens {
        touched = now
        guard reserved.count > 0 else { return .none }
        reserved.count -= 1
        if givesBack { logins.giveBack(reserved.rate, now) }
        guard reserved.ofNetwork > 0 else { return .own }
        reserved.ofNetwork -= 1
        return .ownAndNetwork
    }

    /// Wrong credentials of an attempt that nothing was taken for.
    package mutating func chargeLogin(_ rates: RateLimits, _ now: Instant) {
        touched = now
        logins.charge(rates.logins, now)
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

    /// It proved itself: by mail that was accepted, or by a login. The answer is what the journal has to be told; nil:
    /// nothing, it knows.
    @discardableResult
    package mutating func proved(_ now: Instant) -> GoodName? {
        touched = now
        if now >= goodUntil { deliveries = 0 }
        Self.raise(&deliveries)
        goodUntil = now.advanced(bySeconds: Self.goodSeconds)
        guard now >= journaledNext, let name = goodName(now) else { return nil }
        isJournaledGood = true
        journaledNext = now.advanced(bySeconds: Self.journalSeconds)
        return name
    }

    /// Whether the journal has to be told that it is not good any more.
    package mutating func lostItsGoodName(_ now: Instant) -> Bool {
        guard isJournaledGood, now < goodUntil, !isKnownGood(now) else { return false }
        isJournaledGood = false
        journaledNext = now.advanced(bySeconds: Self.journalSeconds)
        return true
    }

    /// What outlives a restart of a client that is known to be good.
    package struct GoodName: Sendable, Hashable {
        /// How much longer it is; at most `goodSeconds`.
        package var seconds: Double
        package var deliveries: UInt32

        package init(seconds: Double, deliveries: UInt32) {
            self.seconds = seconds
            self.deliveries = deliveries
        }
    }

    /// nil: it is not known to be good.
    package func goodName(_ now: Instant) -> GoodName? {
        guard isKnownGood(now) else { return nil }
        return GoodName(seconds: goodUntil.seconds(since: now), deliveries: deliveries)
    }

    /// What a journal held of it.
    package mutating func restore(_ name: GoodName, _ now: Instant) {
        touched = now
        let seconds = min(max(0, name.seconds), Self.goodSeconds)
        goodUntil = now.advanced(bySeconds: seconds)
        deliveries = name.deliveries
        isJournaledGood = seconds > 0
        journaledNext = now.advanced(bySeconds: max(0, seconds - Self.goodSeconds + Self.journalSeconds))
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
        reserved = Reserved()
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
