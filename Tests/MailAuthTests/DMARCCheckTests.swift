import Base
import MailAuth
import Protocols
import Testing

/// An identifier as SPF or DKIM found it.
struct DMARCIdentifier {
    var domain: String
    var result: AuthResult
    var coversBody = true

    static func pass(_ domain: String) -> DMARCIdentifier { .init(domain: domain, result: .pass) }
    static func temporary(_ domain: String) -> DMARCIdentifier { .init(domain: domain, result: .temperror) }
}

/// One evaluation replayed against a zone until nothing lacks.
struct DMARCRun {
    private(set) var facts = Facts()
    private(set) var rounds = 0
    let verdict: AuthResults.DMARC

    init(
        _ zone: SPFZone, author: String, spf: [DMARCIdentifier] = [], dkim: [DMARCIdentifier] = [],
        mode: DMARCMode = .rfc9989, dice: Int = 0
    ) {
        let check = DMARCCheck(
            author: .domain(Array(author.utf8)),
            spf: spf.first.map {
                AuthResults.SPF(result: $0.result, domain: Array($0.domain.utf8), identity: Array($0.domain.utf8))
            },
            dkim: dkim.map {
                var signature = AuthResults.DKIM(result: $0.result, domain: Array($0.domain.utf8))
                signature.coversBody = $0.coversBody
                return signature
            }, mode: mode, dice: dice)
        while true {
            do throws(Missing) {
                verdict = try check.evaluate(facts)
                return
            } catch {
                rounds += 1
                for case .dns(let question) in error.keys { facts.learn(question, zone.answer(question)) }
            }
        }
    }

    func organization(of domain: String, _ zone: SPFZone) -> String? {
        guard let name = DNSName(domain) else { return nil }
        var facts = Facts()
        while true {
            do throws(Missing) {
                return "\(try TreeWalk(from: name, facts).organization)"
            } catch {
                for case .dns(let question) in error.keys { facts.learn(question, zone.answer(question)) }
            }
        }
    }
}

@Suite struct DMARCCheckTests {
    private let reject = SPFZone("_dmarc.example.com TXT v=DMARC1; p=reject; pct=30")

    // MARK: Questions

    @Test func aDomainProvenByItselfCostsOneQuestion() {
        let run = DMARCRun(reject, author: "example.com", dkim: [.pass("example.com")])
        #expect(run.verdict.result == .pass)
        #expect(run.facts.count == 1)
    }

    @Test func neverMoreThanEightQuestionsForAName() {
        let deep = "a.b.c.d.e.f.g.h.i.j.k.l.m.example.com"
        let run = DMARCRun(SPFZone(), author: deep, spf: [.pass(deep)])
        #expect(run.facts.questions.filter { $0.type == .txt }.count == 8)
        #expect(run.rounds == 2)
        #expect(run.verdict.result == .absent)
    }

