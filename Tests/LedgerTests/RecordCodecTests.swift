import Base
import Ledger
import Policy
import Protocols
import TestKit
import Testing

@Suite("Records as octets")
struct RecordCodecTests {
    private func decision(_ bytes: [UInt8]) -> DecisionRecord? {
        if case .decision(let record) = LedgerRecord(bytes) { record } else { nil }
    }

    @Test(arguments: 0..<300)
    func aDecisionComesBackWhole(seed: Int) throws {
        var random = RandomRecords(seed: UInt64(seed))
        let record = random.decision()
        let bytes = record.encoded()
        let back = try #require(decision(bytes))
        #expect(back.id == record.id)
        #expect(back.time == record.time)
        #expect(back.session == record.session)
        #expect(back.sender == record.sender)
        #expect(back.recipients == record.recipients)
        #expect(back.recipientCount == record.recipientCount)
        #expect(back.size == record.size)
        #expect(back.messageID == record.messageID)
        #expect(back.action == record.action)
        #expect(back.cause == record.cause)
        #expect(back.reply == record.reply)
        #expect(back.results == record.results)
        #expect(back.removedClaims == record.removedClaims)
        #expect(back.policyFacts == record.policyFacts)
        #expect(back.dmarcMode == (record.dmarcMode.isEmpty ? DecisionRecord.standardMode : record.dmarcMode))
        #expect(back.dice == record.dice)
        #expect(back.verdicts == record.verdicts)
        #expect(back.timing == record.timing)
        #expect(back.events == record.events)
        #expect(back.changes == record.changes)
        #expect(back.changeCount == record.changeCount)
        #expect(back.evidence == record.evidence)
        #expect(back.failures == record.failures)
        #expect(!back.isAbridged)
        #expect(back.facts.questions == record.facts.questions)
        for question in record.facts.questions { #expect(back.facts.known(question) == record.facts.known(question)) }
    }

    @Test(arguments: 0..<100)
    func sessionsAndAttemptsComeBackWhole(seed: Int) throws {
        var random = RandomRecords(seed: UInt64(seed))
        let connection = random.connection()
        guard case .connection(let back) = try #require(LedgerRecord(connection.encoded())) else {
            Issue.record("not a connection")
            return
        }
        #expect(back == connection)
        let attempt = random.attempt()
        guard case .attempt(let again) = try #require(LedgerRecord(attempt.encoded())) else {
            Issue.record("not an attempt")
            return
        }
        #expect(again == attempt)
    }

    @Test(arguments: 0..<60)
    func damagedOctetsAreReadWithoutHarm(seed: Int) {
        var random = RandomRecords(seed: UInt64(seed))
        let records = [random.decision().encoded(), random.connection().encoded(), random.attempt().encoded()]
        for record in records {
            for _ in 0..<40 {
                var bytes = record
                for _ in 0..<Int.random(in: 1...4, using: &random.random) {
                    let at = Int.random(in: 0..<bytes.count, using: &random.random)
                    bytes[at] = UInt8.random(in: 0...255, using: &random.random)
                }
                if random.flag() { bytes.removeLast(Int.random(in: 0...bytes.count, using: &random.random)) }
                // What is read can be written and read again.
                guard let read = LedgerRecord(bytes) else { continue }
                #expect(LedgerRecord(read.encoded()) != nil)
            }
        }
    }

    @Test func fieldsOfALaterVersionArePassedOver() throws {
        var random = RandomRecords(seed: 7)
        let record = random.connection()
        // Tag 90 as a text of three octets, tag 91 as a number, tag 92 as a group of two octets.
        let unknown: [UInt8] = [0xE9, 0x02, 3, 1, 2, 3, 0xEC, 0x02, 0x96, 0x01, 0xF2, 0x02, 2, 0, 0, 0, 9, 9]
        guard case .connection(let back) = try #require(LedgerRecord(record.encoded() + unknown)) else {
            Issue.record("not a connection")
            return
        }
        #expect(back == record)
    }

    @Test func aLengthThatDoesNotFitIsNoRecord() {
        var random = RandomRecords(seed: 8)
        #expect(LedgerRecord(random.connection().encoded() + [0xE9, 0x02, 0xFF, 0xFF, 0x03, 1]) == nil)
        #expect(LedgerRecord([]) == nil)
        #expect(LedgerRecord([UInt8](repeating: 0, count: 17)) == nil)
        #expect(LedgerRecord([UInt8](repeating: 1, count: LedgerRecord.octetsMax + 1)) == nil)
    }

    @Test func whatIsTooMuchIsLeftOutAndSaid() throws {
        var random = RandomRecords(seed: 9)
        var record = random.decision()
        for i in 0..<400 {
            guard let name = DNSName("n\(i).example") else { continue }
            record.facts.learn(DNSQuestion(name, .txt), .records([.txt([UInt8](repeating: 0x61, count: 3_000))]))
        }
        record.recipients = (0..<500).map { _ in
            DecisionRecord.Recipient(address: [0x61], domain: [0x62], action: .accept)
        }
        record.recipientCount = 500
        let bytes = record.encoded()
        #expect(bytes.count < 250_000)
        let back = try #require(decision(bytes))
        #expect(back.isAbridged)
        #expect(back.recipients.count == DecisionRecord.recipientsMax)
        #expect(back.recipientCount == 500)
        #expect(back.facts.count > 50)
    }

    @Test func manyLongRulesAreLeftOutAndSaid() throws {
        var random = RandomRecords(seed: 10)
        var record = random.decision()
        record.facts = Facts()
        var policy = DomainPolicy()
        policy.trustedForwarders = (0..<100).map {
            Array("forwarder-\($0).\(String(repeating: "x", count: 60)).example".utf8)
        }
        let disposition = Disposition.decide(AuthResults(), policy, Disposition.Facts())
        record.verdicts = (0..<100).map {
            DecisionRecord.Verdict(domain: Array("d\($0)".utf8), policy: policy, disposition)
        }
        let bytes = record.encoded()
        #expect(bytes.count < 250_000)
        let back = try #require(decision(bytes))
        #expect(back.isAbridged)
        #expect(back.verdicts.first?.policy.trustedForwarders.count == 100)
        #expect(back.verdicts.count == 100)
    }

    @Test func everyCaseHasItsNumber() {
        func check<T: CaseIterable & Equatable>(_ type: T.Type, _ codes: [T]) {
            for value in T.allCases { #expect(codes.contains(value), "\(value)") }
        }
        check(AuthResult.self, AuthResult.ledgerCodes)
        check(AuthResults.BIMI.Result.self, AuthResults.BIMI.Result.ledgerCodes)
        check(DMARCPolicy.self, DMARCPolicy.ledgerCodes)
        check(Disposition.Action.self, Disposition.Action.ledgerCodes)
        check(Disposition.Rule.self, Disposition.Rule.ledgerCodes)
        check(Disposition.Override.Kind.self, Disposition.Override.Kind.ledgerCodes)
        check(DNSStatus.self, DNSStatus.ledgerCodes)
        check(DNSSecurity.self, DNSSecurity.ledgerCodes)
        check(DeliveryFailure.Permanence.self, DeliveryFailure.Permanence.ledgerCodes)
        check(DeliveryFailure.Source.self, DeliveryFailure.Source.ledgerCodes)
        check(TLSResultType.self, TLSResultType.ledgerCodes)
        check(TLSPolicyType.self, TLSPolicyType.ledgerCodes)
        check(DefenseEvent.Control.self, DefenseEvent.Control.ledgerCodes)
        check(DefenseEvent.Effect.self, DefenseEvent.Effect.ledgerCodes)
    }
}
