import Base
import Ledger
import Policy
import Protocols
import Testing

@Suite("What would help against defences")
struct DefenseRemediesTests {
    private static let peer = IPAddress(v4: 192, 0, 2, 7)
    private static let domain = Array("our.example".utf8)

    private func session(
        _ events: [DefenseEvent], _ policy: DomainPolicy? = nil, rejected: Int = 0, refused: Int = 0
    ) throws -> Explanation {
        var out = ConnectionRecord(
            id: MessageID(rawValue: 77), time: WallTime(seconds: 1_700_000_000),
            session: SessionFacts(listener: Array("mx".utf8), peer: Self.peer), reason: Array("quit".utf8))
        out.commands = 9
        out.rejectedCommands = rejected
        out.refusedRecipients = refused
        out.events = events
        out.reply = events.last?.reply
        if let policy { out.rules = [ConnectionRecord.Rules(domain: Self.domain, policy: policy)] }
        let read = try #require(LedgerRecord(out.encoded()))
        return try #require(Explanation.make([read]))
    }

    private func limit(_ key: String) -> DefenseEvent {
        var event = DefenseEvent(.limit, .closed, detail: key)
        event.figures = .limit(DefenseFigures.Limit(key, 3))
        return event
    }

    @Test(arguments: [
        ("smtp.max_connections_per_ip", false, true), ("smtp.max_connections_per_network", false, true),
        ("smtp.max_connections", false, false), ("smtp.rate_limit.messages_per_minute", true, true),
        ("smtp.rate_limit.failed_logins", true, true), ("smtp.lmtp_networks", false, false),
    ])
    func limitsAreReleasedWhereThatHelps(key: String, release: Bool, allow: Bool) throws {
        let remedy = try session([limit(key)]).remedies.first ?? ""
        #expect(remedy.contains("martlet limits release") == release)
        #expect(remedy.contains("martlet limits allow") == allow)
        #expect(remedy.contains(key))
    }

    @Test(arguments: [
        ("192.0.2.0/24", "192.0.2.0/24"), ("2001:db8::/48", "2001:db8::/48"), ("", "192.0.2.7"),
        ("x;y/24", "192.0.2.7"),
    ])
    func aFloodIsItsNetworks(network: String, named: String) throws {
        var record = ConnectionRecord(
            id: MessageID(rawValue: 77), time: WallTime(seconds: 1),
            session: SessionFacts(listener: Array("mx".utf8), peer: Self.peer), reason: [])
        record.events = [limit("smtp.max_connections_per_ip")]
        record.connections = 40
        record.network = Array(network.utf8)
        let remedies = Explanation.make([.connection(record)])?.remedies ?? []
        #expect(remedies.contains { $0.contains("`martlet limits allow \(named)`") })
    }

    private func score(_ effect: DefenseEvent.Effect, _ subject: String) -> DefenseEvent {
        DefenseEvent(.score, effect, subject: Array(subject.utf8), detail: "6")
    }

