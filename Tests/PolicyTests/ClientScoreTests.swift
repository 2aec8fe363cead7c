import Policy
import Protocols
import Testing

@Suite struct ClientScoreTests {
    private let address = IPAddress(v4: 192, 0, 2, 1)

    private func policy(_ lists: String, reject: Int = 8, quarantine: Int = 6) throws -> DomainDefense.Score {
        var score = DomainDefense.Score()
        score.lists = try DomainDefense.DNSList.parse(lists)
        score.rejectAt = reject
        score.quarantineAt = quarantine
        return score
    }

    private func finding(
        _ zone: String, _ last: UInt8..., outcome: DNSListFinding.Outcome = .listed, text: String = ""
    ) -> DNSListFinding {
        DNSListFinding(
            zone: Array(zone.utf8), outcome: outcome, answers: last.map { IPAddress(v4: 127, 0, 0, $0) },
            text: Array(text.utf8))
    }

    private func evidence(_ lists: DNSListFinding...) -> ClientEvidence {
        var evidence = ClientEvidence(address: address)
        evidence.lists = lists
        return evidence
    }

    @Test(arguments: [
        (5, "accept"), (6, "quarantine"), (7, "quarantine"), (8, "reject"), (100, "reject"),
    ])
    func thresholds(_ weight: Int, _ decision: String) throws {
        let score = ClientScore(evidence(finding("a.example", 2)), try policy("a.example=\(weight)"))
        #expect(score.total == weight)
        #expect(score.decision.rawValue == decision)
        #expect((score.reply != nil) == (decision == "reject"))
    }

    @Test func zeroMeansNever() throws {
        let hit = evidence(finding("a.example", 2))
        #expect(ClientScore(hit, try policy("a.example=100", reject: 0, quarantine: 0)).decision == .accept)
        #expect(ClientScore(hit, try policy("a.example=100", reject: 0, quarantine: 9)).decision == .quarantine)
        #expect(ClientScore(hit, try policy("a.example=100", reject: 9, quarantine: 0)).decision == .reject)
        #expect(ClientScore(hit, try policy("a.example=8", reject: 9, quarantine: 0)).decision == .accept)
    }

    @Test func welcomeListsMakeUpForBlockLists() throws {
        let rules = try policy("block.example=9,welcome.example:1-3=-5")
        #expect(ClientScore(evidence(finding("block.example", 2)), rules).decision == .reject)
        let both = ClientScore(evidence(finding("block.example", 2), finding("welcome.example", 2)), rules)
        #expect(both.total == 4)
        #expect(both.decision == .accept)
        // A welcome of the lowest grade does not count here.
        #expect(ClientScore(evidence(finding("block.example", 2), finding("welcome.example", 0)), rules).total == 9)
    }

    @Test(arguments: [([2], 4), ([4], 0), ([4, 10], 4), ([11], 0), ([2, 3, 10], 4)])
    func codesChooseAndCountOnce(_ last: [UInt8], _ total: Int) throws {
        var found = finding("zen.example")
        found.answers = last.map { IPAddress(v4: 127, 0, 0, $0) }
        #expect(ClientScore(evidence(found), try policy("zen.example:2-3,10=4")).total == total)
    }

    @Test func codesOfOneZoneMayCountDifferently() throws {
        let rules = try policy("zen.example:2-3=5,zen.example:10-11=1")
        #expect(ClientScore(evidence(finding("zen.example", 2)), rules).total == 5)
        #expect(ClientScore(evidence(finding("zen.example", 11)), rules).total == 1)
        #expect(ClientScore(evidence(finding("zen.example", 3, 10)), rules).total == 6)
    }

    /// The third octet says what kind of business it is, the last how well it is trusted.
    @Test func welcomeListsUseTheThirdOctet() throws {
        var found = finding("dnswl.example")
        found.answers = [IPAddress(v4: 127, 0, 5, 3)]
        #expect(ClientScore(evidence(found), try policy("dnswl.example:2-3=-4")).total == -4)
        found.answers = [IPAddress(v4: 127, 1, 5, 3)]
        #expect(ClientScore(evidence(found), try policy("dnswl.example:2-3=-4")).total == 0)
    }

    @Test(arguments: [
        DNSListFinding.Outcome.notListed, .unanswered, .declined, .broken,
    ])
    func onlyListedIsEvidence(_ outcome: DNSListFinding.Outcome) throws {
        var found = finding("a.example", 2, outcome: outcome)
        let score = ClientScore(evidence(found), try policy("a.example=100"))
        #expect(score.total == 0)
        #expect(score.decision == .accept)
        // What went wrong is told all the same.
        #expect(score.lines.count == (outcome == .notListed ? 0 : 1))
        found.zone = Array("other.example".utf8)
        #expect(ClientScore(evidence(found), try policy("a.example=100")).lines.isEmpty)
    }

