import Base
import Policy
import Testing

@Suite struct RetryScheduleTests {
    private let schedule = RetrySchedule(intervalSeconds: [300, 900, 1_800, 3_600, 7_200, 14_400])

    @Test(arguments: [
        (1, 300.0), (2, 900), (6, 14_400), (7, 28_800), (8, 57_600), (9, 115_200), (10, 172_800), (11, 172_800),
        (100_000, 172_800),
    ])
    func waitsGrowThenDoubleUpToTwoDays(attempts: Int, seconds: Double) {
        let middle = attempts == 1 ? 0 : 0.5
        #expect(schedule.seconds(afterAttempts: attempts, jitter: middle) == seconds)
    }

    @Test func jitterIsATenthAndNeverShortensTheFirstWait() {
        #expect(schedule.seconds(afterAttempts: 1, jitter: 0) == 300)
        #expect(abs(schedule.seconds(afterAttempts: 1, jitter: 1) - 330) < 0.001)
        #expect(abs(schedule.seconds(afterAttempts: 2, jitter: 0) - 810) < 0.001)
        #expect(abs(schedule.seconds(afterAttempts: 2, jitter: 1) - 990) < 0.001)
        #expect(schedule.seconds(afterAttempts: 11, jitter: 1) == 172_800)
        #expect(schedule.seconds(afterAttempts: 1, random: .max) > schedule.seconds(afterAttempts: 1, random: 0))
    }

    @Test func theLastAttemptIsAtTheEndOfTheLife() {
        let received = WallTime(seconds: 1_000_000)
        let day = { (d: Double) in WallTime(microseconds: received.microseconds + Int64(d * 86_400e6)) }
        #expect(
            schedule.next(afterAttempts: 1, received: received, now: received, jitter: 0)
                == .at(WallTime(seconds: 1_000_300)))
        #expect(schedule.next(afterAttempts: 12, received: received, now: day(4.9), jitter: 0.5) == .at(day(5)))
        #expect(schedule.next(afterAttempts: 13, received: received, now: day(5), jitter: 0.5) == .expired)
    }

    @Test func oddSettingsDoNotTrap() {
        let none = RetrySchedule(intervalSeconds: [], maxAgeSeconds: 0)
        #expect(none.seconds(afterAttempts: 0, jitter: .nan) > 0)
        let now = WallTime(microseconds: .max)
        #expect(none.next(afterAttempts: 1, received: now, now: now, jitter: 9) == .expired)
    }
}
