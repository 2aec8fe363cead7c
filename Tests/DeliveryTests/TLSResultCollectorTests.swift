import Base
import Protocols
import Store
import Testing

@testable import Delivery

@Suite struct TLSResultCollectorTests {
    private func b(_ text: String) -> [UInt8] { Array(text.utf8) }

    private func attempt(_ result: TLSResultType, _ policies: [TLSPolicyType], version: String = "TLSv1.3")
        -> AttemptRecord
    {
        var attempt = AttemptRecord(
            message: MessageID(rawValue: 1), began: WallTime(seconds: 86_400 * 20_000 + 5), elapsedMicroseconds: 1,
            destination: b("z.example"), recipients: [], host: b("mx.z.example"))
        var tls = AttemptRecord.TLS()
        tls.result = result
        tls.version = b(version)
        tls.policies = policies.map { TLSPolicyFact(type: $0, domain: b("z.example"), strings: [b("s")]) }
        attempt.tls = tls
        return attempt
    }

    private func rows(_ attempts: [AttemptRecord]) -> [TLSResultRow] {
        var collector = TLSResultCollector()
        for attempt in attempts { collector.add(attempt) }
        return collector.takeAll().sorted { $0.key.policy.rawValue < $1.key.policy.rawValue }
    }

    @Test func sessionsAddUpByPolicyAndDay() {
        let found = rows([attempt(.success, []), attempt(.success, [.sts, .tlsa]), attempt(.success, [.tlsa])])
        #expect(found.map(\.key.policy) == [.noPolicyFound, .sts, .tlsa])
        #expect(found.map(\.sessions) == [1, 1, 2])
        #expect(found[2].key.day == 20_000 && found[2].policyStrings == [b("s")] && found[2].version == b("TLSv1.3"))
    }

    @Test func aFailureOfOnePolicyIsNotTheOthers() {
        #expect(rows([attempt(.daneRequired, [.sts, .tlsa], version: "")]).map(\.key.policy) == [.tlsa])
        #expect(rows([attempt(.stsPolicyFetchError, [.sts, .tlsa], version: "")]).map(\.key.policy) == [.sts])
        #expect(rows([attempt(.certificateExpired, [.sts, .tlsa], version: "")]).count == 2)
    }

    @Test func aPolicyThatCouldNotBeHadCountsWithoutAHost() {
        var trouble = attempt(.stsPolicyFetchError, [.sts], version: "")
        trouble.host = []
        let found = rows([trouble, trouble])
        #expect(found.map(\.key.result) == [.stsPolicyFetchError])
        #expect(found.first?.sessions == 2 && found.first?.key.host == [])
    }

    @Test func messagesOnAnOldConnectionAndFailedConnectionsAreNoSessions() {
        var reused = attempt(.success, [.tlsa])
        reused.isReused = true
        var plain = attempt(.success, [.tlsa])
        plain.tls = nil
        #expect(rows([reused, plain, attempt(.success, [.tlsa], version: "")]).isEmpty)
    }

    @Test func whatCouldNotBeWrittenIsAddedLater() {
        var collector = TLSResultCollector()
        collector.add(attempt(.success, [.tlsa]))
        let taken = collector.takeAll()
        collector.add(attempt(.success, [.tlsa]))
        collector.putBack(taken)
        #expect(collector.takeAll().map(\.sessions) == [2])
        #expect(collector.isEmpty)
    }
}
