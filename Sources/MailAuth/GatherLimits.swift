/// What bounds the questions that one message (or one `check`) may cause. Replays are cheap; questions are not.
package struct GatherLimits: Sendable, Equatable {
    /// Evaluate, ask, wait: so many times at most. An SPF record may chain ten lookups (RFC 7208 §4.6.4).
    package var rounds: Int
    /// Distinct questions for the whole message, all checks together.
    package var questions: Int
    /// From the first question to the last answer waited for.
    package var seconds: Double

    package init(rounds: Int = 24, questions: Int = 256, seconds: Double = 20) {
        self.rounds = rounds
        self.questions = questions
        self.seconds = seconds
    }
}