    @Test(arguments: [(1, 1), (2, 2), (7, 7), (8, 8), (9, 8), (20, 8)])
    func namesOfAWalk(labels: Int, questions: Int) throws {
        let name = try #require(DNSName(labels: (0..<labels).map { [UInt8(0x61 + $0 % 26)] }))
        let names = TreeWalk.names(from: name)
        #expect(names.count == questions)
        #expect(names.last?.labelCount == 1)
        if labels >= 8 { #expect(names[1].labelCount == 7) }
    }

    @Test func differentTopLevelsAreNotAsked() {
        let run = DMARCRun(reject, author: "example.com", spf: [.pass("a.example.net")], dkim: [.pass("b.example.org")])
        #expect(run.verdict.result == .fail)
        #expect(run.facts.count == 1)
    }

    @Test func manySignersAreBounded() {
        let signers = (0..<100).map { DMARCIdentifier.pass("s\($0).other.com") }
        let run = DMARCRun(reject, author: "example.com", dkim: signers + [.pass("example.com")])
        #expect(run.verdict.result == .pass)
        #expect(run.facts.count <= 1 + 8 * DMARCCheck.identifiersMax)
    }

    @Test func existenceIsAskedOnlyWhenItMatters() {
        let same = SPFZone("_dmarc.example.com TXT v=DMARC1; p=reject; sp=none; np=none")
        #expect(DMARCRun(same, author: "x.example.com").facts.questions.allSatisfy { $0.type == .txt })
        let other = SPFZone("_dmarc.example.com TXT v=DMARC1; p=reject; sp=none; np=quarantine")
        let run = DMARCRun(other, author: "x.example.com")
        #expect(run.facts.questions.contains { $0.type == .a })
        #expect(run.verdict.policy == .quarantine && run.verdict.policySource == .nonexistent)
    }

    @Test func aNameBelowTheAuthorMakesItExist() {
        let zone = SPFZone(
            """
            _dmarc.example.com TXT v=DMARC1; p=reject; sp=none; np=quarantine
            _dmarc.x.example.com TXT something else
            """)
        #expect(DMARCRun(zone, author: "x.example.com").verdict.policySource == .subdomain)
    }

    // MARK: Temporary errors

    @Test func anUnknownRecordDefersUnlessTheMailCouldOnlyPass() {
        let zone = SPFZone("_dmarc.example.com FAIL")
        let open = DMARCRun(zone, author: "example.com").verdict
        #expect(open.result == .temperror && open.couldFail && !open.hasPolicy)
        let proven = DMARCRun(zone, author: "example.com", dkim: [.pass("example.com")]).verdict
        #expect(proven.result == .temperror && !proven.couldFail)
    }

    @Test func aRecordBelowAnUnknownOneIsNotUsed() {
        let zone = SPFZone("_dmarc.example.com TXT v=DMARC1; p=none\n_dmarc.mail.example.com FAIL")
        let verdict = DMARCRun(zone, author: "mail.example.com").verdict
        #expect(verdict.result == .temperror && verdict.couldFail)
    }

    @Test func aSilentRegistryStopsNothing() {
        let zone = SPFZone("_dmarc.com FAIL")
        #expect(DMARCRun(zone, author: "example.com").verdict.result == .absent)
    }

    @Test(arguments: [("reject", true), ("quarantine", true), ("none", false)])
    func anOpenIdentifierDefersWhenThePolicyActs(policy: String, couldFail: Bool) {
        let zone = SPFZone("_dmarc.example.com TXT v=DMARC1; p=\(policy)")
        let bySPF = DMARCRun(zone, author: "example.com", spf: [.temporary("example.com")]).verdict
        #expect(bySPF.result == .temperror && bySPF.couldFail == couldFail && bySPF.hasPolicy)
        let byDKIM = DMARCRun(zone, author: "example.com", dkim: [.temporary("mail.example.com")]).verdict
        #expect(byDKIM.result == .temperror && byDKIM.couldFail == couldFail)
    }

    @Test func anOpenIdentifierThatIsNotAlignedChangesNothing() {
        let verdict = DMARCRun(reject, author: "example.com", spf: [.temporary("other.com")]).verdict
        #expect(verdict.result == .fail)
    }

    @Test func aPassBesideAnOpenIdentifierIsAPass() {
        let run = DMARCRun(
            reject, author: "example.com", spf: [.temporary("example.com")], dkim: [.pass("example.com")])
        #expect(run.verdict.result == .pass)
    }

    @Test func anUnknownOrganizationBelowIsOpen() {
        let zone = SPFZone("_dmarc.example.com TXT v=DMARC1; p=reject\n_dmarc.sub.example.com FAIL")
        let verdict = DMARCRun(zone, author: "example.com", dkim: [.pass("sub.example.com")]).verdict
        #expect(verdict.result == .temperror && verdict.couldFail)
    }

    // MARK: Modes

    @Test func pctIsForTheOldModeOnly() {
        #expect(DMARCRun(reject, author: "example.com", dice: 99).verdict.applied == .reject)
        let inside = DMARCRun(reject, author: "example.com", mode: .rfc7489, dice: 29).verdict
        #expect(inside.applied == .reject && !inside.isSampledOut)
        let outside = DMARCRun(reject, author: "example.com", mode: .rfc7489, dice: 30).verdict
        #expect(outside.result == .fail && outside.policy == .reject)
        #expect(outside.applied == .quarantine && outside.isSampledOut)
    }

    @Test func aSignatureOfPartOfTheBodyDoesNotCount() {
        let part = DMARCIdentifier(domain: "example.com", result: .pass, coversBody: false)
        #expect(DMARCRun(reject, author: "example.com", dkim: [part]).verdict.result == .fail)
    }

    @Test func internationalDomainsMeetTheirALabels() {
        let zone = SPFZone("_dmarc.xn--bcher-kva.example TXT v=DMARC1; p=reject")
        let run = DMARCRun(zone, author: "b\u{FC}cher.example", dkim: [.pass("xn--bcher-kva.example")])
        #expect(run.verdict.result == .pass)
        #expect(run.verdict.author == Array("xn--bcher-kva.example".utf8))
    }

    @Test(arguments: [AuthResults.AuthorProblem.missing, .severalFields, .malformed, .severalDomains])
    func withoutOneAuthorThereIsNoVerdict(problem: AuthResults.AuthorProblem) throws {
        let check = DMARCCheck(author: .problem(problem, domains: []), spf: nil, dkim: [])
        let verdict = try check.evaluate(Facts())
        #expect(verdict.result == .permerror && verdict.authorProblem == problem)
    }

    // MARK: Records

    @Test(arguments: [
        ("v=DMARC1; fo=1:d:s; ruf=mailto:a@b", true, true, true), ("v=DMARC1; fo=0:1", false, false, false),
        ("v=DMARC1; fo=d:d", false, false, false), ("v=DMARC1; fo=s", false, false, true),
    ])
    func failureOptions(text: String, any: Bool, dkim: Bool, spf: Bool) throws {
        let options = try #require(DMARCRecord(Array(text.utf8))).failureOptions
        #expect(options.any == any && options.dkim == dkim && options.spf == spf)
    }

    @Test func reportAddressesWithoutTheirObsoleteSize() throws {
        let text = "v=DMARC1; rua=mailto:a@example.com!10m , bogus,https://r.example/x , mailto:no-domain, mailto:@x"
        let record = try #require(DMARCRecord(Array(text.utf8)))
        #expect(record.reportURIs == ["mailto:a@example.com", "https://r.example/x"].map { Array($0.utf8) })
    }

    @Test func errorsAfterTheVersionFallBackToDefaults() throws {
        let text = "v=DMARC1; p=reject; adkim=x; t=maybe; psd=z; x-y=1; =; \u{7}=1; ;;"
        let record = try #require(DMARCRecord(Array(text.utf8)))
        #expect(record.policy == .reject && !record.strictDKIM && !record.isTesting)
        #expect(record.publicSuffix == .undeclared)
    }

    @Test func octetsOfAnyKindAreRead() {
        var seed: UInt64 = 9
        let alphabet = Array("v=DMARC1;p=reject rua=mailto:@!,\t\u{0}\u{7F}\u{E9}".utf8)
        for _ in 0..<2_000 {
            seed = seed &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            var state = seed
            let tail = (0..<Int(seed >> 58)).map { _ in
                state = state &* 2_862_933_555_777_941_757 &+ 3_037_000_493
                return alphabet[Int(state >> 33) % alphabet.count]
            }
            _ = DMARCRecord(Array("v=DMARC1;".utf8) + tail)
            _ = DMARCRecord(tail)
        }
        #expect(DMARCRecord([UInt8](repeating: 0x3B, count: 9_000)) == nil)
    }
}
