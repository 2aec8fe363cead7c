import Base
import Testing

@testable import Delivery

@Suite struct DestinationTableTests {
    private static func at(_ seconds: Double) -> Instant {
        Instant(nanoseconds: 1_000_000_000).advanced(bySeconds: seconds)
    }
    private func name(_ text: String) -> [UInt8] { Array(text.utf8) }

    private func table(_ change: (inout SchedulerConfiguration) -> Void = { _ in }) -> DestinationTable<Int> {
        var limits = SchedulerConfiguration()
        limits.windowStart = 4
        limits.windowMax = 8
        limits.pauseSecondsMin = 10
        limits.pauseSecondsMax = 35
        change(&limits)
        return DestinationTable(limits)
    }

    private func drain(_ table: inout DestinationTable<Int>, _ now: Double) -> [Int] {
        var out: [Int] = []
        while let next = table.next(now: Self.at(now)) { out.append(next.item) }
        return out
    }

    @Test func windowBoundsWhatIsAtWork() {
        var t = table()
        let taken = (0..<10).map { t.offer($0, to: name("a")) }
        #expect(!taken.contains(false))
        #expect(drain(&t, 0) == [0, 1, 2, 3])
        #expect(t.inFlight == 4 && t.readyCount == 6)
        let id = t.id(of: name("a"))
        _ = t.finished(id, .reached, recipients: 1, now: Self.at(1), random: 0)
        #expect(drain(&t, 1) == [4])
    }

    @Test func windowGrowsOnlyWhenItIsUsedAndUpToItsLimit() {
        var feedback = Feedback(window: 4)
        for _ in 0..<3 { feedback.succeeded(max: 6, isUsed: true) }
        #expect(feedback.window == 4)
        feedback.succeeded(max: 6, isUsed: true)
        #expect(feedback.window == 5)
        for _ in 0..<100 { feedback.succeeded(max: 6, isUsed: false) }
        #expect(feedback.window == 5)
        for _ in 0..<100 { feedback.succeeded(max: 6, isUsed: true) }
        #expect(feedback.window == 6)
        feedback.succeeded(max: 3, isUsed: false)
        #expect(feedback.window == 3)
    }

    @Test func oneFailureAmongManyChangesNothing() {
        var feedback = Feedback(window: 10)
        for _ in 0..<50 {
            feedback.failed()
            feedback.succeeded(max: 10, isUsed: true)
        }
        #expect(feedback.window == 10)
        #expect(feedback.failedCohorts == 0)
        for _ in 0..<10 { feedback.failed() }
        #expect(feedback.window == 9)
        #expect(feedback.failedCohorts >= 0.99)
        feedback.throttled()
        #expect(feedback.window == 4)
    }

    @Test func aDeadDestinationIsPausedLongerEachTimeAndProbedByOne() {
        var t = table()
        let a = name("a")
        for n in 0..<20 { _ = t.offer(n, to: a) }
        let id = t.id(of: a)
        #expect(drain(&t, 0).count == 4)
        let pauses = (0..<4).map { _ in t.finished(id, .unreachable, recipients: 1, now: Self.at(0), random: 0.5) }
        #expect(pauses == [nil, nil, nil, 10])
        t.advance(to: Self.at(9))
        #expect(drain(&t, 9).isEmpty)
        #expect(t.nextWake == Self.at(10))
        t.advance(to: Self.at(10))
        #expect(drain(&t, 10).count == 1)
        #expect(t.finished(id, .unreachable, recipients: 1, now: Self.at(11), random: 0.5) == 20)
        t.advance(to: Self.at(31))
        #expect(drain(&t, 31).count == 1)
        // No longer than the longest.
        #expect(t.finished(id, .unreachable, recipients: 1, now: Self.at(31), random: 0.5) == 35)
        t.advance(to: Self.at(66))
        #expect(drain(&t, 66).count == 1)
        #expect(t.finished(id, .reached, recipients: 1, now: Self.at(67), random: 0) == nil)
        #expect(drain(&t, 67).count == 4)
    }

    @Test func aPauseEndsAtOnceWhenAnOperatorSaysSo() {
        var t = table()
        let a = name("a")
        for n in 0..<6 { _ = t.offer(n, to: a) }
        let id = t.id(of: a)
        _ = drain(&t, 0)
        for _ in 0..<4 { _ = t.finished(id, .unreachable, recipients: 1, now: Self.at(0), random: 0) }
        #expect(t.isPaused(id, now: Self.at(1)))
        t.forgive(a, now: Self.at(1))
        t.advance(to: Self.at(1))
        #expect(drain(&t, 1).count == 1)
    }

    @Test func destinationsTakeTurns() {
        var t = table {
            $0.windowStart = 100
            $0.windowMax = 100
            $0.inFlightMax = 32
        }
        for n in 0..<100 { _ = t.offer(n, to: name("big")) }
        for n in 100..<104 { _ = t.offer(n, to: name("small")) }
        for n in 200..<204 { _ = t.offer(n, to: name("other")) }
        let first = drain(&t, 0)
        #expect(first.count == 32)
        // All of the small ones went although the big one came first and has more.
        #expect(first.filter { $0 >= 100 }.sorted() == [100, 101, 102, 103, 200, 201, 202, 203])
    }

