import Base
import MailAuth
import Protocols
import Reactor
import Telemetry

/// The reverse lookup of a client for the filters of its session: once a session, begun with the first question to them.
/// Bounded by the limits of the checks, and in time by the connection's deadline. Owned by the session's driver; an object, so
/// that sessions without filters have no room for it.
final class ClientNameLookup {
    private let check: IPRevCheck
    private var gatherer: FactGatherer
    private var inFlight: Set<DNSQuestion> = []
    /// nil: it is being asked.
    private(set) var result: AuthResults.IPRev?

    init(_ address: IPAddress, _ limits: GatherLimits) {
        check = IPRevCheck(address)
        gatherer = FactGatherer(facts: Facts(), limits: limits)
    }

    var isAsking: Bool { result == nil }

    /// What is to be put to the resolver now; empty when it has ended or waits.
    func advance(memo: DNSMemo, now: Instant) -> [DNSQuestion] {
        // Each turn learns something or returns; the gatherer's own bound is on rounds.
        while result == nil {
            switch gatherer.advance(check, now: now) {
            case .verdict(let found): result = found
            case .gaveUp: result = AuthResults.IPRev(result: .temperror, address: [])
            case .ask(let questions):
                let unknown = questions.filter { question in
                    guard let answer = memo.answer(question, now: now) else { return true }
                    gatherer.learn(question, answer)
                    return false
                }
                if unknown.isEmpty { continue }
                return unknown.filter { inFlight.insert($0).inserted }
            }
        }
        return []
    }

    func learn(_ answers: [(DNSQuestion, DNSAnswer)]) {
        for (question, _) in answers { inFlight.remove(question) }
        gatherer.learn(answers)
    }

    /// What has not been answered yet will not be.
    func giveUpWaiting() {
        for question in inFlight { gatherer.learn(question, .timeout) }
        inFlight = []
    }
}

/// The client's name, for filters. Nothing waits for it but what is told to a filter.
extension SMTPConnection {
    func startNaming() {
        guard clientName == nil, let client else { return }
        clientName = ClientNameLookup(client, settings.auth.limits)
        pursueName()
    }

    private func pursueName() {
        guard let lookup = clientName else { return }
        let questions = lookup.advance(memo: loop.memo, now: loop.reactor.now)
        guard !questions.isEmpty else { return }
        let handle = loop.reactor.handle
        let token = self.token
        let metrics = loop.services.metrics
        let asked = loop.services.resolver.ask(questions) { answers in
            // Lost for want of room: the connection's deadline ends the wait.
            let delivered = handle.post { SMTPConnection.on($0, token)?.learnedName(answers) }
            if !delivered { metrics.mailboxFull.add(.reactor) }
        }
        guard !asked else { return }
        lookup.learn(questions.map { ($0, .timeout) })
        pursueName()
    }

    private func learnedName(_ answers: [(DNSQuestion, DNSAnswer)]) {
        for (question, answer) in answers { loop.memo.keep(question, answer, now: loop.reactor.now) }
        guard let lookup = clientName, lookup.isAsking else { return }
        lookup.learn(answers)
        pursueName()
        tellName()
    }

    /// The time for it is over.
    func stopNaming() {
        clientName?.giveUpWaiting()
        pursueName()
        tellName()
    }

    private func tellName() {
        guard clientName?.isAsking == false, let chain else { return }
        chain.facts = filterFacts
        chain.named()
        pumpUnlessInTurn()
    }
}
