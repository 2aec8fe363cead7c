package import Base

/// How much of a rate one client has used up, in one word: the instant at which its bucket is full again. Pure; integer
/// arithmetic that saturates, so no rate and no clock can trap. A fresh bucket is full.
package struct TokenBucket: Sendable, Hashable {
    private var fullAt: UInt64 = 0

    package init() {}

    /// So many in so long; as many at once. Zero or fewer: no limit.
    package struct Rate: Sendable, Hashable {
        package let count: Int
        /// Nanoseconds that one token takes to come back.
        let cost: UInt64
        /// What a full bucket holds, in the same unit.
        let capacity: UInt64

        /// The longest period: a day.
        private static let periodSecondsMax = 86_400

        package init(_ count: Int, perSeconds seconds: Int) {
            self.count = max(0, count)
            let period = UInt64(min(max(seconds, 1), Self.periodSecondsMax)) * 1_000_000_000
            let tokens = UInt64(max(1, self.count))
            cost = max(1, period / tokens)
            let (full, overflow) = cost.multipliedReportingOverflow(by: tokens)
            capacity = overflow ? .max : full
        }

        package static func perMinute(_ count: Int) -> Rate { Rate(count, perSeconds: 60) }

        package var isLimited: Bool { count > 0 }
    }

    /// Takes a token. 0: it was there; else the nanoseconds until one will be, and nothing is taken.
    package mutating func take(_ rate: Rate, _ now: Instant) -> UInt64 {
        guard rate.isLimited else { return 0 }
        let owed = Self.sum(debt(rate.capacity, now), rate.cost)
        guard owed <= rate.capacity else { return owed - rate.capacity }
        fullAt = Self.sum(now.nanoseconds, owed)
        return 0
    }

    /// Takes a token that may not be there: the bucket owes one token at most.
    package mutating func charge(_ rate: Rate, _ now: Instant) {
        guard rate.isLimited else { return }
        let most = Self.sum(rate.capacity, rate.cost)
        fullAt = Self.sum(now.nanoseconds, min(most, Self.sum(debt(most, now), rate.cost)))
    }

    /// Gives back a token that was taken, when its rate was the same.
    package mutating func giveBack(_ rate: Rate, _ now: Instant) {
        guard rate.isLimited else { return }
        let owed = debt(Self.sum(rate.capacity, rate.cost), now)
        fullAt = owed > rate.cost ? Self.sum(now.nanoseconds, owed - rate.cost) : 0
    }

    package func hasToken(_ rate: Rate, _ now: Instant) -> Bool {
        !rate.isLimited || Self.sum(debt(rate.capacity, now), rate.cost) <= rate.capacity
    }

    /// Whether more was charged than the bucket holds.
    package func owes(_ rate: Rate, _ now: Instant) -> Bool {
        rate.isLimited && debt(.max, now) > rate.capacity
    }

    /// Tokens that are out, for people.
    package func spent(_ rate: Rate, _ now: Instant) -> Int {
        guard rate.isLimited else { return 0 }
        let owed = debt(Self.product(rate.capacity, 2), now)
        return Int(clamping: owed / rate.cost + (owed % rate.cost == 0 ? 0 : 1))
    }

    /// Never more than `most`: a rate that was lowered, or a clock that went back, locks nobody out.
    private func debt(_ most: UInt64, _ now: Instant) -> UInt64 {
        fullAt > now.nanoseconds ? min(most, fullAt - now.nanoseconds) : 0
    }

    private static func sum(_ a: UInt64, _ b: UInt64) -> UInt64 {
        let (value, overflow) = a.addingReportingOverflow(b)
        return overflow ? .max : value
    }

    private static func product(_ a: UInt64, _ b: UInt64) -> UInt64 {
        let (value, overflow) = a.multipliedReportingOverflow(by: b)
        return overflow ? .max : value
    }
}