    @Test func reverseHELOAndEarlyTalk() throws {
        var rules = try policy("none")
        (rules.reverseWeight, rules.heloWeight, rules.earlyTalkerWeight) = (1, 2, 3)
        for (result, points) in [
            (AuthResult.pass, 0), (.fail, 1), (.permerror, 1), (.temperror, 0), (.absent, 0),
        ] {
            var evidence = ClientEvidence(address: address)
            evidence.reverse = result
            #expect(ClientScore(evidence, rules).total == points, "\(result)")
        }
        for finding in HELOFinding.allCases {
            var evidence = ClientEvidence(address: address)
            evidence.helo = finding
            #expect(ClientScore(evidence, rules).total == (finding == .good ? 0 : 2), "\(finding)")
        }
        var all = ClientEvidence(address: address)
        (all.reverse, all.helo, all.spokeEarly) = (.fail, .bareAddress, true)
        #expect(ClientScore(all, rules).total == 6)
        #expect(ClientScore(all, rules).decision == .quarantine)
        (rules.reverseWeight, rules.heloWeight, rules.earlyTalkerWeight) = (0, 0, 0)
        #expect(ClientScore(all, rules).lines.isEmpty)
    }

    // RFC 5321 §4.5.1
    @Test func postmasterTakesMailOfEverybody() throws {
        let score = ClientScore(evidence(finding("a.example", 2)), try policy("a.example=100"), isExempt: true)
        #expect(score.decision == .accept)
        #expect(score.reply == nil)
        #expect(score.total == 100)
        #expect(score.detail.contains("takes mail of everybody"))
        #expect(score.event(subject: [])?.effect == .noted)
    }

    @Test func theRefusalNamesListsAndTheirWords() throws {
        let score = ClientScore(
            evidence(
                finding("small.example", 2, text: "small words"), finding("big.example", 2, text: "see\r\n250 OK\u{7F}")
            ),
            try policy("small.example=3,big.example=5"))
        let reply = try #require(score.reply)
        #expect(reply.code == 550 && reply.enhanced == EnhancedStatus(5, 7, 1))
        let text = String(decoding: reply.text, as: UTF8.self)
        #expect(
            text == "Mail from 192.0.2.1 is refused: listed by big.example, small.example\nbig.example: see??250 OK?")
        let event = try #require(score.event(subject: Array("example.org".utf8)))
        #expect(event.control == .score && event.effect == .refused && event.reply == reply)
        let detail = String(decoding: event.detail, as: UTF8.self)
        #expect(detail.contains("score 8") && detail.contains("refused from 8") && detail.contains("+5 listed by big"))
    }

    @Test func withoutListsTheRefusalSaysWhatElse() throws {
        var rules = try policy("none", reject: 2)
        rules.heloWeight = 2
        var evidence = ClientEvidence(address: address)
        evidence.helo = .bareAddress
        evidence.heloName = Array("10.0.0.1\r\n".utf8)
        let reply = try #require(ClientScore(evidence, rules).reply)
        #expect(
            String(decoding: reply.text, as: UTF8.self)
                == "Mail from 192.0.2.1 is refused: HELO 10.0.0.1?? is an address without brackets")
    }

    /// However much there is to say, a reply line keeps room for the id.
    @Test func wordsAreBounded() throws {
        let zones = (0..<32).map { "\(String(repeating: "z", count: 60)).\(String(repeating: "y", count: 60)).l\($0)" }
        var evidence = ClientEvidence(address: address)
        evidence.lists = zones.map {
            DNSListFinding(
                zone: Array($0.utf8), outcome: .listed, answers: [IPAddress(v4: 127, 0, 0, 2)],
                text: [UInt8](repeating: 0x61, count: 10_000))
        }
        let score = ClientScore(evidence, try policy(zones.map { "\($0)=100" }.joined(separator: ",")))
        #expect(score.total == 3_200)
        let reply = try #require(score.reply)
        for line in reply.text.split(separator: 0x0A) { #expect(line.count <= 440) }
        #expect(score.detail.utf8.count <= 600)
    }

    @Test func nothingFoundIsNothingToTell() throws {
        let score = ClientScore(ClientEvidence(address: address), try policy("a.example=5"))
        #expect(score.total == 0 && score.lines.isEmpty && score.event(subject: []) == nil)
    }

    @Test func whatCannotMatterIsNotAsked() throws {
        var defense = DomainDefense()
        #expect(!defense.wantsScore, "the defaults reach no threshold")
        defense.score = try policy("a.example=1")
        #expect(defense.wantsScore)
        defense.score = try policy("w.example=-1", reject: 0, quarantine: 0)
        #expect(!defense.wantsScore)
        defense.greylist.isOn = true
        #expect(defense.wantsScore, "a welcome list spares greylisting")
        defense.greylist.skipScore = nil
        #expect(!defense.wantsScore)
        #expect(defense.score.explainedZones.isEmpty)
        defense.score = try policy("a.example=1,w.example=-1")
        #expect(defense.score.explainedZones == [Array("a.example".utf8)])
        #expect(defense.score.lowest == -1)
    }
}
