package import MailAuth
package import Protocols
package import Reactor
import Synchronization

/// Plans by asking DNS and the MTA-STS service, side by side. Shareable: it holds two services, the rules under a lock and
/// a counter; each plan under way lives in the answers that are awaited.
package final class PlanDriver: DeliveryPlanner {
    private let resolver: any DNSResolver
    private let sts: STSPolicyService?
    private let limits: GatherLimits
    private let rules: Mutex<DeliveryRules>
    private let seed: Atomic<UInt64>

    package init(
        resolver: any DNSResolver, sts: STSPolicyService?, rules: DeliveryRules,
        limits: GatherLimits = GatherLimits(rounds: 24, questions: 256, seconds: 40), seed: UInt64 = 0
    ) {
        self.resolver = resolver
        self.sts = sts
        self.limits = limits
        self.rules = Mutex(rules)
        self.seed = Atomic(seed)
    }

    /// Plans made from now on follow these.
    package func update(_ rules: DeliveryRules) { self.rules.withLock { $0 = rules } }

    package func plan(
        _ question: PlanQuestion, _ reactor: Reactor,
        done: @escaping @Sendable (Reactor, DeliveryPlanVerdict) -> Void
    ) {
        let rules = rules.withLock { $0 }
        let run = PlanRun(
            question, rules, resolver, limits,
            seed: seed.wrappingAdd(0x9E37_79B9_7F4A_7C15, ordering: .relaxed).newValue,
            handle: reactor.handle, done: done)
        guard let sts, let domain = DeliveryPlan.policyDomain(question.destination, rules) else {
            return run.learned(.absent, reactor)
        }
        let handle = reactor.handle
        let isAsked = sts.lookup(domain) { verdict in
            _ = handle.post { run.learned(verdict, $0) }
        }
        guard isAsked else { return run.fail("the policy service is busy", reactor) }
        run.advance(reactor)
    }
}

/// One plan under way. Touched on its worker's thread only; the lock makes it fit into the answers that bring it there.
private final class PlanRun: Sendable {
    private struct State {
        var gatherer: FactGatherer
        /// nil: still asked for. What DNS says is gathered meanwhile.
        var sts: STSVerdict?
        var isAsking = false
        var isDone = false
    }

    private enum Next {
        case wait
        case ask([DNSQuestion])
        case done(DeliveryPlanVerdict)
    }

    private let question: PlanQuestion
    private let rules: DeliveryRules
    private let resolver: any DNSResolver
    private let seed: UInt64
    private let handle: ReactorHandle
    private let done: @Sendable (Reactor, DeliveryPlanVerdict) -> Void
    private let state: Mutex<State>

    init(
        _ question: PlanQuestion, _ rules: DeliveryRules, _ resolver: any DNSResolver, _ limits: GatherLimits,
        seed: UInt64, handle: ReactorHandle, done: @escaping @Sendable (Reactor, DeliveryPlanVerdict) -> Void
    ) {
        self.question = question
        self.rules = rules
        self.resolver = resolver
        self.seed = seed
        self.handle = handle
        self.done = done
        state = Mutex(State(gatherer: FactGatherer(limits: limits)))
    }

    func learned(_ verdict: STSVerdict, _ reactor: Reactor) {
        state.withLock { $0.sts = verdict }
        advance(reactor)
    }

    private func learned(_ answers: [(DNSQuestion, DNSAnswer)], _ reactor: Reactor) {
        state.withLock {
            $0.isAsking = false
            $0.gatherer.learn(answers)
        }
        advance(reactor)
    }

    func fail(_ why: StaticString, _ reactor: Reactor) {
        let text = why.withUTF8Buffer { Array($0) }
        let verdict = DeliveryPlanVerdict(
            outcome: .failed(DeliveryFailure(.temporary, .dns, EnhancedStatus(4, 4, 3), text: text)))
        let isFirst = state.withLock { state in
            defer { state.isDone = true }
            return !state.isDone
        }
        if isFirst { done(reactor, verdict) }
    }

    func advance(_ reactor: Reactor) {
        while true {
            switch next(reactor) {
            case .wait: return
            case .done(let verdict): return done(reactor, verdict)
            case .ask(let questions):
                let handle = handle
                let isAsked = resolver.ask(questions) { answers in
                    _ = handle.post { self.learned(answers, $0) }
                }
                if isAsked { return }
                state.withLock {
                    $0.isAsking = false
                    $0.gatherer.learn(questions.map { ($0, DNSAnswer.timeout) })
                }
            }
        }
    }

    private func next(_ reactor: Reactor) -> Next {
        let now = reactor.now
        return state.withLock { state in
            guard !state.isDone, !state.isAsking else { return .wait }
            let plan = DeliveryPlan(
                destination: question.destination, rules: rules, sts: state.sts ?? .absent, demand: question.demand,
                seed: seed)
            switch state.gatherer.advance(plan, now: now) {
            case .ask(let questions):
                state.isAsking = true
                return .ask(questions)
            case .verdict(let verdict):
                guard state.sts != nil else { return .wait }
                state.isDone = true
                return .done(verdict)
            case .gaveUp:
                state.isDone = true
                return .done(
                    DeliveryPlanVerdict(
                        outcome: .failed(
                            DeliveryFailure(
                                .temporary, .dns, EnhancedStatus(4, 4, 3), text: Array("too many DNS questions".utf8))))
                )
            }
        }
    }
}
