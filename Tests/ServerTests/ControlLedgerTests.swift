import Base
import Foundation
import Ledger
import Policy
import Protocols
import Server
import Testing

/// `explain` and `policy replay` on a store of its own, without a daemon.
@Suite struct ControlLedgerTests {
    private static let now = Int64(Date().timeIntervalSince1970)

    private static func id(_ n: Int) -> MessageID { MessageID(rawValue: ((now - 100) * 1_000 + Int64(n)) << 21) }

    /// A message that fails DMARC; every other author asks for nothing.
    private static func record(_ n: Int) -> DecisionRecord {
        var dmarc = AuthResults.DMARC(result: .fail, author: Array("sender.example".utf8))
        dmarc.policyDomain = dmarc.author
        dmarc.policy = n % 2 == 0 ? .reject : .monitor
        dmarc.applied = dmarc.policy
        var results = AuthResults()
        results.dmarc = dmarc
        let disposition = Disposition.decide(results, DomainPolicy(), Disposition.Facts())
        var out = DecisionRecord(
            id: id(n), time: WallTime(seconds: now - 100),
            session: SessionFacts(listener: Array("mx".utf8), peer: IPAddress(v4: 203, 0, 113, 5)),
            action: disposition.action, reply: disposition.reply ?? Reply(250, EnhancedStatus(2, 0, 0), "Ok"))
        out.results = results
        out.verdicts = [DecisionRecord.Verdict(domain: Array("example.org".utf8), policy: DomainPolicy(), disposition)]
        return out
    }

    private func fixture(_ records: Int) throws -> ControlCommandTests.Fixture {
        let f = ControlCommandTests.Fixture()
        f.addDomainAndAlice()
        let writer = try LedgerWriter.open(f.configuration.ledgerPath)
        for n in 0..<records { writer.record(Self.record(n).encoded()) }
        writer.stop()
        return f
    }

    private func replay(_ key: String, _ value: String, domain: String? = nil, seconds: Int = 3_600) -> ControlRequest {
        .policyReplay(
            ControlReplay(
                settings: [ControlAssignment(name: key, value: value)], domain: domain.map { Array($0.utf8) },
                seconds: seconds))
    }

    @Test func aMessageIsExplained() throws {
        let f = try fixture(10)
        #expect(f.run(.explain(Self.id(4))) == 0)
        #expect(f.output.contains(": refused at "))
        #expect(f.output.contains("example.org: reject by rule dmarc_policy"))
        #expect(f.run(.explain(Self.id(4)), .json) == 0)
        let json = try #require(try JSONSerialization.jsonObject(with: Data(f.output.utf8)) as? [String: Any])
        let decision = try #require(json["decision"] as? [String: Any])
        #expect(decision["action"] as? String == "reject")
        #expect((decision["checks"] as? [String: Any])?["dmarc"] is [String: Any])
        #expect((json["remedies"] as? [String])?.isEmpty == false)
        #expect((json["attempts"] as? [Any])?.isEmpty == true)
    }

    /// What a loop says of a session that is open comes before what is written down.
    @Test func anOpenSessionIsExplainedAsItStands() throws {
        let id = Self.id(3)
        let peer = IPAddress(v4: 203, 0, 113, 5)
        var record = ConnectionRecord(
            id: id, time: WallTime(seconds: Self.now), session: SessionFacts(listener: Array("mx".utf8), peer: peer),
            reason: Array("the session goes on".utf8))
        record.commands = 4
        record.events = [
            DefenseEvent(.directory, .refused, subject: Array("no@example.org".utf8), detail: "no mailbox")
        ]
        record.isOpen = true
        let f = try fixture(10)
        var hooks = ControlHooks(
            reload: { _ in ControlAnswer() }, status: { [] }, hostname: { "mx.example" },
            now: { WallTime(seconds: Self.now) })
        hooks.ledgerPath = f.configuration.ledgerPath
        hooks.openRecord = { [record] in $0 == id ? record : nil }
        let records = ControlService.records(of: id, hooks)
        #expect(records.count == 1 && records.lastConnection == record)
        let value = String(decoding: ControlService.explained(id, records, [], .json).output, as: UTF8.self)
        let json = try #require(try JSONSerialization.jsonObject(with: Data(value.utf8)) as? [String: Any])
        let session = try #require(json["session"] as? [String: Any])
        #expect(session["open"] as? Bool == true)
        #expect((json["summary"] as? String)?.contains("still open") == true)
        let text = String(decoding: ControlService.explained(id, records, [], .text).output, as: UTF8.self)
        #expect(text.contains("directory refused <no@example.org>: no mailbox"))
        // Of others, what is written down.
        #expect(ControlService.records(of: Self.id(4), hooks).count == 1)
        #expect(ControlService.records(of: Self.id(99), hooks).isEmpty)
    }

