import Base
import Policy
import Protocols
import Testing

@Suite struct DispositionTests {
    private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

    /// A message from example.com that fails under p=`policy`.
    private func failing(_ policy: DMARCPolicy, applied: DMARCPolicy? = nil) -> AuthResults {
        var results = AuthResults()
        var dmarc = AuthResults.DMARC(result: .fail, author: bytes("example.com"))
        dmarc.policyDomain = bytes("example.com")
        dmarc.policy = policy
        dmarc.applied = applied ?? policy
        results.dmarc = dmarc
        results.spf = AuthResults.SPF(result: .fail, domain: bytes("bad.example"), identity: bytes("a@bad.example"))
        return results
    }

    private func decide(
        _ results: AuthResults, _ change: (inout DomainPolicy) -> Void = { _ in }, trusted: Bool = false
    ) -> Disposition {
        var policy = DomainPolicy()
        change(&policy)
        return Disposition.decide(results, policy, Disposition.Facts(clientIsTrusted: trusted))
    }

    @Test(arguments: [
        (DMARCPolicy.monitor, Disposition.Action.accept), (.quarantine, .quarantine), (.reject, .reject),
    ])
    func thePolicyOfTheAuthorDomainIsApplied(policy: DMARCPolicy, action: Disposition.Action) {
        let out = decide(failing(policy))
        #expect(out.action == action && out.rule == .dmarcPolicy && out.overrides.isEmpty)
        #expect((out.reply != nil) == (action == .reject))
        if let reply = out.reply {
            #expect(reply.code == 550 && reply.enhanced == EnhancedStatus(5, 7, 1))
            #expect(String(decoding: reply.text, as: UTF8.self).contains("DMARC policy of example.com"))
        }
    }

    @Test func testModeAndSamplingAreRecorded() {
        var results = failing(.reject, applied: .quarantine)
        results.dmarc?.isTestMode = true
        #expect(decide(results).action == .quarantine)
        #expect(decide(results).overrides.map(\.kind) == [.testMode])
        results.dmarc?.isTestMode = false
        results.dmarc?.isSampledOut = true
        #expect(decide(results).overrides.map(\.kind) == [.sampledOut])
    }

    @Test func aTrustedClientIsNotJudged() {
        let out = decide(failing(.reject), trusted: true)
        #expect(out.action == .accept && out.rule == .trustedClient)
    }

    @Test func enforcementCanBeOff() {
        let out = decide(failing(.reject)) { $0.dmarcEnforced = false }
        #expect(out.action == .accept && out.overrides.map(\.kind) == [.localPolicy])
    }

    @Test func anExemptAuthorIsLetPass() {
        let out = decide(failing(.reject)) { $0.dmarcExempt = [bytes("example.com")] }
        #expect(out.action == .accept && out.overrides.map(\.kind) == [.localPolicy])
        #expect(decide(failing(.reject)) { $0.dmarcExempt = [bytes("example.org")] }.action == .reject)
    }

    @Test func aForwarderHasToBeProven() {
        let change: (inout DomainPolicy) -> Void = { $0.trustedForwarders = [Array("list.example".utf8)] }
        var results = failing(.reject)
        results.dkim = [AuthResults.DKIM(result: .fail, domain: bytes("list.example"))]
        #expect(decide(results, change).action == .reject)
        results.dkim[0].result = .pass
        #expect(decide(results, change).overrides.map(\.kind) == [.trustedForwarder])
        results.dkim[0].coversBody = false
        #expect(decide(results, change).action == .reject)
    }

    // MARK: ARC

    private func chain(_ result: AuthResult, _ seals: [(String, AuthResult?)], author: String = "example.com")
        -> AuthResults
    {
        var results = failing(.reject)
        var arc = AuthResults.ARC(result: result)
        arc.seals = seals.enumerated().map { i, seal in
            .init(instance: i + 1, domain: bytes(seal.0), selector: bytes("s"), dmarc: seal.1, author: bytes(author))
        }
        results.arc = arc
        return results
    }

