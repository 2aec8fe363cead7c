import Base
import Ledger
import Policy
import Protocols
import Testing

/// What is said of messages whose fate was not decided by the rules of their domains.
@Suite("What became of a message")
struct OutcomeTests {
    private static func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

    /// A message that every check has nothing against, to two recipients.
    private static func taken() -> DecisionRecord {
        var s = Situation(dmarc: "v=DMARC1; p=reject", spf: .pass)
        s.sign("example.org", .pass)
        var out = s.record()
        out.recipients = ["bob", "carol"].map {
            DecisionRecord.Recipient(
                address: bytes("\($0)@our.example"), domain: bytes("our.example"), action: .accept, rule: .dmarcPass,
                folder: bytes("Inbox"))
        }
        out.recipientCount = 2
        return out
    }

    private func explained(_ record: DecisionRecord) throws -> Explanation {
        let read = try #require(LedgerRecord(record.encoded()))
        return try #require(Explanation.make([read]))
    }

    private func section(_ title: String, of explanation: Explanation) -> String {
        explanation.sections.first { $0.title == title }?.lines.joined(separator: "\n") ?? ""
    }

    struct Fate: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let action: Disposition.Action
        let cause: String
        let code: UInt16
        let control: DefenseEvent.Control
        let effect: DefenseEvent.Effect
        let outcome: DecisionRecord.Outcome
        let word: String
    }

    static let fates = [
        Fate(
            testDescription: "rejected", action: .reject, cause: "a filter refused it", code: 550, control: .milter,
            effect: .refused, outcome: .refused, word: ": refused at"),
        Fate(
            testDescription: "put off", action: .postpone, cause: "a filter refused it", code: 451, control: .milter,
            effect: .deferred, outcome: .deferred, word: ": deferred at"),
        Fate(
            testDescription: "discarded", action: .accept, cause: "discarded as a filter asked", code: 250,
            control: .milter, effect: .discarded, outcome: .discarded, word: ": accepted and discarded at"),
        Fate(
            testDescription: "the null sender, greylisted", action: .postpone,
            cause: "greylisted: the null sender is, at the end of data", code: 450, control: .greylist,
            effect: .deferred, outcome: .deferred, word: ": deferred at"),
        Fate(
            testDescription: "set aside as poison", action: .quarantine, cause: "the process died of it 2 times",
            code: 250, control: .poison, effect: .quarantined, outcome: .setAside, word: ": accepted and set aside at"),
    ]

    @Test(arguments: fates)
    func nobodyReadsOfAnInboxThatItNeverReached(fate: Fate) throws {
        var record = Self.taken()
        record.action = fate.action
        record.cause = Self.bytes(fate.cause)
        record.reply = Reply(fate.code, nil, "words (id)")
        var event = DefenseEvent(fate.control, fate.effect, detail: "because of that", reply: record.reply)
        event.subject = Self.bytes("a@sender.example")
        record.events = [
            DefenseEvent(.score, .refused, subject: Self.bytes("x@other.example"), detail: "9 of 8"), event,
        ]
        let explanation = try explained(record)
        let told = "\(fate.effect.rawValue) by \(fate.control.rawValue): because of that"
        #expect(explanation.summary.contains(fate.word))
        #expect(explanation.summary.contains(told))
        #expect(!explanation.summary.contains("rule"))
        #expect(section("Recipients", of: explanation) == "<bob@our.example>: \(told)\n<carol@our.example>: \(told)")
        let why = section("Why", of: explanation)
        #expect(why.hasPrefix(told))
        #expect(why.contains("our.example: without that accept by rule dmarc_pass"))
        #expect(record.outcome == fate.outcome)
        #expect(record.recipients.allSatisfy { record.outcome(of: $0) == fate.outcome })
        #expect(record.decider(record.deciding) == fate.control.rawValue)
    }

    @Test func theStoreIsNamedToo() throws {
        var record = Self.taken()
        record.action = .postpone
        record.cause = Self.bytes("the store: busy")
        let explanation = try explained(record)
        #expect(explanation.summary.contains("deferred by store: the store: busy"))
        #expect(record.decider(record.deciding) == "store")
        #expect(!section("Recipients", of: explanation).contains("Inbox"))
    }

    @Test(arguments: [DefenseEvent.Control.score, .milter])
    func junkIsSaidAndWhy(control: DefenseEvent.Control) throws {
        var record = Self.taken()
        for i in record.recipients.indices { record.recipients[i].folder = Self.bytes("Junk") }
        record.events = [
            DefenseEvent(
                control, .quarantined, subject: Self.bytes(control == .score ? "our.example" : ""), detail: "6 of 6")
        ]
        let explanation = try explained(record)
        #expect(explanation.summary.contains(": accepted into Junk at"))
        #expect(explanation.summary.hasSuffix(", quarantined by \(control.rawValue): 6 of 6"))
        #expect(
            section("Recipients", of: explanation).contains(
                "<bob@our.example>: accept, in Junk, quarantined by \(control.rawValue): 6 of 6"))
        #expect(section("Why", of: explanation).hasPrefix("quarantined by \(control.rawValue)"))
        #expect(record.outcome == .junk)
        #expect(record.decider(record.deciding(record.recipients[0])) == control.rawValue)
    }

    @Test func eachRecipientHasItsOwn() throws {
        var record = Self.taken()
        record.recipients[0].folder = Self.bytes("Junk")
        record.recipients[0].domain = Self.bytes("strict.example")
        record.recipients[1].folder = []
        record.recipients[1].isDiscarded = true
        record.recipients.append(
            DecisionRecord.Recipient(
                address: Self.bytes("dan@our.example"), domain: Self.bytes("our.example"), action: .accept,
                rule: .dmarcPass, folder: Self.bytes("Inbox")))
        record.recipientCount = 3
        record.events = [
            DefenseEvent(.score, .quarantined, subject: Self.bytes("strict.example"), detail: "6 of 6"),
            DefenseEvent(.milter, .discarded, detail: "filter x throws it away"),
        ]
        let lines = section("Recipients", of: try explained(record)).split(separator: "\n").map(String.init)
        #expect(
            lines == [
                "<bob@our.example>: accept, in Junk, quarantined by score: 6 of 6",
                "<carol@our.example>: discarded by milter: filter x throws it away",
                "<dan@our.example>: accept, in Inbox (dmarc_pass)",
            ])
        #expect(try explained(record).summary.contains(": accepted, in part into Junk at"))
    }

    @Test func aRefusalForTheSakeOfAnotherDomainIsNotTheOthersRule() throws {
        var record = Self.taken()
        record.action = .postpone
        record.recipients[0].folder = []
        record.recipients[1].action = .postpone
        record.recipients[1].folder = []
        record.recipients[1].rule = .dmarcTemporary
        let lines = section("Recipients", of: try explained(record)).split(separator: "\n").map(String.init)
        #expect(lines[0].hasPrefix("<bob@our.example>: deferred with the message"))
        #expect(lines[1] == "<carol@our.example>: defer (dmarc_temperror)")
    }

    @Test func whatRecipientsWaitedForIsShownWhenTheyDid() throws {
        var record = Self.taken()
        #expect(!section("Time", of: try explained(record)).contains("recipients waited"))
        record.timing.recipients = 3_400_000
        #expect(section("Time", of: try explained(record)).contains("3.4 s before it, recipients waited for DNS"))
    }

    @Test func whatIsHeldIsOnlyNamedWhereItIs() throws {
        var record = Self.taken()
        record.events = [DefenseEvent(.milter, .quarantined, detail: "looks odd")]
        for i in record.recipients.indices { record.recipients[i].folder = Self.bytes("Junk") }
        #expect(!(try explained(record).remedies.contains { $0.contains("queue show") }))
        record.recipients[0].folder = Self.bytes("Queue (held)")
        #expect(try explained(record).remedies.contains { $0.contains("martlet queue show") })
    }
}