    @Test func scoresNameTheListsOfTheirDomain() throws {
        var policy = DomainPolicy()
        policy.defense.score.lists = [DomainDefense.DNSList(zone: Array("zen.example".utf8), weight: 9)]
        let listed = try session([score(.refused, "bob@our.example")], policy).remedies
        #expect(listed.contains { $0.contains("`martlet check lists --ip 192.0.2.7 --domain our.example`") })
        #expect(listed.contains { $0.contains("`martlet domain set our.example score_reject=0`") })
        let junk = try session([score(.quarantined, "our.example")], policy).remedies
        #expect(junk.contains { $0.contains("`martlet domain set our.example score_quarantine=0`") })
        #expect(!junk.contains { $0.contains("score_reject") })
        policy.defense.score.lists = []
        #expect(
            !(try session([score(.refused, "bob@our.example")], policy).remedies.contains { $0.contains("lists --ip") })
        )
    }

    private func greylisted(proven: String) -> DefenseEvent {
        var event = DefenseEvent(
            .greylist, .deferred, subject: Array("bob@our.example".utf8), detail: "new",
            reply: Reply(450, EnhancedStatus(4, 7, 1), "Greylisted"))
        var figures = DefenseFigures.Greylist(step: .new, identity: [], sender: [], seconds: 300)
        figures.proven = Array(proven.utf8)
        event.figures = .greylist(figures)
        return event
    }

    @Test func greylistingNamesWhatIsKnown() throws {
        var policy = DomainPolicy()
        policy.defense.greylist.delaySeconds = 300
        let least = try session([greylisted(proven: "shop.example")], policy, rejected: 1, refused: 1).remedies
        #expect(!least.contains { $0.contains("greylist_delay") || $0.contains("DOMAIN") })
        #expect(least.contains { $0.contains("`martlet domain set our.example greylist=false`") })
        #expect(least.contains { $0.contains("`martlet greylist allow shop.example`") })
        #expect(!least.contains { $0.contains("did wrong") })
        policy.defense.greylist.delaySeconds = 900
        let more = try session([greylisted(proven: "")], policy).remedies
        #expect(more.contains { $0.contains("greylist_delay=5") })
        #expect(!more.contains { $0.contains("DOMAIN") })
    }

    @Test func whatFollowsFromOurRefusalIsNotTheClientsFault() throws {
        let follows = DefenseEvent(
            .protocol, .refused, detail: "the answer to DATA",
            reply: Reply(554, EnhancedStatus(5, 5, 1), "No valid recipients"))
        let explanation = try session([greylisted(proven: ""), follows], rejected: 2, refused: 1)
        #expect(!explanation.remedies.contains { $0.contains("broke a rule") || $0.contains("did wrong") })
        #expect(explanation.lines.contains { $0.hasPrefix("  reply: 450") })
        let silence = DefenseEvent(
            .protocol, .closed, detail: "no command within smtp.command_timeout",
            reply: Reply(421, EnhancedStatus(4, 4, 2), "Timeout"))
        let idle = try session([greylisted(proven: ""), follows, silence], rejected: 3, refused: 1)
        #expect(!idle.remedies.contains { $0.contains("did wrong") })
        // By itself it is.
        let alone = try session([follows], rejected: 1)
        #expect(alone.remedies.contains { $0.contains("broke a rule") })
        #expect(alone.remedies.contains { $0.contains("did wrong") })
    }

    private func unknown(_ n: Int) -> DefenseEvent {
        DefenseEvent(
            .directory, .refused, subject: Array("no-\(n)@our.example".utf8), detail: "no mailbox",
            reply: Reply(550, EnhancedStatus(5, 1, 1), "No such user"))
    }

    @Test func remediesOfOneKindAreOne() throws {
        let all = try session((0..<10).map(unknown), rejected: 10, refused: 10).remedies
        let spelling = all.filter { $0.contains("spelling") }
        #expect(spelling.count == 1)
        #expect(spelling.first?.contains("account add no-0@our.example") == true)
        #expect(
            spelling.first?.hasSuffix("; likewise <no-1@our.example>, <no-2@our.example> and 7 more") == true)
        #expect(try session([unknown(0), unknown(0)]).remedies.allSatisfy { !$0.contains("likewise") })
    }

    @Test func whatEndedTheSessionDecides() throws {
        let end = DefenseEvent(
            .protocol, .closed, detail: "smtp.max_errors is 20: so many",
            reply: Reply(421, EnhancedStatus(4, 7, 0), "Too many errors, closing connection"))
        let explanation = try session((0..<10).map(unknown) + [end, unknown(11)], rejected: 12)
        #expect(explanation.summary.contains("closed by protocol: smtp.max_errors is 20"))
        #expect(explanation.lines.contains { $0.hasPrefix("  reply: 421 4.7.0") })
        #expect(explanation.remedies.contains { $0.contains("martlet config explain smtp.max_errors") })
    }

    @Test func howManyThereWereIsSaid() throws {
        var record = ConnectionRecord(
            id: MessageID(rawValue: 77), time: WallTime(seconds: 1), session: SessionFacts(listener: [], peer: nil),
            reason: [])
        record.events = [unknown(1), unknown(2)]
        record.eventCount = 100
        let read = try #require(LedgerRecord(record.encoded()))
        #expect(Explanation.make([read])?.lines.contains("  2 of 100 shown") == true)
        record.eventCount = 2
        let all = try #require(LedgerRecord(record.encoded()))
        #expect(Explanation.make([all])?.lines.contains { $0.hasSuffix("shown") } == false)
    }

    @Test(arguments: [
        ("no more of the message within smtp.data_timeout", "4.4.2", "config explain smtp.data_timeout"),
        ("no command within smtp.command_timeout", "4.4.2", "config explain smtp.command_timeout"),
        ("3 failed logins in one session", "4.7.0", "no setting changes that"),
    ])
    func timeoutsAndBoundsNameTheirOwnKey(detail: String, status: String, says: String) throws {
        let n = status.split(separator: ".").compactMap { UInt16($0) }
        let event = DefenseEvent(
            .protocol, .closed, detail: detail, reply: Reply(421, EnhancedStatus(UInt8(n[0]), n[1], n[2]), "bye"))
        #expect(try session([event]).remedies.first?.contains(says) == true)
    }

    @Test(arguments: [
        ("untrusted: x", "has to name it"), ("malformed: x", "no PROXY header"), ("timeout: x", "health check"),
    ])
    func aProxyIsToldWhatIsItsOwn(detail: String, says: String) throws {
        let remedy = try session([DefenseEvent(.proxy, .closed, detail: detail)]).remedies.first ?? ""
        #expect(remedy.contains(says))
        #expect(remedy.contains("has to name it") == detail.hasPrefix("untrusted"))
    }
}
