import Base
import MailAuth
import Protocols
import Store

/// What is known of policies: the rules of RFC 8461 §3.3 and §5.1 about keeping, renewing and replacing them, without the
/// asking. A value owned by `STSPolicyService`; bounded by `domainsMax`.
struct STSPolicyTable {
    /// Domains remembered: about 1 KiB each.
    static let domainsMax = 20_000
    /// Seconds for which an answer is relied on: the record's TTL within these.
    static let recheckMin: Int64 = 60
    static let recheckMax: Int64 = 3_600
    // RFC 8461 §3.3: "limit further attempts to a period of five minutes or longer per version ID".
    static let retryAfter: Int64 = 300
    // RFC 8461 §3.3: "a suggested refresh frequency is once per day".
    static let renewAfter: Int64 = 86_400
    /// Policies of domains that got no mail for so long are left to end.
    static let idleMax: Int64 = 30 * 86_400

    struct Entry {
        var policy: MTASTSPolicy?
        var id: [UInt8] = []
        var fetched: Int64 = 0
        var expires: Int64 = 0
        /// What is told without asking while `now` is before `freshUntil`.
        var verdict = STSVerdict.absent
        var freshUntil: Int64 = 0
        var lastUsed: Int64
        /// The id whose policy could not be had lately.
        var failedID: [UInt8]?
        var failure: STSFetch.Failure?
        var retryAt: Int64 = 0

        func validPolicy(_ now: Int64) -> MTASTSPolicy? { now < expires ? policy : nil }
    }

    /// What became of a lookup's answer.
    enum Next: Equatable {
        case tell(STSVerdict)
        /// Fetch the policy announced under this id from these addresses, then call `fetched`.
        case fetch(id: [UInt8], [IPAddress])
    }

    enum Storing: Equatable {
        case nothing
        case save(STSPolicyRecord)
        case remove
    }

    private(set) var entries: [[UInt8]: Entry] = [:]

    /// Records that no longer parse, or have ended, are left out.
    init(_ records: [STSPolicyRecord], now: WallTime) {
        for record in records.prefix(Self.domainsMax) where now < record.expires {
            guard let policy = try? MTASTSPolicy(record.policy) else { continue }
            var entry = Entry(lastUsed: now.seconds)
            entry.policy = policy
            entry.id = record.id
            entry.fetched = record.fetched.seconds
            // A clock that was wrong once must not make a policy everlasting.
            entry.expires = min(record.expires.seconds, now.seconds + MTASTSPolicy.maxAgeMax)
            entries[record.domain] = entry
        }
    }

    /// The verdict when it needs no question.
    mutating func known(_ domain: [UInt8], now: WallTime) -> STSVerdict? {
        guard let i = entries.index(forKey: domain) else { return nil }
        let now = now.seconds
        let entry = entries.values[i]
        guard now < entry.freshUntil, entry.freshUntil - now <= Self.recheckMax else { return nil }
        if case .policy = entry.verdict, entry.validPolicy(now) == nil { return nil }
        entries.values[i].lastUsed = now
        return entry.verdict
    }

    /// The id to compare the record with.
    func knownID(_ domain: [UInt8], now: WallTime) -> [UInt8]? {
        guard let entry = entries[domain], entry.validPolicy(now.seconds) != nil else { return nil }
        return entry.id
    }

    /// What the record said.
    mutating func discovered(
        _ domain: [UInt8], _ verdict: MTASTSDiscovery.Verdict, ttl: UInt32, now: WallTime
    ) -> Next {
        let now = now.seconds
        let fresh = now + min(max(Int64(ttl), Self.recheckMin), Self.recheckMax)
        var entry = entries[domain] ?? Entry(lastUsed: now)
        entry.lastUsed = now
        switch verdict {
        case .absent, .unknown, .unchanged:
            // RFC 8461 §3.3: without a live policy the cached one holds, whatever became of its record.
            settle(&entry, now, until: verdict == .unknown ? now + Self.recheckMin : fresh)
        case .announced(let id, let addresses):
            guard id == entry.failedID, now < entry.retryAt, entry.retryAt - now <= Self.retryAfter else {
                return .fetch(id: id, addresses)
            }
            settle(&entry, now, until: min(fresh, entry.retryAt))
        }
        put(domain, entry, now)
        return .tell(entry.verdict)
    }

