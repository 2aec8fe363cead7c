/// Something an evaluation may want to know and has to ask for.
package enum FactKey: Sendable, Hashable, CustomStringConvertible {
    case dns(DNSQuestion)

    package var question: DNSQuestion? {
        switch self {
        case .dns(let question): question
        }
    }

    package var description: String {
        switch self {
        case .dns(let question): question.description
        }
    }
}

/// Thrown by an evaluation that cannot go on: the answers it lacks. Ask for all of them at once, then run it again.
package struct Missing: Error, Sendable, Equatable {
    package private(set) var keys: [FactKey]

    package init(_ keys: [FactKey]) { self.keys = keys }
    package init(_ questions: [DNSQuestion]) { keys = questions.map { .dns($0) } }

    /// Both lists, without repeats: several checks that run side by side ask together.
    package mutating func merge(_ other: Missing) {
        for key in other.keys where !keys.contains(key) { keys.append(key) }
    }
}

/// What is known so far about one message (or one check): the memo that makes replay cheap, and the evidence that
/// explains the verdict afterwards. Owned by whoever drives the evaluation; the driver bounds its growth.
package struct Facts: Sendable {
    private var answers: [DNSQuestion: DNSAnswer]
    /// In the order they became known.
    package private(set) var questions: [DNSQuestion]

    package init() {
        answers = [:]
        questions = []
    }

    /// A fixture.
    package init(_ known: [(DNSQuestion, DNSAnswer)]) {
        self.init()
        for (question, answer) in known { learn(question, answer) }
    }

    package var count: Int { questions.count }

    /// The first answer to a question stays: a verdict never changes because a record did meanwhile.
    package mutating func learn(_ question: DNSQuestion, _ answer: DNSAnswer) {
        guard answers[question] == nil else { return }
        answers[question] = answer
        questions.append(question)
    }

    /// Without what may be answered otherwise a moment later.
    package var settled: Facts {
        var out = Facts()
        for question in questions {
            if let answer = answers[question], !answer.isTemporary { out.learn(question, answer) }
        }
        return out
    }

    package func known(_ question: DNSQuestion) -> DNSAnswer? { answers[question] }

    package func need(_ question: DNSQuestion) throws(Missing) -> DNSAnswer {
        guard let answer = answers[question] else { throw Missing([question]) }
        return answer
    }

    package func need(_ name: DNSName, _ type: DNSRecordType) throws(Missing) -> DNSAnswer {
        try need(DNSQuestion(name, type))
    }

    /// All answers in order, or everything that lacks, in one throw.
    package func need(all wanted: [DNSQuestion]) throws(Missing) -> [DNSAnswer] {
        var found: [DNSAnswer] = []
        var missing: [DNSQuestion] = []
        for question in wanted {
            if let answer = answers[question] {
                found.append(answer)
            } else if !missing.contains(question) {
                missing.append(question)
            }
        }
        guard missing.isEmpty else { throw Missing(missing) }
        return found
    }
}
