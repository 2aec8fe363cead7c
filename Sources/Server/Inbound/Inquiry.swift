import Base
import MailAuth
import Protocols

/// The questions of one message: what is known, what has been asked and not answered, and since when. Drives
/// `FactGatherer` by answers that come from another thread. Owned by one connection, on its loop's thread; a reference, so
/// that mail that is not checked carries no more than a null pointer of it.
final class Inquiry {
    /// Tells answers for this message from late ones for the one before.
    let serial: UInt64
    /// Who handed the message over; fixed at MAIL.
    private(set) var client: MessageCheck.Client
    /// 0 to 99: which share of sampled mail this is (RFC 7489 §6.6.4).
    let dice: Int
    private(set) var gatherer: FactGatherer
    /// Whether the message is judged by it; otherwise it only finds out about the client.
    let judges: Bool
    private var inFlight: Set<DNSQuestion> = []

    /// `facts`: what an earlier message of the same client and sender found out, if it was just now.
    init(
        serial: UInt64, client: MessageCheck.Client, dice: Int, limits: GatherLimits, facts: Facts = Facts(),
        judges: Bool = true
    ) {
        self.serial = serial
        self.judges = judges
        self.client = client
        self.dice = dice
        gatherer = FactGatherer(facts: facts, limits: limits)
    }

    enum Step<Verdict> {
        case verdict(Verdict)
        /// Put these to the resolver; empty: all that lacks has been asked already.
        case wait(ask: [DNSQuestion])
        case gaveUp
    }

    func advance<E: Evaluation>(_ evaluation: E, memo: DNSMemo, now: Instant) -> Step<E.Verdict> {
        // Each turn learns something or returns; the gatherer's own bound is on rounds.
        while true {
            switch gatherer.advance(evaluation, now: now) {
            case .verdict(let verdict): return .verdict(verdict)
            case .gaveUp: return .gaveUp
            case .ask(let questions):
                let unknown = questions.filter { question in
                    guard let answer = memo.answer(question, now: now) else { return true }
                    gatherer.learn(question, answer)
                    return false
                }
                if unknown.isEmpty { continue }
                let fresh = unknown.filter { inFlight.insert($0).inserted }
                return .wait(ask: fresh)
            }
        }
    }

    /// The client's results hold for the rest of the message, whatever else is learned.
    func settleClient(_ results: MessageCheck.Client.Results) { client.known = results }

    /// Takes what the memo knows of questions that are likely to be asked.
    func learn(likely questions: [DNSQuestion], memo: DNSMemo, now: Instant) {
        for question in questions {
            if let answer = memo.answer(question, now: now) { gatherer.learn(question, answer) }
        }
    }

    func renewDeadline() { gatherer.renewDeadline() }

    func learn(_ answers: [(DNSQuestion, DNSAnswer)]) {
        for (question, _) in answers { inFlight.remove(question) }
        gatherer.learn(answers)
    }

    /// What has not been answered yet will not be: each check ends by its own rules for that.
    func giveUpWaiting() {
        for question in inFlight { gatherer.learn(question, .timeout) }
        inFlight = []
    }

    /// The same of some of them: the others are waited for.
    func giveUpWaiting(for questions: [DNSQuestion]) {
        for question in questions where inFlight.remove(question) != nil { gatherer.learn(question, .timeout) }
    }

    var isWaiting: Bool { !inFlight.isEmpty }
}