    @Test func anUnknownIDIsSaidToBeUnknown() throws {
        let f = try fixture(1)
        #expect(f.run(.explain(Self.id(99))) == ExitStatus.failure)
        #expect(f.complaint.contains("ledger.max_age"))
        #expect(f.output.isEmpty)
    }

    @Test func aReplayNamesExactlyWhatWouldChange() throws {
        let f = try fixture(10)
        #expect(f.run(replay("dmarc_enforce", "false")) == 0)
        let lines = f.output.split(separator: "\n").map(String.init)
        #expect(lines.count == 6)
        #expect(lines.last == "5 of 10 messages would change")
        for n in stride(from: 0, to: 10, by: 2) {
            let text = String(decoding: Self.id(n).text, as: UTF8.self)
            #expect(
                lines.contains {
                    $0.hasPrefix(text)
                        && $0.hasSuffix("example.org: reject (dmarc_policy) -> accept (dmarc_policy)")
                })
        }
        #expect(f.run(replay("broken_from", "accept")) == 0)
        #expect(f.output == "0 of 10 messages would change\n")
        #expect(f.run(replay("dmarc_enforce", "false", domain: "Example.org")) == 0)
        #expect(f.output.hasSuffix("5 of 10 messages would change\n"))
        #expect(f.run(replay("dmarc_enforce", "false", seconds: 10)) == 0)
        #expect(f.output == "0 of 0 messages would change\n")
    }

    @Test(arguments: [ControlFormat.text, .json])
    func aDomainWithoutRecordsIsSaidToHaveNone(format: ControlFormat) throws {
        let f = try fixture(10)
        #expect(f.run(replay("dmarc_enforce", "false", domain: "Other.example"), format) == ExitStatus.failure)
        #expect(f.complaint.contains("nothing of other.example is recorded"))
        if format == .text { return #expect(f.output.isEmpty) }
        #expect(try JSONSerialization.jsonObject(with: Data(f.output.utf8)) is [String: Any])
    }

    /// "0 would change" of such a setting would be no answer.
    @Test(arguments: [("enabled", "false"), ("max_message_size", "1m"), ("dkim_sign", "false")])
    func aSettingThatRecordsTellNothingOfIsRefused(key: String, value: String) throws {
        let f = try fixture(1)
        #expect(DomainPolicyField.named(key) != nil)
        #expect(f.run(replay(key, value)) == ExitStatus.data)
        #expect(f.complaint.contains("what another \(key) would have done cannot be told from records"))
        #expect(f.complaint.contains("dmarc_enforce") && f.complaint.contains("greylist_delay"))
        #expect(f.output.isEmpty)
    }

    @Test func aLongReplayComesInPieces() throws {
        // Above the inbox it could drop: as many as fit, and more than one piece of a mebibyte.
        let f = try fixture(7_000)
        #expect(f.run(replay("dmarc_enforce", "false"), .json) == 0)
        let json = try #require(try JSONSerialization.jsonObject(with: Data(f.output.utf8)) as? [String: Any])
        #expect(json["messages"] as? Int == 7_000)
        #expect(json["changed"] as? Int == 3_500)
        let changes = try #require(json["changes"] as? [[String: Any]])
        #expect(Set(changes.compactMap { $0["id"] as? String }).count == 3_500)
        #expect(changes.first?["new_action"] as? String == "accept")
    }

    /// A client that was refused by its score, and a message that was taken.
    private func defended() throws -> ControlCommandTests.Fixture {
        let f = ControlCommandTests.Fixture()
        f.addDomainAndAlice()
        let writer = try LedgerWriter.open(f.configuration.ledgerPath)
        var refused = ConnectionRecord(
            id: Self.id(1), time: WallTime(seconds: Self.now - 100),
            session: SessionFacts(listener: Array("mx".utf8), peer: IPAddress(v4: 203, 0, 113, 5)),
            reason: Array("quit".utf8))
        var evidence = ClientEvidence(address: IPAddress(v4: 203, 0, 113, 5))
        evidence.lists = [
            DNSListFinding(
                zone: Array("zen.example".utf8), outcome: .listed, answers: [IPAddress(v4: 127, 0, 0, 2)])
        ]
        evidence.reverse = .pass
        evidence.helo = .good
        refused.evidence = evidence
        refused.events = [
            DefenseEvent(.score, .refused, subject: Array("bob@example.org".utf8), detail: "score 9")
        ]
        var policy = DomainPolicy()
        policy.defense.score.lists = [DomainDefense.DNSList(zone: Array("zen.example".utf8), weight: 9)]
        refused.rules = [ConnectionRecord.Rules(domain: Array("example.org".utf8), policy: policy)]
        writer.record(refused.encoded())
        var taken = Self.record(2)
        taken.results.dmarc = nil
        taken.action = .accept
        taken.sender = Array("a@sender.example".utf8)
        taken.recipients = [
            DecisionRecord.Recipient(
                address: Array("bob@example.org".utf8), domain: Array("example.org".utf8), action: .accept)
        ]
        taken.verdicts[0].action = .accept
        taken.session.isExempt = false
        writer.record(taken.encoded())
        writer.stop()
        return f
    }

    @Test func rulesOfDefencesAreTriedOut() throws {
        let f = try defended()
        #expect(f.run(replay("score_reject", "20")) == 0)
        let id = String(decoding: Self.id(1).text, as: UTF8.self)
        #expect(f.output.hasPrefix("score: 1 of 2 would change\n  refused -> junk: 1\n    \(id) "))
        #expect(f.output.contains("203.0.113.5 bob@example.org: score 9; only its envelope is known"))
        #expect(!f.output.contains("messages would change"))
        #expect(f.run(replay("greylist", "true"), .json) == 0)
        let json = try #require(try JSONSerialization.jsonObject(with: Data(f.output.utf8)) as? [String: Any])
        let greylist = try #require((json["defense"] as? [String: Any])?["greylist"] as? [String: Any])
        #expect(greylist["messages_put_off"] as? Int == 1)
        #expect(greylist["least_delay_seconds"] as? Int == 900)
        #expect(greylist["senders_not_seen_again"] as? Int == 1)
        let list = [ControlAssignment(name: "score_reject", value: "20")]
        #expect(f.run(.policyReplay(ControlReplay(settings: list, domain: nil, seconds: 3_600, until: 600))) == 0)
        #expect(f.output == "score: 0 of 0 would change\n")
    }

    @Test func badSettingsAreBadValues() throws {
        let f = try fixture(1)
        #expect(f.run(replay("dmarc_enforced", "false")) == ExitStatus.data)
        #expect(f.run(replay("dmarc_enforce", "perhaps")) == ExitStatus.data)
        #expect(f.run(replay("dmarc.mode", "rfc1")) == ExitStatus.data)
        #expect(f.run(replay("dmarc_enforce", "false", domain: "no domain")) == ExitStatus.data)
    }

    @Test func requestsComeOverTheWireAsTheyWere() throws {
        let list = [ControlAssignment(name: "spf_fail", value: "reject"), ControlAssignment(name: "a", value: "")]
        for request in [
            ControlRequest.explain(Self.id(3)),
            .policyReplay(ControlReplay(settings: list, domain: Array("example.org".utf8), seconds: 604_800)),
            .policyReplay(ControlReplay(settings: Array(list.prefix(1)), domain: nil, seconds: 1, until: 7)),
        ] {
            let decoded = try #require(ControlRequest.decode(request.frame(.json).payload))
            #expect(decoded.request == request)
            #expect(decoded.format == .json)
        }
    }
}