    /// What came of the fetch that `discovered` asked for.
    mutating func fetched(
        _ domain: [UInt8], id: [UInt8], _ result: Result<STSFetch.Success, STSFetch.Failure>, ttl: UInt32,
        now wall: WallTime
    ) -> (STSVerdict, Storing) {
        let now = wall.seconds
        let fresh = now + min(max(Int64(ttl), Self.recheckMin), Self.recheckMax)
        var entry = entries[domain] ?? Entry(lastUsed: now)
        var storing = Storing.nothing
        switch result {
        case .failure(let failure):
            entry.failedID = id
            entry.failure = failure
            entry.retryAt = now + Self.retryAfter
            settle(&entry, now, until: min(fresh, entry.retryAt))
        case .success(let success):
            storing = accept(success, id, domain, &entry, now)
            settle(&entry, now, until: min(fresh, max(entry.expires, now)))
            // max_age 0 is legal: the policy holds for the mail that waits for it.
            if success.policy.mode != .absent { entry.verdict = .policy(success.policy, id: id) }
        }
        put(domain, entry, now)
        return (entry.verdict, storing)
    }

    private func accept(
        _ success: STSFetch.Success, _ id: [UInt8], _ domain: [UInt8], _ entry: inout Entry, _ now: Int64
    ) -> Storing {
        let wasKept = entry.policy != nil
        entry.failedID = nil
        entry.failure = nil
        entry.policy = success.policy
        entry.id = id
        entry.fetched = now
        entry.expires = now + success.policy.maxAgeSeconds
        // RFC 8461 §8.3: mode none takes the policy back. It is remembered, lest it be fetched for every message.
        guard success.policy.mode != .absent else { return wasKept ? .remove : .nothing }
        return .save(
            STSPolicyRecord(
                domain: domain, id: id, policy: success.file, fetched: WallTime(seconds: now),
                expires: WallTime(seconds: entry.expires)))
    }

    /// The verdict from what is kept.
    private func settle(_ entry: inout Entry, _ now: Int64, until: Int64) {
        entry.freshUntil = until
        if let policy = entry.validPolicy(now) {
            entry.verdict = policy.mode == .absent ? .absent : .policy(policy, id: entry.id)
        } else if let failure = entry.failure, now < entry.retryAt {
            entry.verdict = .fetchFailed(failure.result, detail: failure.detail)
        } else {
            entry.verdict = .absent
        }
    }

    /// Domains whose policies are to be renewed now, at most `limit`, the one that ends first before the others.
    func dueForRenewal(now: WallTime, limit: Int) -> [[UInt8]] {
        let now = now.seconds
        let due = entries.filter { _, entry in
            guard let policy = entry.validPolicy(now), policy.mode != .absent else { return false }
            // Short-lived policies are renewed when half of their life is over.
            let after = min(Self.renewAfter, policy.maxAgeSeconds / 2)
            return now - entry.fetched >= after && now >= entry.retryAt && now - entry.lastUsed < Self.idleMax
        }
        return due.sorted { $0.value.expires < $1.value.expires }.prefix(limit).map(\.key)
    }

    private mutating func put(_ domain: [UInt8], _ entry: Entry, _ now: Int64) {
        if entries[domain] == nil, entries.count >= Self.domainsMax { evict(now) }
        entries[domain] = entry
    }

    /// Makes room: what carries no policy first, then what was used longest ago. A twentieth at once, so that it is rare.
    private mutating func evict(_ now: Int64) {
        let order = entries.sorted { a, b in
            let (hasA, hasB) = (a.value.validPolicy(now) != nil, b.value.validPolicy(now) != nil)
            return hasA == hasB ? a.value.lastUsed < b.value.lastUsed : !hasA
        }
        for (domain, _) in order.prefix(Self.domainsMax / 20) { entries[domain] = nil }
    }
}
