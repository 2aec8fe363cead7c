package import Base
package import Policy
package import Protocols
import Synchronization
import Telemetry

/// Who was put off and who is known, for all loops together.
///
/// In memory: a decision is two look-ups under one shard's lock, and its change a message to the journal's thread; no
/// disk, no wait. Bounded by `entriesMax` and `octetsMax`. An identity's entries are all in one shard, so that one
/// network's flood can only crowd out a small part of what waits, and nothing that is known. Shareable because every
/// shard is behind its own lock, held for one decision or for a few entries of a long walk.
package final class GreylistBook: Sendable {
    /// The rules of a receiving domain in force; nil: it is none of ours any more.
    package typealias Rules = @Sendable (_ domain: [UInt8]) -> DomainDefense.Greylist?

    private static let shardCount = 64
    /// Entries looked at in one go by what walks through all of them.
    private static let stride = 256
    /// A known sender's last mail is told to the journal this often.
    private static let refreshMicroseconds: Int64 = 3_600 * 1_000_000

    private final class Box: Sendable {
        let shard: Mutex<GreylistShard>
        init(_ shard: GreylistShard) { self.shard = Mutex(shard) }
    }

    private let boxes: [Box]
    private let rules: Rules
    private let journal: DefenseJournalInbox
    private let metrics: GreylistMetrics
    package let exceptions: DefenseExceptionsPublisher

    package init(
        exceptions: DefenseExceptionsPublisher, journal: DefenseJournalInbox, metrics: GreylistMetrics,
        entriesMax: Int = 1_000_000, octetsMax: Int = 96 << 20, rules: @escaping Rules
    ) {
        self.exceptions = exceptions
        self.journal = journal
        self.metrics = metrics
        self.rules = rules
        let (entries, octets) = (max(8, entriesMax / Self.shardCount), max(16_384, octetsMax / Self.shardCount))
        let quota = GreylistQuota(octetsMax: octets, entriesMax: entries)
        boxes = (0..<Self.shardCount).map { _ in
            Box(GreylistShard(entriesMax: entries, octetsMax: octets, quota: quota))
        }
    }

    /// A decision, and what it was made about.
    package struct Answer: Sendable {
        package var decision: GreylistDecision
        package var key: GreylistKey?

        package var reply: Reply? { decision.reply }

        package func event(recipient: [UInt8], afterMicroseconds: UInt64) -> DefenseEvent? {
            decision.event(key: key, recipient: recipient, afterMicroseconds: afterMicroseconds)
        }
    }

    /// For one recipient; counts, remembers and tells the journal. Any thread.
    package func decide(
        _ attempt: Greylisting.Attempt, _ policy: DomainDefense.Greylist, now: WallTime
    ) -> Answer {
        if let skip = Greylisting.skip(attempt, policy, exceptions.index) {
            return counted(Answer(decision: .skipped(skip), key: nil))
        }
        guard let key = attempt.key else { return counted(Answer(decision: .skipped(.noClient), key: nil)) }
        let (pairKey, tripletKey) = (key.pair, key.triplet)
        let elsewhere = inherited(attempt, key, pairKey, tripletKey)
        let owner = attempt.address.map { GreylistQuota.owner($0) } ?? 0
        let (decision, known) = box(key.identity).shard.withLock { shard in
            let pair = shard.find(pairKey)
            let triplet = shard.find(tripletKey)
            let outcome = Greylisting.decide(
                pair: pair?.record ?? elsewhere.pair, triplet: triplet?.record ?? elsewhere.triplet, now: now, policy)
            keep(outcome.pair, pairKey, was: pair, owner: owner, now, &shard)
            if let triplet, outcome.triplet?.state != .waiting, !outcome.decision.isPass, !triplet.hasLapsed {
                metrics.caught.add()
            }
            keep(outcome.triplet, tripletKey, was: triplet, owner: owner, now, &shard)
            return (outcome.decision, outcome.decision.isPass ? outcome.pair : nil)
        }
        if let known { keepForNetwork(attempt, key, known, now) }
        if case .passedNow(let seconds) = decision { metrics.delay.add(seconds) }
        return counted(Answer(decision: decision, key: key))
    }

    private func counted(_ answer: Answer) -> Answer {
        metrics.outcomes.add(GreylistOutcomeLabel(answer.decision))
        if case .skipped(let why) = answer.decision { metrics.skips.add(GreylistSkipLabel(why)) }
        return answer
    }

    /// The records of the network, when the first attempt came while SPF had no answer and proved no domain.
    private func inherited(
        _ attempt: Greylisting.Attempt, _ key: GreylistKey, _ pairKey: [UInt8], _ tripletKey: [UInt8]
    ) -> (pair: GreylistRecord?, triplet: GreylistRecord?) {
        guard attempt.provenDomain != nil else { return (nil, nil) }
        let isThere = box(key.identity).shard.withLock { $0.find(pairKey) != nil || $0.find(tripletKey) != nil }
        var unproven = attempt
        unproven.provenDomain = nil
        guard !isThere, let old = unproven.key else { return (nil, nil) }
        return box(old.identity).shard.withLock { shard in
            let tripletKey = old.triplet
            let triplet = shard.find(tripletKey)
            if triplet != nil { forget(tripletKey, &shard) }
            return (shard.find(old.pair)?.record, triplet?.record)
        }
    }

    /// When SPF has no answer next time, who is known by a domain is still known by the network.
    private func keepForNetwork(
        _ attempt: Greylisting.Attempt, _ key: GreylistKey, _ known: GreylistRecord, _ now: WallTime
    ) {
        guard let domain = attempt.provenDomain, !domain.isEmpty, let address = attempt.address else { return }
        let own = key.ofNetwork(address)
        let pair = own.pair
        box(own.identity).shard.withLock { shard in
            let was = shard.find(pair)
            if let was, abs(now.microseconds - was.record.lastSeen.microseconds) < Self.refreshMicroseconds { return }
            var record = known
            record.firstSeen = was?.record.firstSeen ?? known.firstSeen
            keep(record, pair, was: was, owner: 0, now, &shard)
        }
    }

    private func keep(
        _ record: GreylistRecord?, _ key: [UInt8], was: GreylistShard.Slot?, owner: GreylistQuota.Owner,
        _ now: WallTime, _ shard: inout GreylistShard
    ) {
        guard let record else {
            if was != nil { forget(key, &shard) }
            return
        }
        var told = was?.journaledAt ?? 0
        // Of what changes with each attempt, the journal needs to know only now and then.
        if was?.record.state != record.state || was?.hasLapsed == true || record.state == .new
            || abs(now.microseconds - told) >= Self.refreshMicroseconds
        {
            told = now.microseconds
            journal.post(.put(key, record, hasLapsed: false))
        }
        store(key, record, hasLapsed: false, journaledAt: told, was: was?.record.state, owner, &shard)
    }

    private func store(
        _ key: [UInt8], _ record: GreylistRecord, hasLapsed: Bool, journaledAt: Int64, was: GreylistRecord.State?,
        _ owner: GreylistQuota.Owner, _ shard: inout GreylistShard
    ) {
        if let was { metrics.entries.add(GreylistStateLabel(was), -1) }
        metrics.entries.add(GreylistStateLabel(record.state), 1)
        shard.put(key, record, hasLapsed: hasLapsed, journaledAt: journaledAt, owner: owner) { state in
            metrics.entries.add(GreylistStateLabel(state), -1)
            metrics.pushedOut.add(GreylistStateLabel(state))
        }
    }

    private func forget(_ key: [UInt8], _ shard: inout GreylistShard) {
        guard let record = shard.remove(key) else { return }
        metrics.entries.add(GreylistStateLabel(record.state), -1)
        journal.post(.remove(key))
    }

    private func box(_ identity: [UInt8]) -> Box {
        var hasher = Hasher()
        identity.withUnsafeBytes { hasher.combine(bytes: $0) }
        return boxes[Int(UInt(bitPattern: hasher.finalize()) % UInt(Self.shardCount))]
    }

    package var count: Int { boxes.reduce(0) { $0 + $1.shard.withLock { $0.count } } }

    package func count(_ state: GreylistRecord.State) -> Int {
        boxes.reduce(0) { $0 + $1.shard.withLock { $0.count(state) } }
    }
}

