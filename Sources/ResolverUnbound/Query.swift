import Base
import Protocols

/// One question that libunbound works on, and who waits for its answer. Confined to the resolver thread; kept by the
/// table from `ask` until the callback came, because the callback holds a bare pointer to it.
final class Query {
    struct Waiter {
        let batch: Batch
        let index: Int
        let deadline: Instant
    }

    let question: DNSQuestion
    let asked: Instant
    var waiters: [Waiter] = []
    /// Called once, by `UnboundContext.process`.
    var finish: ((Query, DNSAnswer) -> Void)?

    init(_ question: DNSQuestion, asked: Instant) {
        self.question = question
        self.asked = asked
    }
}

/// The questions of one `Resolver.ask`: the reply is sent when the last answer is there. Confined to the resolver thread.
final class Batch {
    private let questions: [DNSQuestion]
    private var answers: [DNSAnswer?]
    private var open: Int
    private let reply: DNSReply

    init(_ questions: [DNSQuestion], reply: @escaping DNSReply) {
        self.questions = questions
        self.reply = reply
        answers = Array(repeating: nil, count: questions.count)
        open = questions.count
    }

    func set(_ answer: DNSAnswer, at index: Int) {
        guard answers[index] == nil else { return }
        answers[index] = answer
        open -= 1
        guard open == 0 else { return }
        reply(zip(questions, answers).map { ($0, $1 ?? .timeout) })
    }
}
