import Base
import CEpoll
import Handoff
import Protocols
import Reactor
import Store
import Synchronization
import Testing

@testable import Delivery

/// Plans made over a resolver that is a table, with and without the policy service beside it.
@Suite struct PlanDriverTests {
    private final class Table: DNSResolver {
        let answers: Mutex<[DNSQuestion: DNSAnswer]>
        let rounds = Atomic<Int>(0)
        let takes: Bool

        init(_ answers: [DNSQuestion: DNSAnswer], takes: Bool = true) {
            self.answers = Mutex(answers)
            self.takes = takes
        }

        func ask(_ questions: [DNSQuestion], reply: @escaping DNSReply) -> Bool {
            rounds.add(1, ordering: .relaxed)
            guard takes else { return false }
            reply(
                answers.withLock { table in questions.map { ($0, table[$0] ?? DNSAnswer(status: .nxDomain, ttl: 9)) } })
            return true
        }
    }

    private struct NoStorage: STSPolicyStorage {
        func load() -> [STSPolicyRecord] { [] }
        func save(_ record: STSPolicyRecord) {}
        func remove(domain: [UInt8]) {}
    }

    private func zone() throws -> [DNSQuestion: DNSAnswer] {
        let domain = try #require(DNSName("x.example"))
        let host = try #require(DNSName("mx.x.example"))
        return [
            DNSQuestion(domain, .mx): .records([.mx(preference: 5, host: host)], ttl: 40),
            DNSQuestion(host, .a): .records([.a(IPAddress(v4: 192, 0, 2, 7))], ttl: 50),
        ]
    }

    private func plan(_ driver: PlanDriver) throws -> DeliveryPlanVerdict {
        let reactor = Reactor(io: try EpollBackend(), time: SystemTime())
        let kept = Kept()
        driver.plan(PlanQuestion(destination: Array("x.example".utf8), demand: .ordinary), reactor) { _, verdict in
            kept.verdicts.withLock { $0.append(verdict) }
        }
        let end = mt_monotonic_ns() + 10_000_000_000
        while kept.verdicts.withLock({ $0.isEmpty }), mt_monotonic_ns() < end {
            reactor.after(0.02) {}
            reactor.turn()
        }
        return try #require(kept.verdicts.withLock { $0.first })
    }

    private final class Kept: Sendable {
        let verdicts = Mutex<[DeliveryPlanVerdict]>([])
    }

    @Test func findsHosts() throws {
        let verdict = try plan(PlanDriver(resolver: Table(try zone()), sts: nil, rules: DeliveryRules()))
        guard case .hosts(let hosts) = verdict.outcome else {
            Issue.record("\(verdict.outcome)")
            return
        }
        #expect(hosts.map(\.name) == [Array("mx.x.example".utf8)])
        #expect(hosts.first?.addresses == [IPAddress(v4: 192, 0, 2, 7)])
        #expect(verdict.ttlSeconds > 0 && verdict.ttlSeconds <= 40)
    }

    @Test func waitsForThePolicy() throws {
        let resolver = Table(try zone())
        let service = STSPolicyService(
            resolver: resolver, storage: NoStorage(), wall: { WallTime(seconds: 1_800_000_000) })
        defer { service.stop() }
        let verdict = try plan(PlanDriver(resolver: resolver, sts: service, rules: DeliveryRules()))
        guard case .hosts = verdict.outcome else {
            Issue.record("\(verdict.outcome)")
            return
        }
    }

    @Test func aResolverThatTakesNothingIsTemporary() throws {
        let verdict = try plan(PlanDriver(resolver: Table([:], takes: false), sts: nil, rules: DeliveryRules()))
        guard case .failed(let failure) = verdict.outcome else {
            Issue.record("\(verdict.outcome)")
            return
        }
        #expect(failure.permanence == .temporary)
    }
}
