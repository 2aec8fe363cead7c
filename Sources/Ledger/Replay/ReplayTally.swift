package import Base
package import Protocols

/// What became of mail, or would have.
package enum ReplayOutcome: String, Sendable, Hashable, CaseIterable {
    case taken
    case junk
    case putOff = "put off"
    case refused
}

/// One kind of change that other rules make, counted, with its first examples.
package struct ReplayChange: Sendable, Hashable {
    package let old: ReplayOutcome
    package let new: ReplayOutcome
    package internal(set) var count = 0
    package internal(set) var examples: [Example] = []

    package static let examplesMax = 20

    package struct Example: Sendable, Hashable {
        package let id: MessageID
        package let time: WallTime
        package let client: IPAddress?
        package let sender: [UInt8]
        /// The recipient or the receiving domain.
        package let subject: [UInt8]
        package let reason: String
    }
}

/// Changes by kind: at most one for each pair of outcomes, with `examplesMax` examples each.
package struct ReplayTally: Sendable, Hashable {
    package private(set) var changes: [ReplayChange] = []

    mutating func add(_ old: ReplayOutcome, _ new: ReplayOutcome, _ example: @autoclosure () -> ReplayChange.Example) {
        var at = changes.firstIndex { $0.old == old && $0.new == new }
        if at == nil {
            changes.append(ReplayChange(old: old, new: new))
            at = changes.count - 1
        }
        guard let at else { return }
        changes[at].count += 1
        if changes[at].examples.count < ReplayChange.examplesMax { changes[at].examples.append(example()) }
    }

    package var total: Int { changes.reduce(0) { $0 + $1.count } }

    package func count(_ old: ReplayOutcome, _ new: ReplayOutcome) -> Int {
        changes.first { $0.old == old && $0.new == new }?.count ?? 0
    }
}