    @Test func theWordOfATrustedSealerCounts() {
        let results = chain(.pass, [("list.example", .pass), ("relay.example", .fail)])
        let both = [bytes("list.example"), bytes("relay.example")]
        let out = decide(results) { $0.trustedARCSealers = both }
        #expect(out.action == .accept && out.overrides.map(\.kind) == [.localPolicy])
        let comment = String(decoding: out.overrides[0].comment, as: UTF8.self)
        #expect(comment.hasPrefix("arc=pass as[2].d=relay.example as[2].s=s as[1].d=list.example"))
        // A later sealer that is not trusted could have changed the message.
        #expect(decide(results) { $0.trustedARCSealers = [bytes("list.example")] }.action == .reject)
        #expect(decide(results) { $0.trustedARCSealers = [bytes("relay.example")] }.action == .reject)
        #expect(decide(results).action == .reject)
    }

    @Test func aBrokenChainOrAnotherAuthorDoesNot() {
        let trust: (inout DomainPolicy) -> Void = { $0.trustedARCSealers = [Array("list.example".utf8)] }
        #expect(decide(chain(.pass, [("list.example", .pass)]), trust).action == .accept)
        #expect(decide(chain(.fail, [("list.example", .pass)]), trust).action == .reject)
        #expect(decide(chain(.pass, [("list.example", .fail)]), trust).action == .reject)
        #expect(decide(chain(.pass, [("list.example", nil)]), trust).action == .reject)
        #expect(decide(chain(.pass, [("list.example", .pass)], author: "other.example"), trust).action == .reject)
    }

    @Test func anOpenChainOfATrustedSealerWaits() {
        let trust: (inout DomainPolicy) -> Void = { $0.trustedARCSealers = [Array("list.example".utf8)] }
        let results = chain(.temperror, [("list.example", .pass)])
        #expect(decide(results, trust).action == .postpone)
        #expect(decide(results).action == .reject)
    }

    // MARK: SPF, From, temporary errors

    @Test func spfAloneRefusesOnlyWhenAskedTo() {
        var results = failing(.monitor)
        #expect(decide(results).action == .accept)
        let refused = decide(results) { $0.spfFail = .reject }
        #expect(refused.action == .reject && refused.rule == .spfFail)
        #expect(refused.reply?.enhanced == EnhancedStatus(5, 7, 23))
        #expect(decide(results) { $0.spfFail = .quarantine }.action == .quarantine)
        results.dmarc?.result = .pass
        #expect(decide(results) { $0.spfFail = .reject }.action == .accept)
    }

    @Test(arguments: [
        (DMARCPolicy.reject, DomainPolicy.Strictness.quarantine, Disposition.Action.reject),
        (.reject, .reject, .reject), (.quarantine, .quarantine, .quarantine),
    ])
    func aRuleForSPFNeverMakesLessOfWhatTheAuthorAsksFor(
        policy: DMARCPolicy, setting: DomainPolicy.Strictness, action: Disposition.Action
    ) {
        let out = decide(failing(policy)) { $0.spfFail = setting }
        #expect(out.action == action && out.rule == .dmarcPolicy)
        #expect(decide(failing(.quarantine)) { $0.spfFail = .reject }.rule == .spfFail)
    }

    @Test func whatIsPutOffIsNotQuarantinedInstead() {
        var results = failing(.reject)
        results.dmarc?.result = .temperror
        results.dmarc?.couldFail = true
        #expect(decide(results) { $0.spfFail = .quarantine }.action == .postpone)
        #expect(decide(results) { $0.spfFail = .reject }.action == .reject)
    }

    @Test func theWordsOfAStrangerCannotLeaveTheReply() {
        var results = failing(.monitor)
        results.spf?.explanation = bytes("see\r\n250 2.0.0 ok")
        var out: [UInt8] = []
        decide(results) { $0.spfFail = .reject }.reply?.append(to: &out)
        let lines = String(decoding: out, as: UTF8.self).components
        #expect(lines.allSatisfy { $0.hasPrefix("550") } && lines.count == 2)
    }

