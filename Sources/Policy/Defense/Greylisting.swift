package import Base
package import Protocols

/// Greylisting as a pure function: what is remembered, the time and the domain's rules make a decision and what is to be
/// remembered next (RFC 6647). Time is civil time, because records outlive the process.
package enum Greylisting {
    /// What never came back is kept this long, so that operators can look at it.
    package static let forgottenAfterSeconds = 30 * 86_400

    /// What is known of a client and its mail before anything is looked up.
    package struct Attempt: Sendable {
        /// nil: a local socket.
        package var address: IPAddress?
        /// Logged in, or from a network that may relay.
        package var isTrusted = false
        /// The domain of the envelope sender (of HELO for the null one) that SPF passed for the client.
        package var provenDomain: [UInt8]?
        /// Of the client, when it was made; what block and welcome lists add up to.
        package var score: Int?
        package var sender: [UInt8]
        package var recipient: [UInt8]
        /// The receiving domain.
        package var domain: [UInt8]

        package init(address: IPAddress?, sender: [UInt8], recipient: [UInt8], domain: [UInt8]) {
            self.address = address
            self.sender = sender
            self.recipient = recipient
            self.domain = domain
        }

        /// nil: there is nothing to know the client by.
        package var key: GreylistKey? {
            address.map {
                GreylistKey(
                    address: $0, provenDomain: provenDomain, sender: sender, recipient: recipient, domain: domain)
            }
        }
    }

    /// A decision and what is remembered after it; nil: nothing.
    package struct Outcome: Sendable, Hashable {
        package var decision: GreylistDecision
        package var pair: GreylistRecord?
        package var triplet: GreylistRecord?

        package init(_ decision: GreylistDecision, pair: GreylistRecord?, triplet: GreylistRecord?) {
            self.decision = decision
            self.pair = pair
            self.triplet = triplet
        }
    }

    /// Why the attempt is none of greylisting's business; nil: it is.
    // RFC 6647 §2.7: exceptions by address, by authentication and by reputation.
    package static func skip(
        _ attempt: Attempt, _ policy: DomainDefense.Greylist, _ exceptions: DefenseExceptionsIndex
    ) -> GreylistSkip? {
        if !policy.isOn { return .off }
        if attempt.isTrusted { return .trusted }
        guard let address = attempt.address else { return .noClient }
        if exceptions.greylist.contains(address) { return .allowedClient }
        // Anybody can write any domain into MAIL FROM: only a proven one counts.
        if let proven = attempt.provenDomain, exceptions.isAllowed(domain: proven) { return .allowedDomain }
        if let proven = attempt.provenDomain, covers(policy.skipDomains, proven) { return .skipDomain }
        if let limit = policy.skipScore, let score = attempt.score, score <= limit { return .score }
        return nil
    }

    /// `pair` is the known sender of the whole domain, `triplet` the one that waits.
    package static func decide(
        pair: GreylistRecord?, triplet: GreylistRecord?, now: WallTime, _ policy: DomainDefense.Greylist
    ) -> Outcome {
        if var pair, !isExpired(pair, now: now, policy) {
            pair.lastSeen = now
            pair.attempts = pair.attempts &+ (pair.attempts == .max ? 0 : 1)
            guard let triplet, age(triplet, now: now) <= window(policy) else {
                return Outcome(.known, pair: pair, triplet: nil)
            }
            // Another recipient of the domain brought the sender in meanwhile.
            return Outcome(.passedNow(delaySeconds: age(triplet, now: now)), pair: pair, triplet: nil)
        }
        guard var triplet, age(triplet, now: now) <= window(policy) else { return anew(now, policy) }
        // A clock that was set back: the wait begins now, so that it ends.
        if triplet.firstSeen > now { triplet.firstSeen = now }
        let waited = age(triplet, now: now)
        triplet.lastSeen = now
        if waited >= policy.delaySeconds {
            let known = GreylistRecord(state: .known, firstSeen: triplet.firstSeen, lastSeen: now, attempts: 1)
            return Outcome(.passedNow(delaySeconds: waited), pair: known, triplet: nil)
        }
        triplet.state = .waiting
        triplet.attempts = triplet.attempts &+ (triplet.attempts == .max ? 0 : 1)
        let left = policy.delaySeconds - waited
        return Outcome(
            .deferEarly(secondsLeft: left, closes: policy.earlyReply == .close), pair: nil, triplet: triplet)
    }

    /// What the daily clean-up does with a record.
    package enum Fate: Sendable, Hashable {
        case kept
        /// Its window is over: it was caught. Kept for a while, to be seen.
        case lapsed
        case forgotten
    }

    // RFC 6647 §5: known entries that are not used are forgotten.
    package static func fate(
        _ record: GreylistRecord, now: WallTime, _ policy: DomainDefense.Greylist
    ) -> Fate {
        switch record.state {
        case .known: return isExpired(record, now: now, policy) ? .forgotten : .kept
        case .new, .waiting:
            if seconds(from: record.lastSeen, to: now) > forgottenAfterSeconds { return .forgotten }
            return age(record, now: now) > window(policy) ? .lapsed : .kept
        }
    }

    /// Made known by an operator.
    package static func released(_ record: GreylistRecord, now: WallTime) -> GreylistRecord {
        GreylistRecord(state: .known, firstSeen: record.firstSeen, lastSeen: now, attempts: 0)
    }

    /// Seconds until a waiting record may pass.
    package static func secondsLeft(
        _ record: GreylistRecord, now: WallTime, _ policy: DomainDefense.Greylist
    ) -> Int { record.state == .known ? 0 : max(0, policy.delaySeconds - age(record, now: now)) }

    /// From when on a waiting record may pass, which stays the same however late it is; nil: it is known, or too late.
    package static func passes(
        _ record: GreylistRecord, now: WallTime, _ policy: DomainDefense.Greylist
    ) -> WallTime? {
        guard record.state != .known, age(record, now: now) <= window(policy) else { return nil }
        return later(record.firstSeen, policy.delaySeconds)
    }

    /// When it ends, if nothing happens: of a known one when it is forgotten, of one that waits its window, after which it
    /// starts anew, of one that let that pass when the clean-up removes it. nil: never.
    package static func expires(
        _ record: GreylistRecord, now: WallTime, _ policy: DomainDefense.Greylist
    ) -> WallTime? {
        guard record.state == .known else {
            return age(record, now: now) <= window(policy)
                ? later(record.firstSeen, window(policy)) : later(record.lastSeen, forgottenAfterSeconds)
        }
        return policy.expirySeconds > 0 ? later(record.lastSeen, policy.expirySeconds) : nil
    }

    private static func later(_ time: WallTime, _ seconds: Int) -> WallTime? {
        let (sum, overflow) = time.seconds.addingReportingOverflow(Int64(clamping: seconds))
        return overflow ? nil : WallTime(seconds: sum)
    }

    private static func anew(_ now: WallTime, _ policy: DomainDefense.Greylist) -> Outcome {
        Outcome(
            .deferNew(secondsLeft: policy.delaySeconds), pair: nil,
            triplet: GreylistRecord(state: .new, firstSeen: now, lastSeen: now, attempts: 1))
    }

    private static func isExpired(
        _ record: GreylistRecord, now: WallTime, _ policy: DomainDefense.Greylist
    ) -> Bool { policy.expirySeconds > 0 && seconds(from: record.lastSeen, to: now) > policy.expirySeconds }

    /// No shorter than twice the delay: there must be a time to come back in.
    private static func window(_ policy: DomainDefense.Greylist) -> Int {
        max(policy.windowSeconds, policy.delaySeconds < 1 << 40 ? policy.delaySeconds * 2 : policy.delaySeconds)
    }

    private static func age(_ record: GreylistRecord, now: WallTime) -> Int {
        seconds(from: record.firstSeen, to: now)
    }

    /// 0 when `a` is later.
    private static func seconds(from a: WallTime, to b: WallTime) -> Int {
        guard b > a else { return 0 }
        let (micros, overflow) = b.microseconds.subtractingReportingOverflow(a.microseconds)
        return overflow ? Int.max : Int(micros / 1_000_000)
    }

    /// Whether `domain` is one of `list` or below one.
    private static func covers(_ list: [[UInt8]], _ domain: [UInt8]) -> Bool {
        guard !list.isEmpty else { return false }
        let domain = ASCII.lowercased(domain)
        return list.contains { entry in
            guard domain.count > entry.count else { return domain == entry }
            return domain.suffix(entry.count) == entry[...] && domain[domain.count - entry.count - 1] == ASCII.dot
        }
    }
}
