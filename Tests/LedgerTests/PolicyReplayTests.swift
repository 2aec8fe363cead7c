import Base
import Ledger
import MailAuth
import Policy
import Protocols
import Testing

@Suite("Policy replay")
struct PolicyReplayTests {
    private func changes(_ situation: Situation, _ settings: [(String, String)], domain: String? = nil) throws
        -> [String]?
    {
        let replay = try PolicyReplay(settings.map { (key: $0.0, value: $0.1) }, domain: domain.map { Array($0.utf8) })
        guard case .decided(let changes) = replay.decide(situation.record()) else { return nil }
        return changes.map {
            "\($0.oldAction.rawValue)/\($0.oldRule.rawValue) -> \($0.newAction.rawValue)/\($0.newRule.rawValue)"
        }
    }

    private var listed: Situation {
        var s = Situation(dmarc: "v=DMARC1; p=reject", spf: .pass, spfDomain: "lists.example")
        s.seal(by: "lists.example")
        return s
    }

    @Test func whatARuleWouldHaveChanged() throws {
        let refused = Situation(dmarc: "v=DMARC1; p=reject")
        #expect(try changes(refused, [("dmarc_enforce", "false")]) == ["reject/dmarc_policy -> accept/dmarc_policy"])
        #expect(
            try changes(refused, [("dmarc_exempt", "example.org")]) == ["reject/dmarc_policy -> accept/dmarc_policy"])
        #expect(try changes(refused, [("dmarc_exempt", "example.net")]) == [])
        #expect(try changes(refused, [("spf_fail", "reject")]) == [])
        #expect(
            try changes(listed, [("trusted_arc_sealers", "lists.example")]) == [
                "reject/dmarc_policy -> accept/dmarc_policy"
            ])
        #expect(
            try changes(listed, [("trusted_forwarders", "lists.example")]) == [
                "reject/dmarc_policy -> accept/dmarc_policy"
            ])
        #expect(try changes(listed, [("broken_from", "accept")]) == [])
    }

    @Test func theRulesOfThenAreTheStartingPoint() throws {
        var s = Situation(dmarc: "v=DMARC1; p=reject")
        s.policy.dmarcEnforced = false
        #expect(try changes(s, [("dmarc_enforce", "true")]) == ["accept/dmarc_policy -> reject/dmarc_policy"])
        #expect(try changes(s, [("spf_fail", "quarantine")]) == ["accept/dmarc_policy -> quarantine/spf_fail"])
    }

    @Test func theModeEvaluatesDMARCAgainFromTheFacts() throws {
        var s = Situation(dmarc: "v=DMARC1; p=reject; pct=20")
        s.dice = 50
        #expect(try changes(s, [("dmarc.mode", "rfc7489")]) == ["reject/dmarc_policy -> quarantine/dmarc_policy"])
        #expect(try changes(s, [("dmarc.mode", "rfc9989")]) == [])
        s.dice = 10
        #expect(try changes(s, [("dmarc.mode", "rfc7489")]) == [])
        s.dice = 50
        s.mode = .rfc7489
        #expect(try changes(s, [("dmarc.mode", "rfc9989")]) == ["quarantine/dmarc_policy -> reject/dmarc_policy"])
    }

    @Test func whatIsNotRecordedIsNotMadeUp() throws {
        var record = Situation(dmarc: "v=DMARC1; p=reject; pct=20").record()
        record.facts = Facts()
        let replay = try PolicyReplay([(key: "dmarc.mode", value: "rfc7489")])
        #expect(replay.decide(record) == .incomplete)
    }

    @Test func oneDomainOnly() throws {
        let refused = Situation(dmarc: "v=DMARC1; p=reject")
        #expect(try changes(refused, [("dmarc_enforce", "false")], domain: "our.example")?.count == 1)
        #expect(try changes(refused, [("dmarc_enforce", "false")], domain: "other.example") == nil)
    }

    @Test func aMessageThatNoRuleDecidedIsNotConcerned() throws {
        var record = Situation(dmarc: "v=DMARC1; p=reject").record()
        record.verdicts = []
        #expect(try PolicyReplay([(key: "dmarc_enforce", value: "false")]).decide(record) == .notConcerned)
    }

    @Test(arguments: [("dmarc_enforced", "true"), ("dmarc_enforce", "maybe"), ("dmarc.mode", "rfc1"), ("", "")])
    func badSettingsAreNamed(key: String, value: String) {
        #expect(throws: PolicyReplay.BadSetting.self) { try PolicyReplay([(key: key, value: value)]) }
    }

    @Test func nothingToChangeIsAnError() {
        #expect(throws: PolicyReplay.BadSetting.self) { try PolicyReplay([]) }
    }
}