    /// Nobody is named, so nobody is impersonated.
    @Test func mailWithoutAnyFromIsLetPass() {
        var results = AuthResults()
        var dmarc = AuthResults.DMARC(result: .permerror, author: [])
        dmarc.authorProblem = .missing
        results.dmarc = dmarc
        let disposition = Disposition.decide(results, DomainPolicy(), Disposition.Facts())
        #expect(disposition.action == .accept)
        #expect(disposition.rule == .noObjection)
    }

    @Test(arguments: [
        (DomainPolicy.Strictness.reject, Disposition.Action.reject), (.quarantine, .quarantine), (.accept, .accept),
    ])
    func aBrokenFromIsJudgedByItsOwnRule(setting: DomainPolicy.Strictness, action: Disposition.Action) {
        var results = AuthResults()
        var dmarc = AuthResults.DMARC(result: .permerror, author: [])
        dmarc.authorProblem = .severalFields
        results.dmarc = dmarc
        #expect(decide(results) { $0.brokenFrom = setting }.action == action)
    }

    @Test func aTemporaryErrorDefersOnlyWhatItCouldChange() {
        var results = failing(.reject)
        results.dmarc?.result = .temperror
        #expect(decide(results).action == .accept)
        results.dmarc?.couldFail = true
        let out = decide(results)
        #expect(out.action == .postpone && out.rule == .dmarcTemporary && out.reply?.code == 451)
        #expect(decide(results) { $0.dmarcTemporary = .accept }.action == .accept)
        #expect(decide(results) { $0.dmarcEnforced = false }.action == .accept)
        #expect(decide(results) { $0.dmarcExempt = [bytes("example.com")] }.action == .accept)
    }

    @Test func oneReplyForSeveralDomains() {
        let accept = decide(failing(.monitor))
        let quarantine = decide(failing(.quarantine))
        let reject = decide(failing(.reject))
        #expect(Disposition.together([reject, reject]) == .reject)
        #expect(Disposition.together([reject, accept]) == .accept)
        #expect(Disposition.together([reject, quarantine]) == .quarantine)
        #expect(Disposition.together([]) == .accept)
    }

    // MARK: Fields

    @Test func everyFieldReadsWhatItWrites() {
        for field in DomainPolicyField.all {
            var policy = DomainPolicy()
            #expect(field.read(policy) == field.defaultText, "\(field.name)")
            #expect(field.write(&policy, field.defaultText), "\(field.name)")
            #expect(policy == DomainPolicy(), "\(field.name)")
            #expect(!field.write(&policy, "\u{0}no such value"), "\(field.name)")
            #expect(field.summary.hasSuffix("."), "\(field.name)")
        }
        #expect(Set(DomainPolicyField.all.map(\.name)).count == DomainPolicyField.all.count)
    }

    @Test func listsOfDomains() throws {
        let field = try #require(DomainPolicyField.named("trusted_arc_sealers"))
        var policy = DomainPolicy()
        #expect(field.write(&policy, "List.Example, other.example,list.example"))
        #expect(policy.trustedARCSealers == [bytes("list.example"), bytes("other.example")])
        #expect(field.read(policy) == "list.example,other.example")
        for text in ["", ",", "a..b", "a.b.", "a b@c", "b\u{FC}cher.example", String(repeating: "a", count: 70)] {
            #expect(!field.write(&policy, text), "\(text)")
        }
        let many = (0...DomainPolicy.domainsMax).map { "d\($0).example" }.joined(separator: ",")
        #expect(!field.write(&policy, many))
        #expect(field.write(&policy, "none") && policy.trustedARCSealers.isEmpty)
    }
}

extension String {
    /// The lines of a reply, without the empty end.
    fileprivate var components: [Substring] {
        utf8.split(separator: 0x0A).map { Substring($0) }
    }
}
