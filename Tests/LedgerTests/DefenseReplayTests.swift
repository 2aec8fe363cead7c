import Base
import Ledger
import Policy
import Protocols
import Testing

@Suite("What other rules of the defences would have done")
struct DefenseReplayTests {
    private static let client = IPAddress(v4: 192, 0, 2, 7)
    private static let start: Int64 = 1_795_000_000

    private static func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

    private func replay(_ settings: [(String, String)], domain: String? = nil) throws -> DefenseReplay {
        let rules = try PolicyReplay(settings.map { (key: $0.0, value: $0.1) }, domain: domain.map(Self.bytes))
        return try #require(rules.defense(ownNames: [Self.bytes("mx.our.example")]))
    }

    private func policy(_ settings: [(String, String)]) throws -> DomainPolicy {
        var out = DomainPolicy()
        for (key, value) in settings {
            let field = try #require(DomainPolicyField.named(key))
            try #require(field.write(&out, value))
        }
        return out
    }

    private func run(_ records: [LedgerRecord], _ settings: [(String, String)], domain: String? = nil) throws
        -> DefenseReplay
    {
        var replay = try replay(settings, domain: domain)
        // As the ledger gives them out.
        for record in records { replay.add(try #require(LedgerRecord(record.encoded()))) }
        replay.finish()
        return replay
    }

    private func session(_ client: IPAddress = client) -> SessionFacts {
        var out = SessionFacts(listener: Self.bytes("mx"), peer: client)
        out.helo = Self.bytes("mail.sender.example")
        out.isExempt = false
        return out
    }

    private func evidence(_ lists: [(String, UInt8?)]) -> ClientEvidence {
        var out = ClientEvidence(address: Self.client)
        out.lists = lists.map { zone, code in
            DNSListFinding(
                zone: Self.bytes(zone), outcome: code == nil ? .notListed : .listed,
                answers: code.map { [IPAddress(v4: 127, 0, 0, $0)] } ?? [])
        }
        out.reverse = .pass
        out.helo = .good
        return out
    }

    private func message(
        _ n: Int, at seconds: Int64 = 0, sender: String = "a@sender.example", to: String = "bob@our.example",
        _ action: Disposition.Action = .accept, policy: DomainPolicy = DomainPolicy(),
        evidence: ClientEvidence? = nil, client: IPAddress = client
    ) -> DecisionRecord {
        let domain = Self.bytes(to.split(separator: "@").last.map(String.init) ?? "")
        var out = DecisionRecord(
            id: MessageID(rawValue: Int64(n) << 21), time: WallTime(seconds: Self.start + seconds),
            session: session(client), action: action, reply: Reply(250, EnhancedStatus(2, 0, 0), "Ok"))
        out.sender = Self.bytes(sender)
        out.recipients = [DecisionRecord.Recipient(address: Self.bytes(to), domain: domain, action: action)]
        out.recipientCount = 1
        let results = AuthResults()
        var verdict = DecisionRecord.Verdict(
            domain: domain, policy: policy, Disposition.decide(results, policy, Disposition.Facts()))
        verdict.action = action
        out.verdicts = [verdict]
        out.evidence = evidence
        return out
    }

    private func refusal(
        _ n: Int, at seconds: Int64 = 0, _ events: [DefenseEvent], policy: DomainPolicy, evidence: ClientEvidence? = nil
    ) -> ConnectionRecord {
        var out = ConnectionRecord(
            id: MessageID(rawValue: Int64(n) << 21), time: WallTime(seconds: Self.start + seconds), session: session(),
            reason: Self.bytes("quit"))
        out.events = events
        out.evidence = evidence
        out.rules = [ConnectionRecord.Rules(domain: Self.bytes("our.example"), policy: policy)]
        return out
    }

    private func refused(to: String = "bob@our.example") -> DefenseEvent {
        DefenseEvent(.score, .refused, subject: Self.bytes(to), detail: "score 8")
    }

    private func deferred(
        _ step: DefenseFigures.Greylist.Step = .new, sender: String = "a@sender.example", to: String = "bob@our.example"
    ) -> DefenseEvent {
        var out = DefenseEvent(.greylist, .deferred, subject: Self.bytes(to), detail: "first attempt")
        out.figures = .greylist(
            DefenseFigures.Greylist(
                step: step, identity: Self.bytes("192.0.2.0/24"), sender: Self.bytes(sender), seconds: 900))
        return out
    }

    // MARK: Scores

    @Test func aThresholdOrAWeightDecidesAgain() throws {
        let rules = try policy([("lists", "zen.example=5"), ("score_reject", "8")])
        let record = LedgerRecord.decision(message(1, policy: rules, evidence: evidence([("zen.example", 2)])))
        var scores = try run([record], [("score_reject", "5")]).scores
        #expect(scores.tally.count(.taken, .refused) == 1)
        #expect(scores.tally.changes.first?.examples.first?.reason == "score 5")
        #expect(scores.tally.changes.first?.examples.first?.id == MessageID(rawValue: 1 << 21))
        scores = try run([record], [("lists", "zen.example=6")]).scores
        #expect(scores.tally.count(.taken, .junk) == 1)
        scores = try run([record], [("lists", "zen.example:3-9=9")]).scores
        #expect(scores.tally.total == 0)
        #expect(scores.weighed == 1)
        #expect(scores.unknown == 0)
    }

    @Test func aListThatWasNotAskedIsUnknown() throws {
        let record = LedgerRecord.decision(message(1, evidence: evidence([("zen.example", nil)])))
        var scores = try run([record], [("lists", "zen.example=9,other.example=9")]).scores
        #expect(scores.unknown == 1)
        #expect(scores.missing == ["other.example"])
        #expect(scores.tally.total == 0)
        // It cannot reach a threshold: nothing is open.
        scores = try run([record], [("lists", "zen.example=9,other.example=1")]).scores
        #expect(scores.unknown == 0)
        // Nor does it matter when what is known is enough.
        let listed = LedgerRecord.decision(message(1, evidence: evidence([("zen.example", 2)])))
        scores = try run([listed], [("lists", "zen.example=9,other.example=9")]).scores
        #expect(scores.tally.count(.taken, .refused) == 1)
    }

    @Test func listsInTheAnswersOfAnEarlierVersionCount() throws {
        var record = message(1)
        record.results.iprev = AuthResults.IPRev(result: .pass, address: [])
        let name = try #require(DNSName("7.2.0.192.zen.example"))
        record.facts.learn(DNSQuestion(name, .a), .records([.a(IPAddress(v4: 127, 0, 0, 2))]))
        let scores = try run([.decision(record)], [("lists", "zen.example=9")]).scores
        #expect(scores.tally.count(.taken, .refused) == 1)
    }

    @Test func aLooserRuleLetsInWhatWasRefused() throws {
        let rules = try policy([("lists", "zen.example=8")])
        let record = refusal(1, [refused()], policy: rules, evidence: evidence([("zen.example", 2)]))
        var scores = try run([.connection(record)], [("score_reject", "20"), ("score_quarantine", "0")]).scores
        #expect(scores.tally.count(.refused, .taken) == 1)
        scores = try run([.connection(record)], [("score_reject", "20"), ("score_quarantine", "7")]).scores
        #expect(scores.tally.count(.refused, .junk) == 1)
        scores = try run([.connection(record)], [("score_reject", "7")]).scores
        #expect(scores.tally.total == 0)
        var old = record
        old.evidence = nil
        old.rules = []
        scores = try run([.connection(old)], [("score_reject", "20")]).scores
        #expect(scores.unrecorded == 1)
        #expect(scores.tally.total == 0)
    }

    @Test func whatAnotherRuleRefusedStaysRefused() throws {
        let hit = evidence([("zen.example", 2)])
        let refused = LedgerRecord.decision(message(1, .reject, evidence: hit))
        #expect(try run([refused], [("lists", "zen.example=9")]).scores.tally.total == 0)
        var trusted = message(2, evidence: hit)
        trusted.session.isExempt = true
        #expect(try run([.decision(trusted)], [("lists", "zen.example=9")]).scores.weighed == 0)
        let postmaster = message(3, to: "Postmaster@our.example", evidence: hit)
        #expect(try run([.decision(postmaster)], [("lists", "zen.example=9")]).scores.weighed == 0)
        #expect(
            try run([.decision(message(4, evidence: hit))], [("lists", "zen.example=9")], domain: "other.example")
                .scores
                .weighed == 0)
    }

    @Test func junkOfThenMayBeTaken() throws {
        let rules = try policy([("lists", "zen.example=6")])
        var record = message(1, policy: rules, evidence: evidence([("zen.example", 2)]))
        record.events = [
            DefenseEvent(.score, .quarantined, subject: Self.bytes("our.example"), detail: "score 6")
        ]
        #expect(try run([.decision(record)], [("score_quarantine", "7")]).scores.tally.count(.junk, .taken) == 1)
        #expect(try run([.decision(record)], [("score_reject", "6")]).scores.tally.count(.junk, .refused) == 1)
    }

    // MARK: Greylisting

    @Test func mailThatWasTakenWouldHaveBeenPutOff() throws {
        let records: [LedgerRecord] = [
            .decision(message(1, at: 0)),
            // Before its time, and after it.
            .decision(message(2, at: 300)), .decision(message(3, at: 2_000)),
            .decision(message(4, at: 2_100, sender: "once@other.example")),
            .decision(message(5, at: 2_200, sender: "spam@bad.example", .reject)),
        ]
        let walk = try run(records, [("greylist", "true"), ("greylist_delay", "15m")]).greylist
        #expect(walk.attempts == 5)
        #expect(walk.tally.count(.taken, .putOff) == 4)
        #expect(walk.messagesPutOff == 4)
        #expect(walk.delaySeconds == 900 + 600 + 900 + 900)
        #expect(walk.onceOnly == 2)
        #expect(walk.onceOnlyUnwanted == 1)
        #expect(walk.neverCameBack == 0)
        #expect(walk.tally.changes.first?.examples.map(\.id.rawValue).prefix(2) == [1 << 21, 2 << 21])
    }

    @Test func recordsOutOfOrderArePutInOrder() throws {
        let walk = try run(
            [.decision(message(3, at: 2_000)), .decision(message(1, at: 0))], [("greylist", "true")]
        ).greylist
        #expect(walk.messagesPutOff == 1)
        #expect(walk.tally.changes.first?.examples.first?.id == MessageID(rawValue: 1 << 21))
    }

    @Test func withoutItWhatWasPutOffIsTaken() throws {
        let rules = try policy([("greylist", "true")])
        var late = message(3, at: 1_000, policy: rules)
        late.events = [DefenseEvent(.greylist, .passed, subject: Self.bytes("bob@our.example"), detail: "came back")]
        let records: [LedgerRecord] = [
            .connection(refusal(1, at: 0, [deferred()], policy: rules)),
            .connection(refusal(2, at: 10, [deferred(sender: "bot@bad.example")], policy: rules)),
            .decision(late),
        ]
        var walk = try run(records, [("greylist", "false")]).greylist
        #expect(walk.tally.count(.putOff, .taken) == 2)
        #expect(walk.tally.total == 2)
        // The rules of then: all as it was.
        walk = try run(records, [("greylist_delay", "15m")]).greylist
        #expect(walk.tally.total == 0)
        #expect(walk.neverCameBack == 1)
        #expect(walk.mayComeBack == 1)
        // A longer delay: the one that came back comes too early.
        walk = try run(records, [("greylist_delay", "60m")]).greylist
        #expect(walk.tally.count(.taken, .putOff) == 1)
        #expect(walk.delaySeconds == 3_600 - 1_000)
    }

    @Test func aSenderKnownBeforeTheRecordsIsNotPutOff() throws {
        let rules = try policy([("greylist", "true")])
        var record = message(1, policy: rules)
        var event = DefenseEvent(.greylist, .passed, subject: Self.bytes("bob@our.example"), detail: "known")
        event.figures = .greylist(
            DefenseFigures.Greylist(step: .known, identity: [], sender: record.sender, seconds: 0))
        record.events = [event]
        #expect(try run([.decision(record)], [("greylist_delay", "60m")]).greylist.tally.total == 0)
    }

    @Test func theOperatorsExceptionsOfNowCount() throws {
        let rules = try PolicyReplay([(key: "greylist", value: "true")])
        var exceptions = DefenseExceptions()
        exceptions.greylist = [try #require(AddressBlock("192.0.2.0/24"))]
        var replay = try #require(rules.defense(exceptions: DefenseExceptionsIndex(exceptions)))
        replay.add(.decision(message(1)))
        replay.finish()
        #expect(replay.greylist.tally.total == 0)
        #expect(replay.greylist.attempts == 1)
    }

    @Test func aSkipScoreThatDependsOnWhatWasNotAskedIsUnknown() throws {
        let settings = [("greylist", "true"), ("lists", "wl.example=-5")]
        let without = try run([.decision(message(1))], settings)
        #expect(without.greylistUnknown == 1)
        #expect(without.greylist.attempts == 0)
        let with = try run([.decision(message(1, evidence: evidence([("wl.example", 2)])))], settings)
        #expect(with.greylistUnknown == 0)
        #expect(with.greylist.tally.total == 0)
    }

    @Test func noMoreSendersThanMayBeAreFollowed() throws {
        let field = try #require(DomainPolicyField.named("greylist"))
        var replay = DefenseReplay([(field, "true")], domain: nil, sendersMax: 10)
        for n in 0..<50 {
            let letter = Character(Unicode.Scalar(UInt8(0x61 + n % 25)))
            let sender = n < 25 ? "\(letter)@one.example" : "\(letter)@two.example"
            replay.add(.decision(message(n, at: Int64(n), sender: sender)))
        }
        replay.finish()
        #expect(replay.greylist.attempts == 50)
        #expect(replay.greylist.messagesPutOff == 10)
        #expect(replay.greylist.unfollowed == 40)
    }

    // MARK: Tarpit

    @Test func anyCapCanBeAppliedToRecordedFailures() throws {
        let rules = try policy([("tarpit", "true"), ("tarpit_max_delay", "8")])
        var tally = FailureTally(domain: Self.bytes("our.example"))
        for before in 0..<6 { tally.count(failuresBefore: before) }
        tally.heldSeconds = 0 + 1 + 2 + 4 + 8 + 8
        var record = refusal(1, [], policy: rules)
        record.failures = [tally]
        var tarpits = try run([.connection(record)], [("tarpit_max_delay", "2")]).tarpits
        #expect(tarpits.failures == 6)
        #expect(tarpits.oldSeconds == 23)
        #expect(tarpits.newSeconds == 0 + 1 + 2 + 2 + 2 + 2)
        #expect(tarpits.shorter == 1)
        #expect(tarpits.examples.count == 1)
        tarpits = try run([.connection(record)], [("tarpit_max_delay", "30")]).tarpits
        #expect(tarpits.newSeconds == 0 + 1 + 2 + 4 + 8 + 16)
        #expect(tarpits.longer == 1)
        tarpits = try run([.connection(record)], [("tarpit_allow", "192.0.2.0/24")]).tarpits
        #expect(tarpits.newSeconds == 0)
        tarpits = try run([.connection(record)], [("tarpit", "false")]).tarpits
        #expect(tarpits.newSeconds == 0)
        record.rules = []
        #expect(try run([.connection(record)], [("tarpit", "false")]).tarpits.unrecorded == 1)
    }

    @Test func settingsOfChecksAskNoDefence() throws {
        let checks = try PolicyReplay([(key: "spf_fail", value: "reject")])
        #expect(checks.concernsChecks)
        #expect(checks.defense()?.asked == nil)
        let both = try PolicyReplay([(key: "spf_fail", value: "reject"), (key: "milters", value: "off")])
        #expect(both.concernsChecks)
        #expect(both.defense()?.asked == .filters)
        #expect(try !PolicyReplay([(key: "score_reject", value: "3")]).concernsChecks)
    }
}
