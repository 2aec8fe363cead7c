import Protocols

/// What a score would be under rules that may ask for more than was found out: what nobody asked then is open, and its
/// range is told instead of guessed. Pure.
package struct ScoreOutlook: Sendable, Hashable {
    /// The least and the most it can come to.
    package let lowest: Int
    package let highest: Int
    /// What was not asked and would count: zones of lists, `reverse name`, `HELO`.
    package let missing: [String]
    private let policy: DomainDefense.Score
    private let isExempt: Bool

    package init(_ evidence: ClientEvidence, _ policy: DomainDefense.Score, isExempt: Bool = false) {
        var (low, high) = (0, 0)
        var missing: [String] = []
        func open(_ weight: Int, _ name: @autoclosure () -> String) {
            guard weight != 0 else { return }
            low += min(0, weight)
            high += max(0, weight)
            let name = name()
            if !missing.contains(name) { missing.append(name) }
        }
        for list in policy.lists where !evidence.lists.contains(where: { $0.zone == list.zone }) {
            open(list.weight, String(validating: list.zone, as: UTF8.self) ?? "?")
        }
        if evidence.reverse == nil { open(policy.reverseWeight, "reverse name") }
        if evidence.helo == nil { open(policy.heloWeight, "HELO") }
        let known = ClientScore(evidence, policy, isExempt: isExempt).total
        lowest = known + low
        highest = known + high
        self.missing = missing
        self.policy = policy
        self.isExempt = isExempt
    }

    /// nil: it depends on what is missing.
    package var decision: ClientScore.Decision? { best == worst ? best : nil }

    private var decides: Bool { !isExempt && policy.canDecide }

    /// The best and the worst that it may come to.
    package var best: ClientScore.Decision { decides ? ClientScore.decide(lowest, policy) : .accept }
    package var worst: ClientScore.Decision { decides ? ClientScore.decide(highest, policy) : .accept }

    /// Whether it is at most `limit`; nil: it depends.
    package func isAtMost(_ limit: Int) -> Bool? {
        if highest <= limit { return true }
        return lowest > limit ? false : nil
    }

    /// `score 5`, `score 2 to 8`.
    package var text: String { lowest == highest ? "score \(lowest)" : "score \(lowest) to \(highest)" }
}
