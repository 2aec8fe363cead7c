import Base
import MailAuth
import Protocols
import Testing

/// Wants `depth` names one after another, each led to by the one before, and counts how many answered in time.
private struct Chain: Evaluation {
    let depth: Int

    static func question(_ n: Int) -> DNSQuestion { DNSQuestion(DNSName("n\(n).example") ?? .root, .a) }

    func evaluate(_ facts: Facts) throws(Missing) -> Int {
        var answered = 0
        for n in 0..<depth where try facts.need(Self.question(n)).status != .timeout { answered += 1 }
        return answered
    }
}

/// Wants everything at once.
private struct Fan: Evaluation {
    let width: Int

    func evaluate(_ facts: Facts) throws(Missing) -> Int {
        try facts.need(all: (0..<width).map { Chain.question($0) }).count { $0.status == .noError }
    }
}

private struct Insatiable: Evaluation {
    func evaluate(_ facts: Facts) throws(Missing) -> Int { throw Missing([Chain.question(facts.count)]) }
}

@Suite struct FactGathererTests {
    private static let answer = DNSAnswer.records([.a(IPAddress(v4: 192, 0, 2, 1))])

    /// Answers everything until the verdict; `secondsARound` passes between rounds.
    private func run<E: Evaluation>(
        _ evaluation: E, _ gatherer: inout FactGatherer, secondsARound: Double = 0
    ) -> E.Verdict? {
        var now = Instant(nanoseconds: 1_000_000_000)
        while true {
            switch gatherer.advance(evaluation, now: now) {
            case .verdict(let verdict): return verdict
            case .gaveUp: return nil
            case .ask(let questions): gatherer.learn(questions.map { ($0, Self.answer) })
            }
            now = now.advanced(bySeconds: secondsARound)
        }
    }

    @Test func aChainIsARoundEach() {
        var gatherer = FactGatherer()
        #expect(run(Chain(depth: 10), &gatherer) == 10)
        #expect(gatherer.rounds == 10)
        #expect(gatherer.asked == 10)
        #expect(!gatherer.isExhausted)
        #expect(gatherer.facts.questions == (0..<10).map { Chain.question($0) })
    }

    @Test func whatIsWantedTogetherIsAskedTogether() {
        var gatherer = FactGatherer()
        #expect(run(Fan(width: 20), &gatherer) == 20)
        #expect(gatherer.rounds == 1)
    }

    @Test func whatIsKnownIsNotAskedAgain() {
        var gatherer = FactGatherer()
        _ = run(Fan(width: 5), &gatherer)
        #expect(run(Chain(depth: 5), &gatherer) == 5)
        #expect(gatherer.asked == 5)
    }

    @Test func afterTheLastRoundTheRestTimesOut() {
        var gatherer = FactGatherer(limits: GatherLimits(rounds: 24))
        #expect(run(Chain(depth: 40), &gatherer) == 24)
        #expect(gatherer.rounds == 24)
        #expect(gatherer.isExhausted)
    }

    @Test func noMoreQuestionsThanAllowed() {
        var gatherer = FactGatherer(limits: GatherLimits(questions: 7))
        #expect(run(Fan(width: 20), &gatherer) == 7)
        #expect(gatherer.asked == 7)
        #expect(gatherer.isExhausted)
    }

    @Test func noMoreTimeThanAllowed() {
        var gatherer = FactGatherer(limits: GatherLimits(seconds: 5))
        // Rounds begin at 0, 2 and 4 seconds; the one at 6 does not.
        #expect(run(Chain(depth: 10), &gatherer, secondsARound: 2) == 3)
        #expect(gatherer.isExhausted)
    }

    @Test func anEvaluationWithoutEndIsGivenUp() {
        var gatherer = FactGatherer(limits: GatherLimits(questions: 3))
        #expect(run(Insatiable(), &gatherer) == nil)
        #expect(gatherer.facts.count < 100)
    }

    @Test func theFirstAnswerStays() {
        var facts = Facts([(Chain.question(0), Self.answer)])
        facts.learn(Chain.question(0), .timeout)
        #expect(facts.known(Chain.question(0)) == Self.answer)
        #expect(facts.count == 1)
    }

    @Test func missingListsAreMergedWithoutRepeats() {
        var missing = Missing([Chain.question(0), Chain.question(1)])
        missing.merge(Missing([Chain.question(1), Chain.question(2)]))
        #expect(missing == Missing([Chain.question(0), Chain.question(1), Chain.question(2)]))
    }
}
