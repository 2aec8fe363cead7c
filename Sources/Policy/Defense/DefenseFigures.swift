package import Protocols

/// What a defence decided by, as values: what an event's text tells people, for a replay. Part of `DefenseEvent`.
package enum DefenseFigures: Sendable, Hashable {
    case limit(Limit)
    case greylist(Greylist)
    case tarpit(Tarpit)
    /// What the client's evidence added up to.
    case score(Int)

    /// A limit as it was in force.
    package struct Limit: Sendable, Hashable {
        /// The setting's name.
        package var key: [UInt8]
        package var limit: Int
        package var isOfNetwork: Bool
        /// It would be taken again after so many seconds; 0: not said.
        package var retrySeconds: Int

        package init(_ key: String, _ limit: Int, isOfNetwork: Bool = false, retrySeconds: Int = 0) {
            self.key = Array(key.utf8)
            self.limit = limit
            self.isOfNetwork = isOfNetwork
            self.retrySeconds = retrySeconds
        }
    }

    /// An attempt and what was known of it. The recipient is the event's subject.
    package struct Greylist: Sendable, Hashable {
        package var step: Step
        package var skip: GreylistSkip?
        /// The network or proven domain; empty: it was not looked up.
        package var identity: [UInt8]
        /// The envelope sender.
        package var sender: [UInt8]
        /// The domain that SPF proved; empty: none.
        package var proven: [UInt8] = []
        /// Left to wait, or waited.
        package var seconds: Int

        package enum Step: String, Sendable, Hashable, CaseIterable {
            case new, early, passed, known, skipped
        }

        package init(step: Step, identity: [UInt8], sender: [UInt8], seconds: Int, skip: GreylistSkip? = nil) {
            self.step = step
            self.identity = identity
            self.sender = sender
            self.seconds = seconds
            self.skip = skip
        }

        package init(_ decision: GreylistDecision, identity: [UInt8], sender: [UInt8]) {
            switch decision {
            case .deferNew(let left): self.init(step: .new, identity: identity, sender: sender, seconds: left)
            case .deferEarly(let left, _):
                self.init(step: .early, identity: identity, sender: sender, seconds: left)
            case .passedNow(let delay):
                self.init(step: .passed, identity: identity, sender: sender, seconds: delay)
            case .known: self.init(step: .known, identity: identity, sender: sender, seconds: 0)
            case .skipped(let why):
                self.init(step: .skipped, identity: identity, sender: sender, seconds: 0, skip: why)
            }
        }
    }

    /// An answer that was held.
    package struct Tarpit: Sendable, Hashable {
        /// Of the client before this one.
        package var failures: Int
        package var seconds: Int

        package init(failures: Int, seconds: Int) {
            self.failures = failures
            self.seconds = seconds
        }
    }
}

/// Failures of one session that concern one receiving domain: how many came at each step of the tarpit, so that any cap
/// can be applied to them later.
package struct FailureTally: Sendable, Hashable {
    package var domain: [UInt8]
    /// By the failures before it: none, 1, 2, 3, 4, 5, and more.
    package private(set) var steps: [Int]
    /// Seconds that answers were held for them.
    package var heldSeconds = 0

    package static let stepsMax = 7
    /// Receiving domains that are told apart in one session.
    package static let domainsMax = 8

    package init(domain: [UInt8], steps: [Int] = []) {
        self.domain = domain
        self.steps = Array(repeating: 0, count: Self.stepsMax)
        for (i, n) in steps.prefix(Self.stepsMax).enumerated() { self.steps[i] = max(0, n) }
    }

    package mutating func count(failuresBefore n: Int) {
        let step = min(max(0, n), Self.stepsMax - 1)
        if steps[step] < Int(Int32.max) { steps[step] += 1 }
    }

    package var count: Int { steps.reduce(0, +) }

    /// What these failures would have been held for.
    package func seconds(_ rules: DomainDefense.Tarpit, _ client: IPAddress?) -> Int {
        if let client, rules.allow.contains(where: { $0.contains(client) }) { return 0 }
        guard rules.isOn else { return 0 }
        var sum = 0
        for (failures, n) in steps.enumerated() {
            let each = Tarpitting.delaySeconds(failures: failures, maxSeconds: rules.maxSeconds)
            sum += min(n, Int(Int32.max)) * each
        }
        return sum
    }
}
