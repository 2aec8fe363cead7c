import Base
import Ledger
import Policy
import Protocols
import TestKit

/// Records with every field set at random, within the bounds that are kept.
struct RandomRecords {
    var random: SeededRandom

    init(seed: UInt64) { random = SeededRandom(seed: seed) }

    mutating func bytes(_ limit: Int = 40) -> [UInt8] {
        (0..<Int.random(in: 0...limit, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
    }

    mutating func name() -> DNSName {
        let labels = (0..<Int.random(in: 1...4, using: &random)).map { _ in
            (0..<Int.random(in: 1...20, using: &random)).map { _ in UInt8.random(in: 0x61...0x7A, using: &random) }
        }
        return DNSName(labels: labels) ?? .root
    }

    mutating func flag() -> Bool { Bool.random(using: &random) }
    mutating func count() -> Int { Int.random(in: 0...1 << 40, using: &random) }
    mutating func pick<T>(_ all: [T]) -> T { all[Int.random(in: 0..<all.count, using: &random)] }
    mutating func list<T>(_ limit: Int, _ make: (inout RandomRecords) -> T) -> [T] {
        let count = Int.random(in: 0...limit, using: &random)
        return (0..<count).map { _ in make(&self) }
    }
    mutating func maybe<T>(_ make: (inout RandomRecords) -> T) -> T? { flag() ? make(&self) : nil }

    mutating func id() -> MessageID { MessageID(rawValue: Int64.random(in: 0...Int64.max, using: &random)) }
    mutating func time() -> WallTime { WallTime(microseconds: Int64.random(in: -5...Int64.max, using: &random)) }
    mutating func status() -> EnhancedStatus {
        EnhancedStatus(
            UInt8.random(in: 0...255, using: &random), UInt16.random(in: 0...999, using: &random),
            UInt16.random(in: 0...999, using: &random))
    }
    mutating func reply() -> Reply {
        Reply(code: UInt16.random(in: 0...600, using: &random), enhanced: maybe { $0.status() }, text: bytes(300))
    }
    mutating func address() -> IPAddress {
        flag() ? IPAddress(v4: 192, 0, 2, 7) : IPAddress("2001:db8::17") ?? IPAddress(v4: 1, 2, 3, 4)
    }
    mutating func session() -> SessionFacts {
        var out = SessionFacts(listener: bytes(), peer: maybe { $0.address() })
        out.helo = bytes()
        out.tlsVersion = bytes()
        out.tlsCipher = bytes()
        out.user = bytes()
        out.isExempt = maybe { $0.flag() }
        return out
    }

    mutating func event() -> DefenseEvent {
        var out = DefenseEvent(
            pick(DefenseEvent.Control.allCases), pick(DefenseEvent.Effect.allCases), subject: bytes(), detail: "",
            reply: maybe { $0.reply() }, afterMicroseconds: UInt64(count()))
        out.detail = bytes(200)
        out.figures = maybe { $0.figures() }
        return out
    }

    private mutating func figures() -> DefenseFigures {
        var greylist = DefenseFigures.Greylist(
            step: pick(DefenseFigures.Greylist.Step.allCases), identity: bytes(), sender: bytes(), seconds: count(),
            skip: maybe { $0.pick(GreylistSkip.allCases) })
        greylist.proven = bytes()
        var limit = DefenseFigures.Limit("", count(), isOfNetwork: flag(), retrySeconds: count())
        limit.key = bytes()
        let score = Int.random(in: -3_200...3_200, using: &random)
        return pick([
            .limit(limit), .greylist(greylist), .score(score),
            .tarpit(DefenseFigures.Tarpit(failures: count(), seconds: count())),
        ])
    }

    /// Of a session that it fits.
    private mutating func evidence(_ session: SessionFacts) -> ClientEvidence? {
        guard let peer = session.peer else { return nil }
        var out = ClientEvidence(address: peer)
        out.lists = list(4) { r in
            DNSListFinding(
                zone: r.name().dotted, outcome: r.pick(DNSListFinding.Outcome.allCases),
                answers: r.list(3) { $0.address() }, text: r.bytes(200))
        }
        out.reverse = maybe { $0.pick(AuthResult.allCases) }
        out.helo = maybe { $0.pick(HELOFinding.allCases) }
        out.heloName = out.helo == nil ? [] : session.helo
        out.spokeEarly = flag()
        return out
    }

    private mutating func tally() -> FailureTally {
        var out = FailureTally(domain: name().dotted, steps: list(7) { $0.count() % 1_000 })
        out.heldSeconds = count() % 1_000
        return out
    }

    // MARK: Results

    mutating func spf() -> AuthResults.SPF {
        var out = AuthResults.SPF(result: pick(AuthResult.allCases), domain: bytes(), identity: bytes())
        out.mechanism = bytes()
        out.record = bytes(400)
        out.explanation = bytes()
        out.reason = bytes()
        out.lookups = Int.random(in: 0...10, using: &random)
        out.isSecure = flag()
        return out
    }

    mutating func dkim() -> AuthResults.DKIM {
        var out = AuthResults.DKIM(result: pick(AuthResult.allCases), domain: bytes())
        out.selector = bytes()
        out.identity = bytes()
        out.algorithm = bytes()
        out.signature = bytes()
        out.keyBits = count()
        out.isTesting = flag()
        out.coversBody = flag()
        out.reason = bytes()
        out.isSecure = flag()
        return out
    }

    mutating func arc() -> AuthResults.ARC {
        var out = AuthResults.ARC(result: pick(AuthResult.allCases))
        out.reason = bytes()
        out.seals = list(4) { r in
            AuthResults.ARC.Seal(
                instance: Int.random(in: 1...50, using: &r.random), domain: r.bytes(), selector: r.bytes(),
                dmarc: r.maybe { $0.pick(AuthResult.allCases) }, author: r.bytes())
        }
        return out
    }

    mutating func dmarc() -> AuthResults.DMARC {
        var out = AuthResults.DMARC(result: pick(AuthResult.allCases), author: bytes())
        out.authorProblem = maybe {
            $0.pick([.missing, .severalFields, .malformed, .severalDomains, .noDomain, .notADomain])
        }
        out.organization = bytes()
        out.policyDomain = bytes()
        out.record = bytes(400)
        out.policy = pick(DMARCPolicy.allCases)
        out.policySource = pick([.domain, .subdomain, .nonexistent])
        out.applied = pick(DMARCPolicy.allCases)
        out.isTestMode = flag()
        out.isSampledOut = flag()
        out.couldFail = flag()
        out.spfAligned = flag()
        out.dkimAligned = maybe { $0.bytes() }
        out.reason = bytes()
        out.isSecure = flag()
        return out
    }

    mutating func iprev() -> AuthResults.IPRev {
        var out = AuthResults.IPRev(result: pick(AuthResult.allCases), address: bytes())
        out.name = bytes()
        out.reason = bytes()
        out.isSecure = flag()
        return out
    }

    mutating func results() -> AuthResults {
        var out = AuthResults()
        out.helo = maybe { $0.spf() }
        out.spf = maybe { $0.spf() }
        out.dkim = list(5) { $0.dkim() }
        out.arc = maybe { $0.arc() }
        out.dmarc = maybe { $0.dmarc() }
        out.iprev = maybe { $0.iprev() }
        out.auth = maybe { $0.bytes() }
        out.bimi = maybe { r in
            var bimi = AuthResults.BIMI(
                result: r.pick(AuthResults.BIMI.Result.allCases), domain: r.bytes(), selector: r.bytes())
            bimi.location = r.bytes()
            bimi.authority = r.bytes()
            bimi.reason = r.bytes()
            bimi.isSecure = r.flag()
            return bimi
        }
        return out
    }

    // MARK: DNS

    mutating func data(_ type: DNSRecordType) -> RecordData {
        switch type {
        case .a: .a(IPAddress(v4: 198, 51, 100, UInt8.random(in: 0...255, using: &random)))
        case .aaaa: .aaaa(IPAddress("2001:db8::5") ?? IPAddress(v4: 0, 0, 0, 0))
        case .mx: .mx(preference: UInt16.random(in: 0...65_535, using: &random), host: name())
        case .txt: .txt(bytes(600))
        case .ptr: .ptr(name())
        case .cname: .cname(name())
        case .tlsa: .tlsa(TLSAData(usage: 3, selector: 1, matchingType: 1, data: bytes()))
        }
    }

    mutating func facts() -> Facts {
        var out = Facts()
        for _ in 0..<Int.random(in: 0...20, using: &random) {
            let type = pick(DNSRecordType.allCases)
            var answer = DNSAnswer(status: pick(DNSStatus.allCases))
            answer.records = list(4) { $0.data(type) }
            answer.security = pick(DNSSecurity.allCases)
            answer.ttl = UInt32.random(in: 0...UInt32.max, using: &random)
            answer.canonicalName = maybe { $0.name() }
            answer.reason = maybe { _ in "signature expired" }
            out.learn(DNSQuestion(name(), type), answer)
        }
        return out
    }

    // MARK: Records

    mutating func policy() -> DomainPolicy {
        var out = DomainPolicy()
        if flag() { return out }
        out.dmarcEnforced = flag()
        out.spfFail = pick(DomainPolicy.Strictness.allCases)
        out.brokenFrom = pick(DomainPolicy.Strictness.allCases)
        out.dmarcTemporary = pick(DomainPolicy.TemporaryFailure.allCases)
        out.trustedForwarders = list(3) { $0.name().dotted }
        out.dmarcExempt = flag() ? [Array("news.example".utf8)] : []
        out.maxMessageSize = maybe { _ in 4_096 }
        out.subaddressSeparator = maybe { _ in 0x2D }
        out.defense = defense()
        return out
    }

    private mutating func defense() -> DomainDefense {
        var out = DomainDefense()
        out.greylist.isOn = flag()
        out.greylist.delaySeconds = 60 * Int.random(in: 5...480, using: &random)
        out.greylist.earlyReply = pick(DomainDefense.Greylist.EarlyReply.allCases)
        out.greylist.skipDomains = flag() ? [Array("shop.example".utf8)] : []
        out.greylist.skipScore = maybe { Int.random(in: -9...9, using: &$0.random) }
        out.tarpit.isOn = flag()
        out.tarpit.maxSeconds = Int.random(in: 1...30, using: &random)
        out.tarpit.allow = [AddressBlock(IPAddress(v4: 192, 0, 2, 0), prefix: 24)]
        let zones = (0..<Int.random(in: 0...3, using: &random)).map { Array("zen\($0).example".utf8) }
        out.score.lists = zones.map {
            DomainDefense.DNSList(zone: $0, weight: pick([-5, -1, 1, 5]), codes: flag() ? [2...11] : [])
        }
        out.score.rejectAt = Int.random(in: 0...20, using: &random)
        out.milters = pick([.all, .off, .named([Array("rspamd".utf8)])])
        return out
    }

    mutating func disposition(_ policy: DomainPolicy) -> Disposition {
        Disposition.decide(results(), policy, Disposition.Facts(clientIsTrusted: false))
    }

    mutating func decision() -> DecisionRecord {
        var out = DecisionRecord(
            id: id(), time: time(), session: session(), action: pick(Disposition.Action.allCases), reply: reply())
        out.sender = bytes()
        out.recipients = list(8) { r in
            DecisionRecord.Recipient(
                address: r.bytes(), domain: r.bytes(), action: r.pick(Disposition.Action.allCases),
                rule: r.maybe { $0.pick(Disposition.Rule.allCases) }, folder: r.bytes())
        }
        out.recipientCount = out.recipients.count + 3
        out.size = count()
        out.messageID = bytes(200)
        out.cause = bytes()
        out.results = results()
        out.facts = facts()
        out.removedClaims = Int.random(in: 0...3, using: &random)
        out.policyFacts = Disposition.Facts(clientIsTrusted: flag())
        out.dmarcMode = bytes()
        out.dice = Int.random(in: 0...99, using: &random)
        out.events = list(6) { $0.event() }
        out.changes = list(4) { r in
            FilterChange(
                filter: r.bytes(), kind: r.pick(FilterChange.Kind.allCases), name: r.bytes(), index: r.count(),
                before: r.bytes(), after: r.bytes())
        }
        out.changeCount = out.changes.count + 2
        out.evidence = evidence(out.session)
        out.failures = list(3) { $0.tally() }
        out.verdicts = list(3) { r in
            let policy = r.policy()
            return DecisionRecord.Verdict(domain: r.bytes(), policy: policy, r.disposition(policy))
        }
        out.timing.total = random.next()
        out.timing.verdict = random.next()
        out.timing.dns = random.next()
        out.timing.questions = count()
        out.timing.rounds = count()
        return out
    }

    mutating func connection() -> ConnectionRecord {
        var out = ConnectionRecord(id: id(), time: time(), session: session(), reason: bytes())
        out.reply = maybe { $0.reply() }
        out.commands = count()
        out.rejectedCommands = count()
        out.refusedRecipients = count()
        out.elapsedMicroseconds = random.next()
        out.iprev = maybe { $0.iprev() }
        out.events = list(6) { $0.event() }
        out.connections = pick([1, count()])
        out.network = bytes()
        out.evidence = evidence(out.session)
        out.failures = list(3) { $0.tally() }
        out.rules = list(3) { r in
            let policy = r.policy()
            return ConnectionRecord.Rules(domain: r.name().dotted, policy: policy)
        }
        return out
    }

    mutating func failure() -> DeliveryFailure {
        DeliveryFailure(
            pick(DeliveryFailure.Permanence.allCases), pick(DeliveryFailure.Source.allCases), status(),
            code: maybe { UInt16.random(in: 0...599, using: &$0.random) }, text: bytes(), host: bytes())
    }

    mutating func attempt() -> AttemptRecord {
        let recipients = list(5) { r in
            AttemptRecord.Recipient(
                address: r.bytes(),
                result: r.pick([
                    .delivered(code: 250, text: r.bytes()), .failed(r.failure()), .passedOn(r.failure()),
                ]))
        }
        var out = AttemptRecord(
            message: id(), began: time(), elapsedMicroseconds: random.next(), destination: bytes(),
            recipients: recipients, host: bytes())
        out.address = bytes()
        out.port = UInt16.random(in: 0...65_535, using: &random)
        out.isReused = flag()
        out.banner = bytes()
        out.tls = maybe { $0.tls() }
        return out
    }

    private mutating func tls() -> AttemptRecord.TLS {
        var out = AttemptRecord.TLS()
        out.policies = list(3) { r in
            TLSPolicyFact(
                type: r.pick(TLSPolicyType.allCases), domain: r.bytes(), strings: r.list(3) { $0.bytes() },
                mxHosts: r.list(3) { $0.bytes() })
        }
        out.requirement = bytes()
        out.result = pick(TLSResultType.allCases)
        out.detail = bytes()
        out.isTesting = flag()
        out.version = bytes()
        out.cipher = bytes()
        out.group = bytes()
        out.hasForwardSecrecy = flag()
        out.isVerified = flag()
        out.certificate = maybe { r in
            AttemptRecord.Certificate(
                key: r.bytes(), subject: r.bytes(), issuer: r.bytes(),
                notAfter: Int64.random(in: -9...Int64.max, using: &r.random))
        }
        return out
    }
}
