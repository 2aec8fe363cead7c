package import Base
package import Protocols

/// The replay loop without the waiting: what to ask next, and when it is enough. One for a message; all its checks share
/// the facts and the budget. The driver asks, learns the answers and advances again.
///
/// A spent budget acts like a resolver that does not answer: what still lacks is taken as timed out, so each check ends
/// by its own rules for that (temperror).
package struct FactGatherer: Sendable {
    package enum Step<Verdict> {
        case verdict(Verdict)
        /// Ask all of these, then `learn` and `advance`.
        case ask([DNSQuestion])
        /// The check wanted ever more facts although all were refused: temperror.
        case gaveUp
    }

    /// Replays within one `advance` after the budget is spent. A check whose own limits hold needs far fewer.
    private static let refusedRoundsMax = 64

    package private(set) var facts: Facts
    package let limits: GatherLimits
    /// Rounds of questions so far.
    package private(set) var rounds = 0
    /// Questions handed out so far.
    package private(set) var asked = 0
    /// Set by the first round.
    package private(set) var deadline: Instant?
    /// Whether an answer was made up because the budget was spent.
    package private(set) var isExhausted = false

    package init(facts: Facts = Facts(), limits: GatherLimits = GatherLimits()) {
        self.facts = facts
        self.limits = limits
    }

    /// Time begins anew with the next round of questions; rounds and questions stay counted.
    package mutating func renewDeadline() { deadline = nil }

    package mutating func learn(_ question: DNSQuestion, _ answer: DNSAnswer) { facts.learn(question, answer) }

    package mutating func learn(_ answers: [(DNSQuestion, DNSAnswer)]) {
        for (question, answer) in answers { facts.learn(question, answer) }
    }

    /// Runs `evaluation` on what is known.
    package mutating func advance<E: Evaluation>(_ evaluation: E, now: Instant) -> Step<E.Verdict> {
        for _ in 0..<Self.refusedRoundsMax {
            let missing: Missing
            do throws(Missing) {
                return .verdict(try evaluation.evaluate(facts))
            } catch {
                missing = error
            }
            let questions = admit(missing, now)
            if !questions.isEmpty { return .ask(questions) }
        }
        return .gaveUp
    }

    /// The questions that the budget still allows; the others become timeouts.
    private mutating func admit(_ missing: Missing, _ now: Instant) -> [DNSQuestion] {
        var allowed: [DNSQuestion] = []
        let mayAsk = rounds < limits.rounds && now <= (deadline ?? now)
        for question in missing.keys.compactMap(\.question) where facts.known(question) == nil {
            if mayAsk, asked < limits.questions {
                guard !allowed.contains(question) else { continue }
                allowed.append(question)
                asked += 1
            } else {
                isExhausted = true
                facts.learn(question, .timeout)
            }
        }
        if !allowed.isEmpty {
            rounds += 1
            deadline = deadline ?? now.advanced(bySeconds: limits.seconds)
        }
        return allowed
    }
}
