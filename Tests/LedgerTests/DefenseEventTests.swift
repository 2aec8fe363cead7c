import Base
import Ledger
import Policy
import Protocols
import TestKit
import Testing

@Suite("What defences did, kept and explained")
struct DefenseEventTests {
    private static let peer = IPAddress(v4: 192, 0, 2, 7)
    private static let busy = Reply(421, EnhancedStatus(4, 7, 0), "Too many connections from your address (0001)")

    private func connection(_ events: [DefenseEvent], commands: Int = 0) -> ConnectionRecord {
        var out = ConnectionRecord(
            id: MessageID(rawValue: 77), time: WallTime(seconds: 1_700_000_000),
            session: SessionFacts(listener: Array("mx".utf8), peer: Self.peer), reason: Array("limit".utf8))
        out.commands = commands
        out.events = events
        out.reply = events.last?.reply
        return out
    }

    private func text(_ record: LedgerRecord) throws -> String {
        try #require(Explanation.make([record])).lines.joined(separator: "\n")
    }

    private func back(_ record: ConnectionRecord) throws -> ConnectionRecord {
        guard case .connection(let out) = try #require(LedgerRecord(record.encoded())) else {
            throw DefenseEventTestError.otherRecord
        }
        return out
    }

    @Test func noMoreThanABoundedNumberIsKept() throws {
        let event = DefenseEvent(.tarpit, .slowed, detail: "4 s", afterMicroseconds: 9)
        let record = connection(Array(repeating: event, count: 100))
        #expect(try back(record).events == Array(repeating: event, count: DefenseEvent.eventsMax))
    }

    @Test func longTextsAreCut() throws {
        var event = DefenseEvent(.score, .refused, subject: [UInt8](repeating: 0x61, count: 5_000), detail: "")
        event.detail = [UInt8](repeating: 0x62, count: 9_000)
        let record = connection(Array(repeating: event, count: DefenseEvent.eventsMax))
        #expect(record.encoded().count < 64 * 1_024)
        let read = try back(record)
        #expect(read.events.count == DefenseEvent.eventsMax)
        #expect(read.events[0].detail.count == 1_024)
        #expect(read.events[0].subject.count == 512)
    }

    /// Tag 9 of a session's record holds events; this one is of a control with a number that is not given yet.
    @Test func anEventOfALaterVersionIsPassedOver() throws {
        let known = DefenseEvent(.limit, .closed, detail: "full")
        let bytes = connection([known]).encoded()
        // Group 9: number 1 = 99, number 2 = 1.
        let unknown: [UInt8] = [9 << 2 | 2, 4, 0, 0, 0, 1 << 2, 99, 2 << 2, 1]
        guard case .connection(let read) = try #require(LedgerRecord(bytes + unknown)) else {
            Issue.record("not a connection")
            return
        }
        #expect(read.events == [known])
    }

    @Test func aRecordOfAnEarlierVersionHasNone() throws {
        var random = RandomRecords(seed: 4)
        var decision = random.decision()
        decision.events = []
        guard case .decision(let read) = try #require(LedgerRecord(decision.encoded())) else {
            Issue.record("not a decision")
            return
        }
        #expect(read.events.isEmpty)
        #expect(try back(connection([])).events.isEmpty)
    }

    /// More domains than texts are remembered of.
    @Test func everyDomainsRulesAreItsOwn() {
        for round in 0..<3 {
            for minutes in 5..<45 {
                var policy = DomainPolicy()
                policy.defense.greylist.isOn = true
                policy.defense.greylist.delaySeconds = minutes * 60
                var read = DomainPolicy()
                for text in PolicyText.differences(policy) { PolicyText.apply(text, to: &read) }
                #expect(read == policy, "round \(round)")
            }
        }
        #expect(PolicyText.differences(DomainPolicy()).isEmpty)
    }

    @Test func aConnectionRefusedBeforeItsBannerIsExplained() throws {
        let event = DefenseEvent(
            .limit, .closed, detail: "21 connections from 192.0.2.7, 20 allowed", reply: Self.busy)
        let text = try text(.connection(connection([event])))
        #expect(
            text.contains(
                "connection of 192.0.2.7 refused at 2023-11-14T22:13:20Z, before its first command, closed by limit: "
                    + "21 connections from 192.0.2.7, 20 allowed"))
        #expect(text.contains("reply: 421 4.7.0 Too many connections from your address (0001)"))
        #expect(text.contains("martlet limits allow 192.0.2.7"))
        #expect(text.contains("smtp.max_connections_per_ip"))
    }

    @Test func greylistingSaysWhatLetsItIn() throws {
        let id = String(decoding: MessageID(rawValue: 77).text, as: UTF8.self)
        let event = DefenseEvent(
            .greylist, .deferred, subject: Array("bob@example.org".utf8), detail: "new, 900 s to wait",
            afterMicroseconds: 1_500_000)
        let text = try text(.connection(connection([event], commands: 4)))
        #expect(text.contains("session of 192.0.2.7 ended"))
        #expect(text.contains("1.5 s greylist deferred <bob@example.org>: new, 900 s to wait"))
        #expect(text.contains("martlet greylist release --id \(id)"))
        #expect(text.contains("martlet domain set example.org greylist_delay=5"))
    }

    @Test(arguments: DefenseEvent.Control.allCases)
    func everyControlHasARemedy(control: DefenseEvent.Control) throws {
        let event = DefenseEvent(control, .refused, subject: Array("bob@example.org".utf8), detail: "because")
        let explanation = try #require(Explanation.make([.connection(connection([event], commands: 3))]))
        #expect(explanation.remedies.contains { $0.contains("martlet ") })
        #expect(explanation.summary.contains("refused by \(control.rawValue): because"))
    }

    @Test func aDefenceDecidesBeforeAPlainRule() throws {
        let plain = DefenseEvent(.directory, .refused, subject: Array("no@example.org".utf8), detail: "no mailbox")
        let events = [plain, DefenseEvent(.greylist, .deferred, detail: "new"), plain]
        let explanation = try #require(Explanation.make([.connection(connection(events, commands: 5))]))
        #expect(explanation.summary.contains("deferred by greylist: new"))
        let only = try #require(Explanation.make([.connection(connection([plain], commands: 5))]))
        #expect(only.summary.contains("refused by directory: no mailbox"))
        // It says nothing of a message that was refused afterwards.
        var random = RandomRecords(seed: 6)
        var decision = random.decision()
        decision.action = .reject
        decision.events = [plain]
        #expect(try #require(Explanation.make([.decision(decision)])).summary.contains("directory") == false)
    }

    @Test(arguments: ["5.1.1", "5.2.1", "4.2.2", "5.2.3", "4.4.6", "5.7.1"])
    func aRecipientThatIsNotTakenHasItsOwnRemedy(status: String) throws {
        let n = status.split(separator: ".").compactMap { UInt8($0) }
        let reply = Reply(550, EnhancedStatus(n[0], UInt16(n[1]), UInt16(n[2])), "no")
        let event = DefenseEvent(
            .directory, .refused, subject: Array("bob@example.org".utf8), detail: "because", reply: reply)
        let remedy = try #require(Explanation.make([.connection(connection([event], commands: 3))])?.remedies.first)
        let words = [
            "5.1.1": "account add bob@example.org", "5.2.1": "account enable bob@example.org",
            "4.2.2": "set example.org quota_refusal", "5.2.3": "set example.org max_message_size",
            "4.4.6": "alias list",
            "5.7.1": "domain add example.org",
        ]
        #expect(remedy.contains(words[status] ?? "?"))
    }

    /// People copy these commands into a shell, and a peer chose the address.
    @Test(arguments: [
        ("a;reboot@example.org", "account add 'a;reboot@example.org'"),
        ("a$(id)@example.org", "account add 'a$(id)@example.org'"),
        ("a'b@example.org", "account add ADDRESS"), ("a`id`@example.org", "account add ADDRESS"),
        ("--help@example.org", "account add ADDRESS"), ("a\u{1b}[2J@example.org", "account add ADDRESS"),
        ("é@example.org", "account add ADDRESS"), ("", "account add ADDRESS"),
        ("a.b+c_d-e=f@example.org", "account add a.b+c_d-e=f@example.org"),
    ])
    func whatAPeerSaidIsOneWordOfACommand(address: String, command: String) throws {
        let event = DefenseEvent(
            .directory, .refused, subject: Array(address.utf8), detail: "because",
            reply: Reply(550, EnhancedStatus(5, 1, 1), "no"))
        let remedy = try #require(Explanation.make([.connection(connection([event], commands: 3))])?.remedies.first)
        #expect(remedy.contains("`martlet \(command)`"), "\(remedy)")
    }

    @Test(arguments: ["a b;reboot", "$(id)", "`id`", "-x"])
    func whatAPeerSaidAfterTheAtIsOneWordToo(domain: String) throws {
        for control in [DefenseEvent.Control.score, .tarpit, .directory] {
            let event = DefenseEvent(
                control, control == .tarpit ? .slowed : .refused, subject: Array("a@\(domain)".utf8), detail: "because",
                reply: Reply(550, EnhancedStatus(5, 2, 3), "no"))
            let remedies = try #require(
                Explanation.make([.connection(connection([event], commands: 3))]).map(\.remedies))
            let quoted = domain.contains("`") || domain.hasPrefix("-") ? "DOMAIN" : "'\(domain)'"
            #expect(remedies.contains { $0.contains("martlet domain set \(quoted) ") }, "\(control): \(remedies)")
        }
    }

    /// The subject is the sender where a filter refused MAIL or the message: what is to be set is a receiving domain.
    @Test func aFiltersRemedyNamesAReceivingDomain() throws {
        func remedy(_ subject: String, _ rules: [String]) throws -> String {
            let event = DefenseEvent(
                .milter, .refused, subject: Array(subject.utf8), detail: "filter f refuses",
                reply: Reply(550, EnhancedStatus(5, 7, 1), "no"))
            var record = connection([event], commands: 3)
            record.rules = rules.map { ConnectionRecord.Rules(domain: Array($0.utf8), policy: DomainPolicy()) }
            return try #require(Explanation.make([.connection(record)])?.remedies.first)
        }
        // Refused at MAIL: no domain of ours has a say.
        let early = try remedy("a@sender.example", [])
        #expect(early.contains("no recipient was known yet") && !early.contains("domain set"))
        // A domain that keeps filters off its mail did not make them refuse it.
        var off = DomainPolicy()
        off.defense.milters = .off
        let event = DefenseEvent(
            .milter, .refused, subject: Array("a@sender.example".utf8), detail: "filter f refuses",
            reply: Reply(550, EnhancedStatus(5, 7, 1), "no"))
        var record = connection([event], commands: 3)
        record.rules = [
            ConnectionRecord.Rules(domain: Array("off.example".utf8), policy: off),
            ConnectionRecord.Rules(domain: Array("on.example".utf8), policy: DomainPolicy()),
        ]
        let remedies = try #require(Explanation.make([.connection(record)])?.remedies)
        #expect(remedies.contains { $0.contains("martlet domain set on.example milters=none") }, "\(remedies)")
        #expect(try remedy("a@sender.example", ["in.example"]).contains("domain set in.example milters"))
        #expect(try remedy("b@Two.example", ["in.example", "two.example"]).contains("domain set Two.example milters"))
        var random = RandomRecords(seed: 7)
        var decision = random.decision()
        decision.action = .reject
        decision.events = [
            DefenseEvent(
                .milter, .refused, subject: Array("a@sender.example".utf8), detail: "filter f refuses",
                reply: Reply(550, EnhancedStatus(5, 7, 1), "no"))
        ]
        for (user, domain) in [("", "in.example"), ("a@in.example", "DOMAIN")] {
            decision.session.user = Array(user.utf8)
            decision.recipients = [
                DecisionRecord.Recipient(
                    address: Array("b@in.example".utf8), domain: Array("in.example".utf8), action: .reject, rule: nil,
                    folder: [])
            ]
            let remedies = try #require(Explanation.make([.decision(decision)])?.remedies)
            #expect(remedies.contains { $0.contains("martlet domain set \(domain) milters=none") }, "\(remedies)")
        }
    }

    @Test func aSessionThatIsOpenIsSaidToBe() throws {
        var record = connection([DefenseEvent(.directory, .refused, detail: "no mailbox")], commands: 3)
        record.isOpen = true
        #expect(try text(.connection(record)).contains("session of 192.0.2.7, still open at"))
    }

    @Test func theLastRecordOfAnIDHasItAll() throws {
        var (first, last) = (connection([], commands: 3), connection([], commands: 9))
        first.rejectedCommands = 1
        last.rejectedCommands = 2
        let lines = try #require(Explanation.make([.connection(first), .connection(last)])).lines
        #expect(lines.contains { $0.contains("9 commands, 2 of them rejected") })
        #expect(!lines.contains { $0.contains("3 commands") })
    }

    @Test func whatHelpsMostComesFirst() throws {
        let events = [
            DefenseEvent(.tarpit, .slowed, detail: "2 s"), DefenseEvent(.score, .refused, detail: "9 of 8"),
        ]
        let explanation = try #require(Explanation.make([.connection(connection(events, commands: 3))]))
        #expect(explanation.remedies.first?.contains("check lists") == true)
        #expect(explanation.remedies.contains { $0.contains("martlet tarpit allow 192.0.2.7") })
    }

    @Test func whatWasOnlyNotedNeedsNoRemedy() throws {
        let events = [
            DefenseEvent(.score, .noted, detail: "no reverse name"), DefenseEvent(.greylist, .passed, detail: "known"),
        ]
        let explanation = try #require(Explanation.make([.connection(connection(events, commands: 3))]))
        #expect(explanation.remedies.isEmpty)
        #expect(explanation.lines.contains { $0.contains("greylist passed: known") })
    }

    @Test func aMessageThatWasTakenDoesNotReadAsDeferred() throws {
        var random = RandomRecords(seed: 5)
        var decision = random.decision()
        decision.action = .accept
        decision.events = [DefenseEvent(.greylist, .deferred, subject: Array("b@c.example".utf8), detail: "new")]
        let explanation = try #require(Explanation.make([.decision(decision)]))
        #expect(!explanation.summary.contains("greylist"))
        decision.action = .postpone
        let other = try #require(Explanation.make([.decision(decision)]))
        #expect(other.summary.contains("deferred by greylist: new"))
        #expect(other.lines.contains { $0.contains("greylist deferred <b@c.example>: new") })
    }

    @Test func whatAPeerSaidIsMadeSafe() throws {
        var event = DefenseEvent(.milter, .refused, subject: Array("a\u{1B}[31m@b".utf8), detail: "")
        event.detail = Array("x\u{7}\r\ny".utf8)
        let text = try text(.connection(connection([event], commands: 1)))
        #expect(!text.utf8.contains { $0 < 0x20 && $0 != 0x0A })
    }
}

private enum DefenseEventTestError: Error { case otherRecord }
