import Base
import Ledger
import Policy
import Protocols
import TestKit
import Testing

@Suite("Explanations")
struct ExplanationTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let name: String
        let record: DecisionRecord
        /// Each of these in some line.
        let says: [String]
        var silent: [String] = []
        var testDescription: String { name }

        init(_ name: String, _ situation: Situation, _ says: [String], silent: [String] = []) {
            self.name = name
            record = situation.record()
            self.says = says
            self.silent = silent
        }

        init(_ name: String, _ record: DecisionRecord, _ says: [String]) {
            self.name = name
            self.record = record
            self.says = says
        }
    }

    private static var passes: Situation {
        var s = Situation(dmarc: "v=DMARC1; p=reject", spf: .pass)
        s.sign("example.org", .pass)
        return s
    }

    private static var repaired: Situation {
        var s = Situation(dmarc: "v=DMARC1; p=reject")
        s.sign("example.org", .pass)
        return s
    }

    private static var temporary: Situation {
        var s = Situation(dmarc: "v=DMARC1; p=reject", spf: .temperror)
        s.facts = Facts()
        s.learn("_dmarc.example.org", .txt, .records([.txt(Array("v=DMARC1; p=reject".utf8))]))
        s.learn("example.org", .txt, .timeout)
        return s
    }

    private static var forged: DecisionRecord {
        var record = passes.record()
        record.removedClaims = 2
        return record
    }

    private static var severalFrom: Situation {
        var s = Situation(dmarc: "v=DMARC1; p=none")
        var dmarc = AuthResults.DMARC(result: .permerror, author: [])
        dmarc.authorProblem = .severalFields
        s.results.dmarc = dmarc
        return s
    }

    private static var broken: Situation {
        var s = Situation(dmarc: "v=DMARC1; p=quarantine")
        s.sign("example.org", .fail, reason: "body hash mismatch")
        return s
    }

    private static func sealed(trusted: Bool) -> Situation {
        var s = Situation(dmarc: "v=DMARC1; p=reject", spf: .pass, spfDomain: "lists.example")
        s.seal(by: "lists.example")
        if trusted { s.policy.trustedARCSealers = [Array("lists.example".utf8)] }
        return s
    }

    static let cases = [
        Case(
            "pass", passes,
            [
                ": accepted at 2026-11-18T", "rule dmarc_pass: example.org is proven by the signature of example.org",
                "client: 203.0.113.9, listener mx", "tls: TLSv1.3 TLS_AES_256_GCM_SHA384",
                "reply: 250 2.0.0 Ok: queued",
                "spf mailfrom pass: example.org", "dkim pass: d=example.org s=s1 rsa-sha256 2048 bits",
                "aligned: the signature of example.org and SPF", "record at _dmarc.example.org: v=DMARC1; p=reject",
                "_dmarc.example.org TXT: NOERROR secure ttl 600: \"v=DMARC1; p=reject\"",
            ], silent: ["What would help", "martlet domain set"]),
        Case(
            "SPF fails, DKIM is aligned", repaired,
            [
                ": accepted", "spf mailfrom fail: example.org by \"-all\"", "record: v=spf1 ip4:192.0.2.0/24 -all",
                "if 203.0.113.9 sends for example.org, example.org should add ip4:203.0.113.9 to its SPF record",
                "rule dmarc_pass",
            ], silent: ["martlet domain set"]),
        Case(
            "both fail, p=none", Situation(dmarc: "v=DMARC1; p=none"),
            [
                ": accepted", "by rule dmarc_policy: no identifier is aligned with example.org, which asks for none",
                "dmarc fail: example.org asks for p=none", "aligned: nothing", "or sign its mail with DKIM",
                "dkim none: the message has no signature", "example.org should sign its mail with DKIM, d=example.org",
            ], silent: ["martlet domain set"]),
        Case(
            "both fail, p=quarantine", Situation(dmarc: "v=DMARC1; p=quarantine"),
            [
                ": accepted into Junk", "<bob@our.example>: quarantine, in Junk (dmarc_policy)",
                "setting: dmarc_enforce=true (default)", "setting: trusted_forwarders=none (default)",
                "`martlet domain set our.example dmarc_exempt=example.org`",
            ]),
        Case(
            "both fail, p=reject", Situation(dmarc: "v=DMARC1; p=reject"),
            [
                ": refused", "reply: 550 5.7.1 Message refused by the DMARC policy of example.org",
                "our.example: reject by rule dmarc_policy",
                "`martlet domain set our.example dmarc_exempt=example.org`",
            ]),
        Case(
            "DNS does not answer", temporary,
            [
                ": deferred", "rule dmarc_temperror", "reply: 451 4.4.3", "spf mailfrom temperror: example.org",
                "example.org TXT: TIMEOUT insecure", "example.org TXT had no answer (TIMEOUT)",
                "setting: dmarc_temperror=defer (default)", "`martlet domain set our.example dmarc_temperror=accept`",
            ]),
        Case(
            "forged Authentication-Results", forged,
            [
                ": accepted", "2 Authentication-Results fields claimed to be ours: removed as forged",
                "nothing to do about the forged Authentication-Results",
            ]),
        Case(
            "two From fields", severalFrom,
            [
                ": refused", "by rule broken_from: more than one From field", "setting: broken_from=reject (default)",
                "one From field into its messages, not several",
                "`martlet domain set our.example broken_from=accept`",
            ]),
        Case(
            "broken DKIM", broken,
            [
                ": accepted into Junk", "dkim fail: d=example.org s=s1 rsa-sha256 2048 bits (body hash mismatch)",
                "the DKIM body hash of example.org differs: the body was changed after signing",
            ]),
        Case(
            "ARC by a trusted sealer", sealed(trusted: true),
            [
                ": accepted", "set aside (local_policy): arc=pass as[1].d=lists.example as[1].s=arc",
                "arc pass: 1 sets", "i=1 sealed by lists.example (s=arc), who measured dmarc=pass for example.org",
                "setting: trusted_arc_sealers=lists.example",
            ], silent: ["martlet domain set"]),
        Case(
            "ARC by an unknown sealer", sealed(trusted: false),
            [
                ": refused",
                "lists.example is not trusted; if it is to be: "
                    + "`martlet domain set our.example trusted_arc_sealers=lists.example`",
                "if lists.example is a forwarder or list you trust: "
                    + "`martlet domain set our.example trusted_forwarders=lists.example`",
                "SPF passed for lists.example, which is not aligned with example.org",
            ]),
    ]

    @Test(arguments: cases)
    func saysWhatHappenedWhyAndWhatHelps(_ c: Case) throws {
        let lines = try #require(Explanation.make([.decision(c.record)])).lines
        let all = lines.joined(separator: "\n")
        for text in c.says { #expect(lines.contains { $0.contains(text) }, "\(text)\n---\n\(all)") }
        for text in c.silent { #expect(!all.contains(text), "\(text)\n---\n\(all)") }
    }

    @Test func whatPeersSayCannotHarmATerminal() throws {
        var record = Self.passes.record()
        record.session.helo = Array("a\u{1B}[31mb\u{202E}c".utf8)
        record.sender = [0xFF, 0x07] + Array("@example.org".utf8)
        record.messageID = Array("x\r\ny".utf8)
        let text = try #require(Explanation.make([.decision(record)])).lines.joined(separator: "\n")
        #expect(text.utf8.allSatisfy { $0 >= 0x20 || $0 == 0x0A })
        #expect(!text.contains("\u{202E}"))
        #expect(text.contains("\\x1b[31m"))
    }

    @Test(arguments: 0..<200)
    func anyRecordCanBeExplained(seed: Int) throws {
        var random = RandomRecords(seed: UInt64(seed) + 1_000)
        let records: [LedgerRecord] = [
            .decision(random.decision()), .connection(random.connection()), .attempt(random.attempt()),
        ]
        for record in records {
            let lines = try #require(Explanation.make([record])).lines
            for line in lines { #expect(line.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F }, "\(line)") }
        }
    }

    @Test func deliveryIsToldWithItsTransportAndWhatComesNext() throws {
        let decision = Self.passes.record()
        var attempt = AttemptRecord(
            message: decision.id, began: WallTime(seconds: 1_795_000_100), elapsedMicroseconds: 1_500_000,
            destination: Array("example.net".utf8),
            recipients: [
                AttemptRecord.Recipient(
                    address: Array("carol@example.net".utf8),
                    result: .delivered(code: 250, text: Array("2.0.0 Ok".utf8))),
                AttemptRecord.Recipient(
                    address: Array("dave@example.net".utf8),
                    result: .failed(
                        DeliveryFailure(
                            .temporary, .remote, EnhancedStatus(4, 2, 2), code: 452, text: Array("mailbox full".utf8),
                            host: Array("mx1.example.net".utf8)))),
            ], host: Array("mx1.example.net".utf8))
        attempt.address = Array("198.51.100.7".utf8)
        attempt.port = 25
        var tls = AttemptRecord.TLS()
        tls.version = Array("TLSv1.3".utf8)
        tls.cipher = Array("TLS_AES_128_GCM_SHA256".utf8)
        tls.group = Array("X25519MLKEM768".utf8)
        tls.hasForwardSecrecy = true
        tls.isVerified = true
        tls.requirement = Array("dane".utf8)
        tls.policies = [
            TLSPolicyFact(type: .tlsa, domain: Array("mx1.example.net".utf8), strings: [Array("3 1 1 AB".utf8)])
        ]
        tls.certificate = AttemptRecord.Certificate(
            key: Array("ECDSA P-256".utf8), subject: Array("CN=mx1.example.net".utf8), issuer: Array("CN=Lab".utf8),
            notAfter: 1_800_000_000)
        attempt.tls = tls
        let pending = Explanation.Pending(
            recipient: Array("dave@example.net".utf8), attempts: 1, next: WallTime(seconds: 1_795_000_400))
        let lines = try #require(
            Explanation.make([.decision(decision), .attempt(attempt)], pending: [pending])
        ).lines
        for text in [
            "2026-11-18T11:08:20Z for example.net at mx1.example.net [198.51.100.7]:25, 1.5 s".replacingTime(),
            "tls: TLSv1.3 TLS_AES_128_GCM_SHA256, group X25519MLKEM768, forward secrecy, verified", "asked for: dane",
            "policy tlsa of mx1.example.net: 3 1 1 AB", "certificate: CN=mx1.example.net, ECDSA P-256, by CN=Lab",
            "<carol@example.net>: delivered: 250 2.0.0 Ok",
            "<dave@example.net>: deferred: 452 4.2.2 mailbox full (remote, said mx1.example.net)",
            "<dave@example.net>: next attempt at", "after 1 attempt", "mx1.example.net asked to come back later",
        ] { #expect(lines.contains { $0.contains(text) }, "\(text)\n---\n\(lines.joined(separator: "\n"))") }
    }

    @Test func aSessionWithoutAMessageIsExplained() throws {
        var record = ConnectionRecord(
            id: MessageID(rawValue: 5 << 21), time: WallTime(seconds: 1_795_000_000),
            session: SessionFacts(listener: Array("mx".utf8), peer: Situation.client),
            reason: Array("too many errors".utf8))
        record.reply = Reply(421, EnhancedStatus(4, 7, 0), "Too many errors")
        record.commands = 22
        record.rejectedCommands = 20
        let lines = try #require(Explanation.make([.connection(record)])).lines
        for text in [
            "session of 203.0.113.9 ended", "reason: too many errors", "reply: 421 4.7.0 Too many errors",
            "22 commands, 20 of them rejected", "helo: never said", "tls: none",
        ] { #expect(lines.contains { $0.contains(text) }, "\(text)") }
    }

    @Test func nothingIsKnownOfNothing() { #expect(Explanation.make([]) == nil) }
}

extension String {
    /// The part after the time of day, which is another test's matter.
    fileprivate func replacingTime() -> String { String(drop { $0 != " " }) }
}
