import Base
import Policy
import Testing

@Suite struct TarpittingTests {
    private func at(_ seconds: Double) -> Instant { Instant(nanoseconds: 1).advanced(bySeconds: seconds) }

    @Test(arguments: [
        (0, 8, 0), (1, 8, 1), (2, 8, 2), (3, 8, 4), (4, 8, 8), (5, 8, 8), (100_000, 8, 8), (4, 5, 5), (5, 30, 16),
        (6, 30, 30), (7, 30, 30), (Int.max, Int.max, 30), (9, 0, 0), (9, -1, 0), (-1, 8, 0), (1, 1, 1), (2, 1, 1),
    ])
    func delaysDoubleUpToTheMost(_ failures: Int, _ most: Int, _ seconds: Int) {
        #expect(Tarpitting.delaySeconds(failures: failures, maxSeconds: most) == seconds)
    }

    @Test func failuresCountUp() {
        var tarpit = Tarpitting()
        #expect(tarpit.failures(at(0)) == 0)
        let before = (0..<5).map { tarpit.fail(at(Double($0))) }
        #expect(before == [0, 1, 2, 3, 4])
        #expect(tarpit.failures(at(5)) == 5)
    }

    /// An hour without a failure, counted from the last one.
    @Test func anHourOfPeaceForgives() {
        var tarpit = Tarpitting()
        _ = tarpit.fail(at(0))
        _ = tarpit.fail(at(3_599))
        #expect(tarpit.failures(at(3_599 + 3_599)) == 2)
        #expect(tarpit.failures(at(3_599 + 3_600)) == 0)
        #expect(tarpit.fail(at(10_000)) == 0)
        #expect(tarpit.failures(at(10_000)) == 1)
    }

    @Test func forgiven() {
        var tarpit = Tarpitting()
        _ = tarpit.fail(at(0))
        tarpit.forgive()
        #expect(tarpit.failures(at(0)) == 0)
        #expect(tarpit.fail(at(0)) == 0)
    }
}
