import Base
import Ledger
import MailAuth
import Policy
import Protocols

/// The situations an operator asks about, each as the record it leaves: evaluated, not made up.
struct Situation {
    static let client = IPAddress(v4: 203, 0, 113, 9)

    var facts = Facts()
    var results = AuthResults()
    var policy = DomainPolicy()
    var author = Array("example.org".utf8)
    var mode = DMARCMode.rfc9989
    var dice = 50

    static func name(_ text: String) -> DNSName { DNSName(text) ?? .root }
    static func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

    init(dmarc: String? = nil, spf: AuthResult = .fail, spfDomain: String = "example.org") {
        if let dmarc {
            learn("_dmarc.example.org", .txt, .records([.txt(Self.bytes(dmarc))], security: .secure, ttl: 600))
        } else {
            learn("_dmarc.example.org", .txt, DNSAnswer(status: .nxDomain, security: .secure, ttl: 60))
        }
        learn("_dmarc.org", .txt, DNSAnswer(status: .nxDomain, ttl: 60))
        learn("_dmarc.lists.example", .txt, DNSAnswer(status: .nxDomain, ttl: 60))
        learn("_dmarc.example", .txt, DNSAnswer(status: .nxDomain, ttl: 60))
        learn("_dmarc.com", .txt, DNSAnswer(status: .nxDomain, ttl: 60))
        learn("example.org", .txt, .records([.txt(Self.bytes("v=spf1 ip4:192.0.2.0/24 -all"))], ttl: 300))
        learn("example.org", .a, .records([.a(IPAddress(v4: 192, 0, 2, 1))]))
        var outcome = AuthResults.SPF(
            result: spf, domain: Self.bytes(spfDomain), identity: Self.bytes("alice@\(spfDomain)"))
        if spf == .fail {
            outcome.mechanism = Self.bytes("-all")
            outcome.record = Self.bytes("v=spf1 ip4:192.0.2.0/24 -all")
        }
        results.spf = outcome
    }

    mutating func learn(_ name: String, _ type: DNSRecordType, _ answer: DNSAnswer) {
        facts.learn(DNSQuestion(Self.name(name), type), answer)
    }

    mutating func sign(_ domain: String, _ result: AuthResult, reason: String = "") {
        var signature = AuthResults.DKIM(result: result, domain: Self.bytes(domain))
        signature.selector = Self.bytes("s1")
        signature.algorithm = Self.bytes("rsa-sha256")
        signature.keyBits = 2_048
        signature.reason = Self.bytes(reason)
        results.dkim.append(signature)
    }

    mutating func seal(by domain: String) {
        var arc = AuthResults.ARC(result: .pass)
        arc.seals = [
            AuthResults.ARC.Seal(
                instance: 1, domain: Self.bytes(domain), selector: Self.bytes("arc"), dmarc: .pass, author: author)
        ]
        results.arc = arc
    }

    /// Through the codec, as the ledger gives it out.
    func record(_ n: Int = 1) -> DecisionRecord {
        var results = results
        if results.dmarc == nil {
            let check = DMARCCheck(
                author: .domain(author), spf: results.spf, dkim: results.dkim, mode: mode, dice: dice)
            results.dmarc = try? check.evaluate(facts)
        }
        let disposition = Disposition.decide(results, policy, Disposition.Facts())
        let reply = disposition.reply ?? Reply(250, EnhancedStatus(2, 0, 0), "Ok: queued")
        var session = SessionFacts(listener: Self.bytes("mx"), peer: Self.client)
        session.helo = Self.bytes("mail.example.org")
        session.tlsVersion = Self.bytes("TLSv1.3")
        session.tlsCipher = Self.bytes("TLS_AES_256_GCM_SHA384")
        var out = DecisionRecord(
            id: MessageID(rawValue: Int64(1_795_000_000_000 + n * 1_000) << 21),
            time: WallTime(seconds: 1_795_000_000 + Int64(n)), session: session, action: disposition.action,
            reply: reply)
        out.sender = results.spf?.identity ?? []
        out.size = 1_234
        out.recipients = [
            DecisionRecord.Recipient(
                address: Self.bytes("bob@our.example"), domain: Self.bytes("our.example"), action: disposition.action,
                rule: disposition.rule, folder: disposition.action == .quarantine ? Self.bytes("Junk") : [])
        ]
        out.recipientCount = 1
        out.results = results
        out.facts = facts
        out.dice = dice
        out.dmarcMode = Self.bytes(mode.rawValue)
        out.verdicts = [DecisionRecord.Verdict(domain: Self.bytes("our.example"), policy: policy, disposition)]
        if case .decision(let read) = LedgerRecord(out.encoded()) { return read }
        return out
    }
}
