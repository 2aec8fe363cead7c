import Base
import Policy
import Testing

@Suite struct TokenBucketTests {
    private func at(_ seconds: Double) -> Instant { Instant(nanoseconds: 5_000_000_000).advanced(bySeconds: seconds) }

    /// Every rate gives exactly its count at once, whatever a minute divided by it leaves over.
    @Test(arguments: [1, 2, 7, 59, 60, 61, 1_000, 700_001, 999_983, 1_000_000])
    func aFullBucketHoldsARateOfAMinute(_ count: Int) {
        var bucket = TokenBucket()
        let rate = TokenBucket.Rate.perMinute(count)
        var taken = 0
        while taken <= count, bucket.take(rate, at(0)) == 0 { taken += 1 }
        #expect(taken == count)
        #expect(bucket.spent(rate, at(0)) == count)
    }

    @Test func tokensComeBackOneByOne() {
        var bucket = TokenBucket()
        let rate = TokenBucket.Rate.perMinute(6)
        for _ in 0..<6 { #expect(bucket.take(rate, at(0)) == 0) }
        #expect(bucket.take(rate, at(0)) == 10_000_000_000)
        #expect(bucket.take(rate, at(4)) == 6_000_000_000)
        #expect(!bucket.hasToken(rate, at(9.5)))
        #expect(bucket.hasToken(rate, at(10)))
        #expect(bucket.take(rate, at(10)) == 0)
        #expect(bucket.take(rate, at(10)) == 10_000_000_000)
        #expect(bucket.spent(rate, at(30)) == 4)
        #expect(bucket.spent(rate, at(200)) == 0)
    }

    /// What was refused costs nothing: a flood gets its rate, no more and no less.
    @Test func aFloodGetsItsRate() {
        var bucket = TokenBucket()
        let rate = TokenBucket.Rate.perMinute(60)
        var taken = 0
        for tick in 0..<6_000 where bucket.take(rate, at(Double(tick) / 100)) == 0 { taken += 1 }
        #expect(taken == 60 + 59)
    }

    @Test(arguments: [0, -1, Int.min])
    func noRateIsNoLimit(_ count: Int) {
        var bucket = TokenBucket()
        let rate = TokenBucket.Rate.perMinute(count)
        #expect(!rate.isLimited)
        for _ in 0..<100 { #expect(bucket.take(rate, at(0)) == 0) }
        bucket.charge(rate, at(0))
        bucket.giveBack(rate, at(0))
        #expect(bucket == TokenBucket())
        #expect(!bucket.owes(rate, at(0)))
        #expect(bucket.hasToken(rate, at(0)))
        #expect(bucket.spent(rate, at(0)) == 0)
    }

    @Test(arguments: [
        (Int.max, Int.max), (Int.max, 1), (1, Int.max), (1, Int.min), (Int.max, 0),
    ])
    func nothingOverflows(_ count: Int, _ seconds: Int) {
        let rate = TokenBucket.Rate(count, perSeconds: seconds)
        for time in [UInt64.min, 1, UInt64.max - 1, UInt64.max] {
            var bucket = TokenBucket()
            let now = Instant(nanoseconds: time)
            for _ in 0..<3 {
                _ = bucket.take(rate, now)
                bucket.charge(rate, now)
                _ = bucket.hasToken(rate, now)
                _ = bucket.owes(rate, now)
                bucket.giveBack(rate, now)
                #expect(bucket.spent(rate, now) >= 0)
            }
        }
    }

    /// It may owe; what it owes is bounded, and so is the time until it holds a token again.
    @Test func debtIsBounded() {
        var bucket = TokenBucket()
        let rate = TokenBucket.Rate(10, perSeconds: 600)
        for _ in 0..<10 { bucket.charge(rate, at(0)) }
        #expect(!bucket.hasToken(rate, at(0)))
        #expect(!bucket.owes(rate, at(0)))
        for _ in 0..<1_000 { bucket.charge(rate, at(0)) }
        #expect(bucket.owes(rate, at(59)))
        #expect(bucket.spent(rate, at(0)) == 11)
        #expect(!bucket.owes(rate, at(60)))
        #expect(!bucket.hasToken(rate, at(119)))
        #expect(bucket.hasToken(rate, at(120)))
    }

    /// A token that comes back is there at once, and no more come back than were taken.
    @Test func tokensAreGivenBack() {
        var bucket = TokenBucket()
        let rate = TokenBucket.Rate(2, perSeconds: 600)
        #expect(bucket.take(rate, at(0)) == 0)
        #expect(bucket.take(rate, at(0)) == 0)
        #expect(!bucket.hasToken(rate, at(0)))
        bucket.giveBack(rate, at(0))
        #expect(bucket.take(rate, at(0)) == 0)
        for _ in 0..<10 { bucket.giveBack(rate, at(0)) }
        #expect(bucket.spent(rate, at(0)) == 0)
        #expect(bucket.take(rate, at(0)) == 0)
        #expect(bucket.take(rate, at(0)) == 0)
        #expect(bucket.take(rate, at(0)) > 0)
    }

    /// A clock that went back, or a rate that was lowered, locks nobody out for longer than a full bucket takes.
    @Test func aClockThatGoesBackLocksNobodyOut() {
        var bucket = TokenBucket()
        let rate = TokenBucket.Rate.perMinute(3)
        let late = Instant(nanoseconds: .max / 2)
        for _ in 0..<3 { _ = bucket.take(rate, late) }
        #expect(bucket.take(rate, at(0)) <= 20_000_000_000)
        var lowered = TokenBucket()
        for _ in 0..<600 { _ = lowered.take(.perMinute(600), at(0)) }
        #expect(lowered.take(.perMinute(1), at(0)) <= 60_000_000_000)
        #expect(lowered.take(.perMinute(1), at(60)) == 0)
    }
}
