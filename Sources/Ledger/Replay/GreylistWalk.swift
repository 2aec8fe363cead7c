package import Base
package import Policy
package import Protocols

/// Recorded mail, attempt by attempt in the order of time, through the pure functions of greylisting under other rules.
///
/// What is recorded is what clients did under the rules of then. Mail that was taken then and would be put off now never
/// had to come back: it is assumed to, as soon as it may, and to be known from then on. What was put off then came back or
/// did not, which is recorded. Bounded: `sendersMax` senders are followed and `attemptsHeld` attempts put in order; what
/// is beyond is counted.
package struct GreylistWalk: Sendable {
    /// One recipient of one message.
    package struct Attempt: Sendable {
        package var id: MessageID
        package var time: WallTime
        package var mail: Greylisting.Attempt
        package var rules: DomainDefense.Greylist
        /// It was put off then.
        package var wasPutOff = false
        /// The sender was known then, or came back in time.
        package var wasKnown = false
        /// Then it was refused or put in Junk by another rule.
        package var wasUnwanted = false

        package init(id: MessageID, time: WallTime, mail: Greylisting.Attempt, rules: DomainDefense.Greylist) {
            self.id = id
            self.time = time
            self.mail = mail
            self.rules = rules
        }
    }

    package struct Figures: Sendable, Hashable {
        /// Recipients, each an attempt of its own.
        package var attempts = 0
        /// Messages that were taken and would have been put off; of one message, any of its recipients.
        package var messagesPutOff = 0
        /// The least delay of these recipients together: each comes back as soon as it may.
        package var delaySeconds = 0
        /// Senders of which all that is recorded was taken then, would have been put off, and nothing came later.
        package var onceOnly = 0
        /// Of these, such as sent only what was refused or put in Junk for another reason.
        package var onceOnlyUnwanted = 0
        /// Senders that were put off then and are recorded with nothing after it.
        package var neverCameBack = 0
        /// Of these, such as may still come back in time.
        package var mayComeBack = 0
        /// Attempts of senders beyond those that can be followed.
        package var unfollowed = 0
        package var tally = ReplayTally()
    }

    package private(set) var figures = Figures()

    private static let attemptsHeld = 2_048

    private struct Sender {
        var known: GreylistRecord?
        /// From then on it is assumed to have come back.
        var backFrom: WallTime?
        var firstPutOff: WallTime?
        var lastID: MessageID
        var lastSeen: WallTime
        var wasPutOff = false
        var isPutOff = false
        var cameAgain = false
        var isUnwanted: Bool
        var windowSeconds: Int
    }

    private let exceptions: DefenseExceptionsIndex
    private let sendersMax: Int
    private var waiting: [Attempt] = []
    private var senders: [UInt64: Sender] = [:]
    private var triplets: [UInt64: GreylistRecord] = [:]
    private var latest = WallTime(seconds: 0)
    private var lastPutOff: MessageID?

    package init(exceptions: DefenseExceptionsIndex = DefenseExceptionsIndex(), sendersMax: Int = 300_000) {
        self.exceptions = exceptions
        self.sendersMax = sendersMax
    }

    /// In about the order of time: records are written when a session or a message ends.
    package mutating func add(_ attempt: Attempt) {
        var at = waiting.count
        while at > 0, waiting[at - 1].time > attempt.time { at -= 1 }
        waiting.insert(attempt, at: at)
        guard waiting.count >= Self.attemptsHeld else { return }
        let ready = waiting.prefix(Self.attemptsHeld / 2)
        waiting.removeFirst(Self.attemptsHeld / 2)
        for attempt in ready { take(attempt) }
    }

    /// All was added.
    package mutating func finish() {
        let ready = waiting
        waiting = []
        for attempt in ready { take(attempt) }
        for sender in senders.values where !sender.cameAgain {
            if sender.wasPutOff {
                figures.neverCameBack += 1
                let age = latest.seconds - sender.lastSeen.seconds
                if age < Int64(sender.windowSeconds) { figures.mayComeBack += 1 }
            } else if sender.isPutOff {
                figures.onceOnly += 1
                if sender.isUnwanted { figures.onceOnlyUnwanted += 1 }
            }
        }
        senders = [:]
        triplets = [:]
    }

    // MARK: One attempt

    private mutating func take(_ attempt: Attempt) {
        latest = max(latest, attempt.time)
        figures.attempts += 1
        guard Greylisting.skip(attempt.mail, attempt.rules, exceptions) == nil, let key = attempt.mail.key else {
            return told(attempt, nil)
        }
        let pair = Self.hash(key.pair)
        if senders[pair] == nil, senders.count >= sendersMax {
            figures.unfollowed += 1
            return
        }
        var sender = senders[pair] ?? arrived(attempt, key)
        if sender.lastID != attempt.id { sender.cameAgain = true }
        let decision = decide(attempt, Self.hash(key.triplet), &sender)
        sender.lastID = attempt.id
        sender.lastSeen = attempt.time
        sender.windowSeconds = attempt.rules.windowSeconds
        sender.isUnwanted = sender.isUnwanted && attempt.wasUnwanted
        sender.wasPutOff = sender.wasPutOff || attempt.wasPutOff
        sender.isPutOff = sender.isPutOff || decision.isDeferred
        senders[pair] = sender
        if let address = attempt.mail.address, attempt.mail.provenDomain != nil, sender.known != nil {
            keepForNetwork(Self.hash(key.ofNetwork(address).pair), sender)
        }
        told(attempt, decision)
    }

    private func arrived(_ attempt: Attempt, _ key: GreylistKey) -> Sender {
        var out = Sender(
            known: nil, lastID: attempt.id, lastSeen: attempt.time, isUnwanted: attempt.wasUnwanted,
            windowSeconds: attempt.rules.windowSeconds)
        if attempt.wasKnown {
            // Known before the records begin.
            out.known = GreylistRecord(
                state: .known, firstSeen: attempt.time, lastSeen: attempt.time, attempts: 1)
        } else if let address = attempt.mail.address, attempt.mail.provenDomain != nil {
            let network = senders[Self.hash(key.ofNetwork(address).pair)]
            out.known = network?.known
            out.backFrom = network?.backFrom
            out.firstPutOff = network?.firstPutOff
        }
        return out
    }

    private mutating func decide(_ attempt: Attempt, _ triplet: UInt64, _ sender: inout Sender) -> GreylistDecision {
        if sender.known == nil, let back = sender.backFrom, let first = sender.firstPutOff, back <= attempt.time {
            let waiting = GreylistRecord(state: .new, firstSeen: first, lastSeen: first, attempts: 1)
            sender.known = Greylisting.decide(pair: nil, triplet: waiting, now: back, attempt.rules).pair
        }
        let outcome = Greylisting.decide(
            pair: sender.known, triplet: triplets[triplet], now: attempt.time, attempt.rules)
        sender.known = outcome.pair
        if outcome.triplet != nil, triplets[triplet] == nil, triplets.count >= sendersMax { return outcome.decision }
        triplets[triplet] = outcome.triplet
        guard outcome.decision.isDeferred else {
            sender.backFrom = nil
            return outcome.decision
        }
        if !attempt.wasPutOff, let waiting = outcome.triplet {
            let back = attempt.time.advanced(
                bySeconds: Greylisting.secondsLeft(waiting, now: attempt.time, attempt.rules))
            let earlier = sender.backFrom.map { $0 >= attempt.time && $0 <= back } ?? false
            if !earlier {
                sender.backFrom = back
                sender.firstPutOff = waiting.firstSeen
            }
        }
        return outcome.decision
    }

    private mutating func keepForNetwork(_ key: UInt64, _ sender: Sender) {
        if senders[key] == nil {
            guard senders.count < sendersMax else { return }
            var copy = sender
            // The figures are told of the proven domain's entry alone.
            copy.wasPutOff = false
            copy.isPutOff = false
            senders[key] = copy
        } else {
            senders[key]?.known = sender.known
        }
    }

    private mutating func told(_ attempt: Attempt, _ decision: GreylistDecision?) {
        let isPutOff = decision?.isDeferred ?? false
        guard isPutOff != attempt.wasPutOff else { return }
        var reason = "not greylisted"
        var left = 0
        switch decision {
        case .deferNew(let seconds):
            left = seconds
            reason = "a new sender, taken in \(GreylistDecision.duration(max(1, seconds)))"
        case .deferEarly(let seconds, _):
            left = seconds
            reason = "not yet known, taken in \(GreylistDecision.duration(max(1, seconds)))"
        case .passedNow(let seconds): reason = "came back after \(GreylistDecision.duration(seconds))"
        case .known: reason = "a known sender"
        case .skipped, nil: break
        }
        if isPutOff {
            figures.delaySeconds = figures.delaySeconds.addingReportingOverflow(left).partialValue
            if lastPutOff != attempt.id { figures.messagesPutOff += 1 }
            lastPutOff = attempt.id
        }
        figures.tally.add(
            isPutOff ? .taken : .putOff, isPutOff ? .putOff : .taken,
            ReplayChange.Example(
                id: attempt.id, time: attempt.time, client: attempt.mail.address, sender: attempt.mail.sender,
                subject: attempt.mail.recipient, reason: reason))
    }

    private static func hash(_ key: [UInt8]) -> UInt64 {
        var hasher = Hasher()
        hasher.combine(key)
        return UInt64(truncatingIfNeeded: hasher.finalize())
    }
}

extension WallTime {
    fileprivate func advanced(bySeconds seconds: Int) -> WallTime {
        let (micros, overflow) = microseconds.addingReportingOverflow(Int64(seconds) * 1_000_000)
        return overflow ? self : WallTime(microseconds: micros)
    }
}
