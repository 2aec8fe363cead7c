import Base
import Crypto
import MailAuth
import Protocols
import Testing

@Suite struct DNSAdviceTests {
    private static func b(_ text: String) -> [UInt8] { Array(text.utf8) }
    private static let host = "mx.example.org"

    private static func facts(_ keys: [DNSRecordAdvice.Key] = []) -> DNSRecordAdvice.Facts {
        var facts = DNSRecordAdvice.Facts(domain: b("example.org"), hostname: b(host))
        facts.keys = keys
        facts.certificateKeys = [[UInt8](repeating: 0xAB, count: 32)]
        return facts
    }

    @Test func theRecordsOfADomain() throws {
        let key = try PrivateKey(ed25519Seed: Secret([UInt8](repeating: 7, count: 32)))
        let record = try key.recordText()
        // RFC 8463 §4.2: the raw key, 32 octets.
        let raw = Base64.decode(Array(record.dropFirst("v=DKIM1; k=ed25519; p=".utf8.count)).span)
        let publicKey = try key.publicBytes()
        #expect(raw == publicKey && publicKey.count == 32)
        let records = DNSRecordAdvice.records(
            Self.facts([DNSRecordAdvice.Key(selector: Self.b("s1"), record: record, state: .active)]))
        let zone = records.map { String(decoding: $0.zoneText, as: UTF8.self) }
        #expect(zone[0] == "example.org. 3600 IN MX 10 mx.example.org.\n")
        #expect(zone[1] == "example.org. 3600 IN TXT \"v=spf1 mx -all\"\n")
        #expect(zone[2] == "s1._domainkey.example.org. 3600 IN TXT \"\(String(decoding: record, as: UTF8.self))\"\n")
        #expect(zone[3].hasPrefix("_dmarc.example.org. 3600 IN TXT \"v=DMARC1; p=none; rua="))
        #expect(zone.contains { $0.hasPrefix("_25._tcp.mx.example.org. 3600 IN TLSA 3 1 1 abab") })
        #expect(
            zone.contains(
                "; https://mta-sts.example.org/.well-known/mta-sts.txt\n;   version: STSv1\n;   mode: testing\n;   mx: mx.example.org\n;   max_age: 86400\n"
            ))
        #expect(zone.last?.hasPrefix("; default._bimi.example.org.") == true)
        #expect(
            records.map(\.kind) == [
                .mx, .spf, .dkim, .dmarc, .policyAnnouncement, .policyFile, .tlsReporting, .tlsa, .bimi,
            ])
    }

    @Test func aLongKeyInStrings() throws {
        let record = try PrivateKey(generate: .rsa).recordText()
        let text = DNSRecordAdvice.strings(record)
        let strings = String(decoding: text, as: UTF8.self).split(separator: "\" \"")
        #expect(strings.count == 2 && strings[0].utf8.count == 256)
        #expect(text.filter { $0 != 0x22 && $0 != 0x20 } == record.filter { $0 != 0x20 })
        // SubjectPublicKeyInfo of RSA (RFC 6376 §3.6.1)
        let p = Base64.decode(Array(record.dropFirst("v=DKIM1; k=rsa; p=".utf8.count)).span) ?? []
        #expect(p.starts(with: [0x30, 0x82]) && p.count == 294)
        #expect(DNSRecordAdvice.strings([]) == [0x22, 0x22])
        #expect(DNSRecordAdvice.strings(Self.b("a\"b")) == Self.b("\"a\\\"b\""))
    }

    // MARK: Check

    private static let dkim = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
    private static let base = """
        example.org MX mx.example.org
        example.org TXT v=spf1 mx -all
        s1._domainkey.example.org TXT \(dkim)
        _dmarc.example.org TXT v=DMARC1; p=reject; rua=mailto:p@example.org
        mx.example.org A 192.0.2.1
        1.2.0.192.in-addr.arpa PTR mx.example.org
        """

    /// Lines of `base` that start with `without` go, `with` is added.
    struct Case: Sendable, CustomStringConvertible {
        let description: String
        var without: [String] = []
        var with = ""
        let kind: DNSRecordAdvice.Kind
        let status: AdviceFinding.Status
        let isProblem: Bool
        var note = ""
    }

    static let cases: [Case] = [
        Case(description: "mx ok", kind: .mx, status: .ok, isProblem: false),
        Case(description: "no mx", without: ["example.org MX"], kind: .mx, status: .missing, isProblem: true),
        Case(
            description: "mx elsewhere", without: ["example.org MX"], with: "example.org MX mx.other.example",
            kind: .mx, status: .differs, isProblem: true, note: "mail goes to mx.other.example"),
        Case(
            description: "mx also elsewhere", with: "example.org MX b.other.example\nb.other.example A 192.0.2.7",
            kind: .mx, status: .ok, isProblem: false, note: "also goes to b.other.example"),
        Case(
            description: "null mx", without: ["example.org MX"], with: "example.org MX .", kind: .mx, status: .differs,
            isProblem: true, note: "null MX"),
        Case(
            description: "mx without address", without: ["mx.example.org A"], kind: .mx, status: .ok, isProblem: true,
            note: "no address"),
        Case(
            description: "mx no answer", without: ["example.org MX", "example.org TXT"], with: "example.org FAIL",
            kind: .mx, status: .unknown, isProblem: true),
        Case(description: "spf ok", kind: .spf, status: .ok, isProblem: false),
        Case(description: "no spf", without: ["example.org TXT"], kind: .spf, status: .missing, isProblem: true),
        Case(
            description: "two spf", with: "example.org TXT v=spf1 -all", kind: .spf, status: .differs, isProblem: true,
            note: "2 SPF records"),
        Case(
            description: "spf does not name us", without: ["example.org TXT"],
            with: "example.org TXT v=spf1 ip4:198.51.100.1 -all", kind: .spf, status: .differs, isProblem: true,
            note: "192.0.2.1, an address of this server, gets fail"),
        Case(
            description: "spf broken", without: ["example.org TXT"], with: "example.org TXT v=spf1 mxx -all",
            kind: .spf, status: .differs, isProblem: true, note: "unknown mechanism"),
        Case(
            description: "spf for all", without: ["example.org TXT"], with: "example.org TXT v=spf1 mx +all",
            kind: .spf, status: .differs, isProblem: true, note: "everybody"),
        Case(
            description: "spf near the limit", without: ["example.org TXT"],
            with:
                "example.org TXT v=spf1 mx a:1.x.example a:2.x.example a:3.x.example a:4.x.example a:5.x.example a:6.x.example a:7.x.example -all\n"
                + (1...7).map { "\($0).x.example A 192.0.2.9" }.joined(separator: "\n"), kind: .spf, status: .ok,
            isProblem: true, note: "8 DNS lookups"),
        Case(
            description: "spf over the limit", without: ["example.org TXT"],
            with: "example.org TXT v=spf1 mx \((1...10).map { "a:\($0).x.example" }.joined(separator: " ")) -all\n"
                + (1...10).map { "\($0).x.example A 192.0.2.9" }.joined(separator: "\n"), kind: .spf, status: .differs,
            isProblem: true),
        Case(description: "dkim ok", kind: .dkim, status: .ok, isProblem: false),
        Case(
            description: "dkim with more tags", without: ["s1."],
            with:
                "s1._domainkey.example.org TXT v=DKIM1; t=s; k=ed25519; h=sha256; p=11qYAYKxCrfVS/7TyWQ HOg7hcvPapiMlrwIaaPcHURo=",
            kind: .dkim, status: .ok, isProblem: false),
        Case(description: "no dkim", without: ["s1."], kind: .dkim, status: .missing, isProblem: true),
        Case(
            description: "dkim revoked", without: ["s1."], with: "s1._domainkey.example.org TXT v=DKIM1; p=",
            kind: .dkim, status: .differs, isProblem: true, note: "revoked"),
        Case(
            description: "another key", without: ["s1."],
            with: "s1._domainkey.example.org TXT v=DKIM1; k=ed25519; p=AAqYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
            kind: .dkim, status: .differs, isProblem: true, note: "another key"),
        Case(
            description: "two dkim", with: "s1._domainkey.example.org TXT \(dkim)x", kind: .dkim, status: .differs,
            isProblem: true, note: "more than one"),
        Case(description: "dmarc ok", kind: .dmarc, status: .ok, isProblem: false),
        Case(description: "no dmarc", without: ["_dmarc"], kind: .dmarc, status: .missing, isProblem: true),
        Case(
            description: "two dmarc", with: "_dmarc.example.org TXT v=DMARC1; p=none", kind: .dmarc, status: .differs,
            isProblem: true, note: "more than one"),
        Case(
            description: "dmarc monitors", without: ["_dmarc"], with: "_dmarc.example.org TXT v=DMARC1; p=none",
            kind: .dmarc, status: .ok, isProblem: false, note: "p=none"),
        Case(
            description: "dmarc without use", without: ["_dmarc"], with: "_dmarc.example.org TXT v=DMARC1; p=perhaps",
            kind: .dmarc, status: .differs, isProblem: true, note: "neither"),
        Case(
            description: "reports elsewhere, not wanted", without: ["_dmarc"],
            with: "_dmarc.example.org TXT v=DMARC1; p=reject; rua=mailto:r@other.example", kind: .dmarc, status: .ok,
            isProblem: true, note: "gets no reports"),
        Case(
            description: "reports elsewhere, wanted", without: ["_dmarc"],
            with:
                "_dmarc.example.org TXT v=DMARC1; p=reject; rua=mailto:r@other.example\nexample.org._report._dmarc.other.example TXT v=DMARC1",
            kind: .dmarc, status: .ok, isProblem: false),
        Case(description: "no mta-sts", kind: .policyAnnouncement, status: .missing, isProblem: false),
        Case(
            description: "mta-sts", with: "_mta-sts.example.org TXT v=STSv1; id=1;\nmta-sts.example.org A 192.0.2.1",
            kind: .policyAnnouncement, status: .ok, isProblem: false),
        Case(
            description: "mta-sts without host", with: "_mta-sts.example.org TXT v=STSv1; id=1;",
            kind: .policyAnnouncement, status: .ok, isProblem: true, note: "no address"),
        Case(
            description: "mta-sts with a bad id", with: "_mta-sts.example.org TXT v=STSv1; id=1-2;",
            kind: .policyAnnouncement, status: .differs, isProblem: true),
        Case(description: "no tls-rpt", kind: .tlsReporting, status: .missing, isProblem: false),
        Case(
            description: "tls-rpt without rua", with: "_smtp._tls.example.org TXT v=TLSRPTv1;", kind: .tlsReporting,
            status: .differs, isProblem: true),
        Case(description: "no bimi", kind: .bimi, status: .missing, isProblem: false),
        Case(
            description: "bimi of their own",
            with: "default._bimi.example.org TXT v=BIMI1; l=https://www.example.org/i.svg", kind: .bimi, status: .ok,
            isProblem: false),
        Case(description: "reverse", kind: .host, status: .ok, isProblem: false),
        Case(description: "no reverse", without: ["1.2.0"], kind: .host, status: .missing, isProblem: true),
        Case(
            description: "reverse leads elsewhere", without: ["1.2.0"],
            with: "1.2.0.192.in-addr.arpa PTR x.other.example", kind: .host, status: .differs, isProblem: true),
        Case(
            description: "reverse by another name", without: ["1.2.0"],
            with: "1.2.0.192.in-addr.arpa PTR b.example.org\nb.example.org A 192.0.2.1", kind: .host, status: .ok,
            isProblem: false, note: "called b.example.org"),
    ]

    private static func findings(_ zone: SPFZone) throws -> [AdviceFinding] {
        let key = DNSRecordAdvice.Key(selector: b("s1"), record: b(dkim), state: .active)
        let check = try #require(
            DNSAdviceCheck(
                domain: b("example.org"), hostname: b(host), records: DNSRecordAdvice.records(facts([key]))))
        return BIMICheckTests.run(check, zone).0
    }

    @Test(arguments: cases)
    func table(_ item: Case) throws {
        let kept = Self.base.split(separator: "\n").filter { line in !item.without.contains { line.hasPrefix($0) } }
        let findings = try Self.findings(SPFZone(kept.joined(separator: "\n") + "\n" + item.with))
        let finding = try #require(findings.first { $0.record.kind == item.kind }, "\(findings)")
        #expect(finding.status == item.status, "\(finding)")
        #expect(finding.isProblem == item.isProblem, "\(finding)")
        #expect(item.note.isEmpty || finding.notes.contains { $0.contains(item.note) }, "\(finding.notes)")
    }

    @Test func aGoodDomainHasNoProblem() throws {
        let findings = try Self.findings(SPFZone(Self.base))
        #expect(findings.allSatisfy { !$0.isProblem }, "\(findings.filter(\.isProblem))")
        #expect(findings.count == 9)
    }

    @Test func certificates() throws {
        let name = try #require(DNSName("_25._tcp.mx.example.org"))
        func finding(_ data: [UInt8], _ security: DNSSecurity) throws -> AdviceFinding {
            let record = try #require(DNSRecordAdvice.records(Self.facts()).first { $0.kind == .tlsa })
            let check = try #require(
                DNSAdviceCheck(domain: Self.b("example.org"), hostname: Self.b(Self.host), records: [record]))
            let tlsa = TLSAData(usage: 3, selector: 1, matchingType: 1, data: data)
            let facts = Facts([(DNSQuestion(name, .tlsa), .records([.tlsa(tlsa)], security: security))])
            return try #require(try check.evaluate(facts).first)
        }
        let good = try finding([UInt8](repeating: 0xAB, count: 32), .secure)
        #expect(good.status == .ok && !good.isProblem && good.notes.isEmpty && good.security == .secure)
        #expect(
            try finding([UInt8](repeating: 0xAB, count: 32), .insecure).notes == ["without DNSSEC it has no effect"])
        let bad = try finding([UInt8](repeating: 0xAC, count: 32), .secure)
        #expect(bad.status == .differs && bad.isProblem)
    }

    /// RFC 5321 §5.1
    @Test func anMXIsNoAlias() throws {
        let record = try #require(DNSRecordAdvice.records(Self.facts()).first { $0.kind == .mx })
        let check = try #require(
            DNSAdviceCheck(domain: Self.b("example.org"), hostname: Self.b(Self.host), records: [record]))
        let host = try #require(DNSName(Self.host))
        let address = IPAddress(v4: 192, 0, 2, 1)
        var alias = DNSAnswer.records([.a(address)])
        alias.canonicalName = DNSName("real.example.org")
        let facts = Facts([
            (DNSQuestion(try #require(DNSName("example.org")), .mx), .records([.mx(preference: 10, host: host)])),
            (DNSQuestion(host, .a), alias), (DNSQuestion(host, .aaaa), .records([])),
            (DNSQuestion(address.reverseName, .ptr), .records([.ptr(host)])),
        ])
        let finding = try #require(try check.evaluate(facts).first)
        #expect(finding.isProblem && finding.notes.contains { $0.contains("alias (CNAME) of real.example.org") })
    }

    @Test func bogusAnswersAreNamed() throws {
        let record = try #require(DNSRecordAdvice.records(Self.facts()).first { $0.kind == .mx })
        let check = try #require(
            DNSAdviceCheck(domain: Self.b("example.org"), hostname: Self.b(Self.host), records: [record]))
        let facts = Facts([
            (
                DNSQuestion(try #require(DNSName("example.org")), .mx),
                DNSAnswer(status: .servFail, security: .bogus, reason: "signature expired")
            ),
            (DNSQuestion(try #require(DNSName(Self.host)), .a), .records([])),
            (DNSQuestion(try #require(DNSName(Self.host)), .aaaa), .records([])),
        ])
        let finding = try #require(try check.evaluate(facts).first)
        #expect(finding.status == .unknown && finding.isProblem)
        #expect(finding.notes == ["DNSSEC validation failed: signature expired"])
    }
}
