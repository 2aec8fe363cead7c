import ArgumentParser
import Base
import Handoff
import MailAuth
import Protocols
import ResolverUnbound
import Server

/// Drives one evaluation to its end and waits for it: evaluate, ask all that lacks, wait, again.
struct CheckResolver {
    /// A verdict with the facts it rests on.
    struct Outcome<Verdict> {
        let verdict: Verdict
        let facts: Facts
        /// Whether the budget of questions or time was spent.
        let isExhausted: Bool
    }

    private let resolver: Resolver
    private let time = SystemTime()
    private let limits: GatherLimits

    /// Runs `body` with a resolver and stops it afterwards; ends the command when there can be none.
    static func with<T>(_ options: CheckOptions, _ body: (CheckResolver) throws -> T) throws -> T {
        let settings = try options.resolverConfiguration()
        let resolver: Resolver
        do throws(ResolverError) {
            resolver = try Resolver(settings)
        } catch {
            Console.error("\(error)")
            throw ExitCode(ExitStatus.configuration)
        }
        defer { resolver.stop() }
        // Nobody's session waits here: a check may use the time of several questions one after another.
        return try body(CheckResolver(resolver: resolver, limits: GatherLimits(seconds: 60)))
    }

    private init(resolver: Resolver, limits: GatherLimits) {
        self.resolver = resolver
        self.limits = limits
    }

    /// `known`: facts of an earlier check of the same message.
    func resolve<E: Evaluation>(_ evaluation: E, known: Facts = Facts()) throws -> Outcome<E.Verdict> {
        var gatherer = FactGatherer(facts: known, limits: limits)
        while true {
            switch gatherer.advance(evaluation, now: time.monotonic()) {
            case .verdict(let verdict):
                return Outcome(verdict: verdict, facts: gatherer.facts, isExhausted: gatherer.isExhausted)
            case .ask(let questions): gatherer.learn(answers(to: questions))
            case .gaveUp:
                Console.error("the check did not end within its budget")
                throw ExitCode(ExitStatus.temporary)
            }
        }
    }

    private func answers(to questions: [DNSQuestion]) -> [(DNSQuestion, DNSAnswer)] {
        let inbox = Mailbox<[(DNSQuestion, DNSAnswer)]>(capacity: 2)
        guard resolver.ask(questions, reply: { _ = inbox.post($0) }) else { return questions.map { ($0, .timeout) } }
        while true {
            if let answers = inbox.next() { return answers }
            inbox.wait()
        }
    }
}