extension GreylistDecision {
    /// It came back and is taken.
    fileprivate var isPass: Bool {
        switch self {
        case .passedNow, .known: true
        case .deferNew, .deferEarly, .skipped: false
        }
    }
}

// MARK: - Operators

extension GreylistBook {
    /// The entries that fit, the latest first.
    package func list(_ filter: GreylistFilter, limit: Int, now: WallTime) -> [GreylistRow] {
        guard limit > 0 else { return [] }
        var rows: [GreylistRow] = []
        func cut() {
            rows.sort { $0.record.lastSeen > $1.record.lastSeen }
            if rows.count > limit { rows.removeLast(rows.count - limit) }
        }
        for box in boxes {
            walk(box) { shard, at in
                let slot = shard.slots[at]
                if let row = GreylistRow(key: slot.key, slot.record), filter.fits(row) { rows.append(row) }
            }
            if rows.count > limit * 2 { cut() }
        }
        cut()
        for i in rows.indices {
            let policy = policy(rows[i].domain)
            rows[i].passes = Greylisting.passes(rows[i].record, now: now, policy)
            rows[i].expires = Greylisting.expires(rows[i].record, now: now, policy)
        }
        return rows
    }

    /// Makes known at once what waits and fits one of `filters`; how many.
    package func release(_ filters: [GreylistFilter], now: WallTime) -> Int {
        change(filters) { shard, slot, row in
            guard slot.record.state != .known else { return false }
            let known = Greylisting.released(slot.record, now: now)
            let pair = row.pair
            forget(slot.key, &shard)
            keep(known, pair, was: shard.find(pair), owner: 0, now, &shard)
            return true
        }
    }