    @Test func theRateSpreadsStarts() {
        var t = table { $0.ratePerMinute = 60 }
        for n in 0..<5 { _ = t.offer(n, to: name("a")) }
        #expect(drain(&t, 0) == [0])
        #expect(drain(&t, 0.5).isEmpty)
        #expect(t.pictures(now: Self.at(0.5), slotsFree: 1).map(\.limit) == [.rate])
        t.advance(to: Self.at(1))
        #expect(drain(&t, 1) == [1])
    }

    @Test func rowsAreWishedForWhenDueAndThereIsRoom() {
        var t = table()
        let (a, b) = (name("a"), name("b"))
        t.noteDue(a, at: Self.at(5))
        t.noteDue(b, at: Self.at(3))
        t.advance(to: Self.at(4))
        let first = t.takeWishes(now: Self.at(4), rows: 100)
        #expect(first.map(\.name) == [b])
        #expect(first[0].rows == 16)
        #expect(t.takeWishes(now: Self.at(4), rows: 100).isEmpty)
        t.advance(to: Self.at(5))
        #expect(t.takeWishes(now: Self.at(5), rows: 3).map(\.rows) == [3])
        for n in 0..<16 { _ = t.offer(n, to: b) }
        t.leased(first[0].id, nextDue: Self.at(5))
        t.advance(to: Self.at(5))
        #expect(!t.hasWishes)
        // As the ready ones go to work there is room again.
        let id = t.id(of: b)
        _ = drain(&t, 5)
        for _ in 0..<5 {
            _ = t.finished(id, .reached, recipients: 1, now: Self.at(6), random: 0)
            _ = drain(&t, 6)
        }
        t.advance(to: Self.at(6))
        #expect(t.takeWishes(now: Self.at(6), rows: 100).map(\.name) == [b])
    }

    @Test func aHintDuringTheQuestionIsNotLost() {
        var t = table()
        t.noteDue(name("a"), at: Self.at(0))
        t.advance(to: Self.at(0))
        let wish = t.takeWishes(now: Self.at(0), rows: 9)
        t.noteDue(name("a"), at: Self.at(1))
        t.leased(wish[0].id, nextDue: nil)
        t.advance(to: Self.at(1))
        #expect(t.takeWishes(now: Self.at(1), rows: 9).count == 1)
    }

    @Test func aPausedDestinationIsAskedForOneRowWhenItsPauseIsOver() {
        var t = table()
        let a = name("a")
        for n in 0..<4 { _ = t.offer(n, to: a) }
        let id = t.id(of: a)
        _ = drain(&t, 0)
        for _ in 0..<4 { _ = t.finished(id, .unreachable, recipients: 1, now: Self.at(0), random: 0.5) }
        t.noteDue(a, at: Self.at(0))
        t.advance(to: Self.at(1))
        #expect(t.takeWishes(now: Self.at(1), rows: 99).isEmpty)
        t.advance(to: Self.at(10))
        #expect(t.takeWishes(now: Self.at(10), rows: 99).map(\.rows) == [1])
    }

    @Test func heldMeansNothingGoes() {
        var t = table()
        let a = name("a")
        t.hold(a)
        _ = t.offer(1, to: a)
        t.noteDue(a, at: Self.at(0))
        t.advance(to: Self.at(1))
        #expect(drain(&t, 1).isEmpty)
        #expect(!t.hasWishes)
        #expect(t.takeReady(t.id(of: a)) == [1])
        t.release(a, now: Self.at(2))
        t.advance(to: Self.at(2))
        #expect(t.takeWishes(now: Self.at(2), rows: 9).count == 1)
    }

    @Test func closedWhenSomethingWaitsAndOpenAgainAfterwards() {
        var t = table { $0.readyMax = 4 }
        let a = name("a")
        _ = t.offer(1, to: a)
        #expect(t.endTurn(now: Self.at(0)).isEmpty)
        _ = t.offer(2, to: a)
        #expect(t.endTurn(now: Self.at(0)).map(\.isClosed) == [true])
        _ = drain(&t, 0)
        #expect(t.endTurn(now: Self.at(0)).map(\.isClosed) == [false])
        t.noteDue(a, at: Self.at(1))
        t.advance(to: Self.at(1))
        #expect(t.endTurn(now: Self.at(1)).map(\.isClosed) == [true])
    }

    @Test func nothingIsRememberedOfADestinationWithoutMail() {
        var t = table()
        for n in 0..<100 {
            let a = name("site\(n)")
            _ = t.offer(n, to: a)
            let next = t.next(now: Self.at(0))
            _ = t.endTurn(now: Self.at(0))
            #expect(t.count == 1)
            if let next { _ = t.finished(next.id, .reached, recipients: 1, now: Self.at(0), random: 0) }
            _ = t.endTurn(now: Self.at(0))
            #expect(t.count == 0)
        }
        #expect(t.inFlight == 0 && t.readyCount == 0)
    }

    @Test func aDestinationThatWasQuietForItsPauseIsForgotten() {
        var t = table()
        let a = name("a")
        for n in 0..<4 { _ = t.offer(n, to: a) }
        _ = drain(&t, 0)
        let id = t.id(of: a)
        for _ in 0..<4 { _ = t.finished(id, .unreachable, recipients: 1, now: Self.at(0), random: 0) }
        _ = t.endTurn(now: Self.at(0))
        #expect(t.count == 1)
        t.advance(to: Self.at(60))
        _ = t.endTurn(now: Self.at(60))
        #expect(t.count == 0)
    }
}
