import Base
import Protocols
import Reactor
import Store
import Synchronization
import TestKit
import Testing

@testable import Delivery

/// Workers on their own threads, and what a plan leaves for the reports.
@Suite struct WorkerGroupTests {
    private final class Count: Sendable {
        let delivered = Atomic<Int>(0)
        let others = Atomic<Int>(0)
    }

    @Test func everyJobIsReportedOnce() throws {
        // The bench's reactor is the peers' here; its own worker has nothing to do.
        let bench = try WorkerBench()
        let peer = try bench.peer()
        let count = Count()
        let options = DeliveryWorkerOptions(
            helloName: Array("out.example".utf8), tls: try TLSContext(client: .outbound()))
        let group = try DeliveryWorkerGroup.start(
            count: 2, options: options, planner: TablePlanner([bench.host(peer)]), gateway: bench.store.gateway
        ) { report in
            let isDelivered = report.results.allSatisfy { $0.isDelivered }
            if isDelivered {
                count.delivered.add(1, ordering: .relaxed)
            } else {
                count.others.add(1, ordering: .relaxed)
            }
        }
        for n in 0..<200 { #expect(group.handles[n % 2].submit(bench.job())) }
        bench.turn(until: { count.delivered.load(ordering: .relaxed) == 200 })
        #expect(peer.messages.count == 200)
        group.stop(graceSeconds: 0.2)
        #expect(count.others.load(ordering: .relaxed) == 0)
        #expect(group.handles.allSatisfy { $0.jobs == 0 })
        #expect(!group.handles[0].submit(bench.job()))
    }

    /// The last of the hosts that were ruled out ends it: there is no next one to be tried.
    @Test func aPlanWithoutHostsEndsAtTheLastOneRuledOut() throws {
        let bench = try WorkerBench()
        let failures = ["a.example", "b.example"].map {
            FailureClassifier.tls(.dnssecInvalid, detail: [], host: Array($0.utf8))
        }
        var verdict = DeliveryPlanVerdict(outcome: .failed(failures[1]))
        verdict.skipped = failures.map {
            SkippedHost(name: $0.host, preference: 1, failure: $0, result: .dnssecInvalid)
        }
        bench.planner.verdict.withLock { $0 = verdict }
        bench.submit(bench.job())
        let report = try #require(bench.run().first)
        #expect(report.attempts.flatMap(\.recipients).map(\.result) == [.passedOn(failures[0]), .failed(failures[1])])
    }

    /// No host to try is an attempt, too; DNSSEC as its cause is for TLS reports.
    @Test(arguments: [TLSResultType.dnssecInvalid, nil]) func aPlanThatFailsIsAnAttempt(_ cause: TLSResultType?) throws
    {
        let bench = try WorkerBench()
        let failure = DeliveryFailure(.temporary, .dns, EnhancedStatus(4, 4, 3), text: Array("no answer".utf8))
        var verdict = DeliveryPlanVerdict(outcome: .failed(failure))
        verdict.policyProblem = cause.map {
            TLSPolicyProblem(
                result: $0, detail: Array("bogus".utf8),
                policy: TLSPolicyFact(type: .tlsa, domain: Array("to.example".utf8)))
        }
        bench.planner.verdict.withLock { $0 = verdict }
        bench.submit(bench.job())
        let report = try #require(bench.run().first)
        #expect(report.attempts.count == 1)
        let attempt = try #require(report.attempts.first)
        #expect(attempt.host.isEmpty && attempt.tls?.result == cause)
        #expect(attempt.recipients.map(\.result) == [.failed(failure)])
    }

    @Test func skippedHostsAndPolicyTroubleAreAttempts() throws {
        let bench = try WorkerBench()
        let peer = try bench.peer()
        let fact = TLSPolicyFact(type: .sts, domain: Array("to.example".utf8))
        var verdict = DeliveryPlanVerdict(outcome: .hosts([bench.host(peer)]), ttlSeconds: 300)
        verdict.skipped = [
            SkippedHost(
                name: Array("bogus.example".utf8), preference: 1,
                failure: FailureClassifier.tls(.dnssecInvalid, detail: [], host: Array("bogus.example".utf8)),
                result: .dnssecInvalid)
        ]
        verdict.policyProblem = TLSPolicyProblem(result: .stsPolicyFetchError, detail: [], policy: fact)
        bench.planner.verdict.withLock { $0 = verdict }
        bench.submit(bench.job())
        let first = try #require(bench.run().first)
        #expect(first.attempts.map { $0.tls?.result } == [.dnssecInvalid, .startTLSNotSupported, .stsPolicyFetchError])
        #expect(first.attempts.last?.recipients.isEmpty == true)
        // No new session, no new trouble.
        bench.submit(bench.job())
        #expect(bench.run(2)[1].attempts.map { $0.tls?.result } == [.dnssecInvalid, .startTLSNotSupported])
    }
}