    /// Removes what fits one of `filters`; how many.
    package func forget(_ filters: [GreylistFilter]) -> Int {
        change(filters) { shard, slot, _ in
            forget(slot.key, &shard)
            return true
        }
    }

    private func change(
        _ filters: [GreylistFilter], _ body: (inout GreylistShard, GreylistShard.Slot, GreylistRow) -> Bool
    ) -> Int {
        guard !filters.isEmpty else { return 0 }
        var count = 0
        for box in boxes {
            walk(box) { shard, at in
                let slot = shard.slots[at]
                guard let row = GreylistRow(key: slot.key, slot.record), filters.contains(where: { $0.fits(row) })
                else { return }
                if body(&shard, slot, row) { count += 1 }
            }
        }
        return count
    }

    /// Every entry that is there all the time, some of those that come and go meanwhile.
    private func walk(_ box: Box, _ body: (inout GreylistShard, Int) -> Void) {
        var from = 0
        while true {
            let isLast = box.shard.withLock { shard in
                let end = min(from + Self.stride, shard.slots.count)
                // What `body` adds lies behind `end`, or where something was removed.
                for at in min(from, end)..<end where shard.slots[at].isUsed { body(&shard, at) }
                from = end
                return end >= shard.slots.count
            }
            if isLast { return }
        }
    }

    private func policy(_ domain: [UInt8]) -> DomainDefense.Greylist { rules(domain) ?? DomainDefense.Greylist() }
}

// MARK: - Upkeep, on the journal's thread

extension GreylistBook {
    /// Everything; how many entries went.
    package func sweep(now: WallTime) -> Int {
        (0..<Self.shardCount).reduce(0) { $0 + sweep(part: $1, now: now) }
    }

    static var parts: Int { shardCount }

    /// One part of the book: counts what was caught, forgets what is old.
    func sweep(part: Int, now: WallTime) -> Int {
        var known: [[UInt8]: DomainDefense.Greylist] = [:]
        var count = 0
        walk(boxes[part % Self.shardCount]) { shard, at in
            let slot = shard.slots[at]
            guard let row = GreylistRow(key: slot.key, slot.record) else { return }
            let policy = known[row.domain] ?? policy(row.domain)
            if known.count < 1_024 { known[row.domain] = policy }
            let fate = Greylisting.fate(slot.record, now: now, policy)
            if fate != .kept, slot.record.state != .known, !slot.hasLapsed { metrics.caught.add() }
            switch fate {
            case .kept:
                return
            case .lapsed:
                guard !slot.hasLapsed else { return }
                shard.setLapsed(at)
                journal.post(.put(slot.key, slot.record, hasLapsed: true))
            case .forgotten:
                forget(slot.key, &shard)
                count += 1
            }
        }
        return count
    }

    /// What the journal held; before any thread decides.
    func load(_ change: DefenseChange) {
        switch change {
        case .put(let key, let record, let hasLapsed):
            guard let row = GreylistRow(key: key, record) else { return }
            box(row.identity).shard.withLock { shard in
                store(
                    key, record, hasLapsed: hasLapsed, journaledAt: record.lastSeen.microseconds,
                    was: shard.find(key)?.record.state, GreylistQuota.owner(identity: row.identity), &shard)
            }
        case .remove(let key):
            guard let nul = key.firstIndex(of: ASCII.nul) else { return }
            box(Array(key[..<nul])).shard.withLock { shard in
                guard let record = shard.remove(key) else { return }
                metrics.entries.add(GreylistStateLabel(record.state), -1)
            }
        case .exception, .good:
            return
        }
    }

    /// Every entry, for a rewrite of the journal.
    func each(_ body: ([UInt8], GreylistRecord, Bool) -> Void) {
        for box in boxes {
            walk(box) { shard, at in
                let slot = shard.slots[at]
                body(slot.key, slot.record, slot.hasLapsed)
            }
        }
    }

    /// Octets of all keys, and entries.
    var size: (octets: Int, entries: Int) {
        boxes.reduce((0, 0)) { sum, box in box.shard.withLock { (sum.0 + $0.octets, sum.1 + $0.count) } }
    }
}
