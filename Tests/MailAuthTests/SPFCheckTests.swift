import Base
import MailAuth
import Protocols
import Testing

@Suite struct SPFCheckTests {
    private func result(_ zone: String, ip: String = "192.0.2.3", from: String = "user@example.com") -> AuthResult? {
        SPFZone(zone).verdict(ip: ip, from: from)?.result
    }

    // MARK: What the verdict tells

    @Test func pathThroughIncludes() throws {
        let zone = SPFZone(
            """
            example.com TXT v=spf1 mx include:_spf.example.net -all
            _spf.example.net TXT v=spf1 redirect=_all.example.net
            _all.example.net TXT v=spf1 ip4:192.0.2.0/24 ~all
            """)
        let verdict = try #require(zone.verdict())
        #expect(verdict.result == .pass)
        #expect(verdict.lookups == 3 && verdict.voidLookups == 1)
        #expect(verdict.mechanism == Array("include:_spf.example.net".utf8))
        let path = verdict.path.map { String(decoding: $0.term, as: UTF8.self) }
        #expect(path == ["include:_spf.example.net", "redirect=_all.example.net", "ip4:192.0.2.0/24"])
        #expect(verdict.path.last?.domain == Array("_all.example.net".utf8))
        #expect(verdict.record.starts(with: Array("v=spf1 mx".utf8)))
        #expect(verdict.summary.result == .pass && verdict.summary.lookups == 3)
    }

    @Test func problemsAreNamed() {
        #expect(SPFZone().verdict()?.problem == "example.com has no SPF record")
        #expect(SPFZone("example.com FAIL").verdict()?.problem == "DNS TIMEOUT for example.com TXT")
        let twice = "example.com TXT v=spf1 -all\nexample.com TXT v=spf1 +all"
        #expect(SPFZone(twice).verdict()?.problem == "example.com has 2 SPF records")
        let wrong = SPFZone("example.com TXT v=spf1 a:1.2.3.4 -all").verdict()
        #expect(wrong?.result == .permerror && wrong?.problem?.contains("\"1.2.3.4\"") == true)
    }

    @Test func secureOnlyWhenEveryAnswerIs() throws {
        let ip = try #require(IPAddress("192.0.2.3"))
        let check = SPFCheck(ip: ip, helo: [], mailFrom: Array("a@example.com".utf8))
        let name = try #require(DNSName("example.com"))
        for security in [DNSSecurity.secure, .insecure] {
            var facts = Facts()
            let text = RecordData.txt(Array("v=spf1 a -all".utf8))
            facts.learn(DNSQuestion(name, .txt), .records([text], security: .secure))
            facts.learn(DNSQuestion(name, .a), .records([.a(ip)], security: security))
            let verdict = try check.evaluate(facts)
            #expect(verdict.result == .pass && verdict.isSecure == (security == .secure))
        }
    }

    // MARK: Identities

    @Test func nullReversePathIsPostmasterAtHELO() {
        let zone = SPFZone("mail.example.net TXT v=spf1 exists:%{l}.%{o} -all\npostmaster.mail.example.net A 127.0.0.2")
        let verdict = zone.verdict(from: "")
        #expect(verdict?.result == .pass && verdict?.identity == .mailFrom)
        #expect(verdict?.sender == Array("postmaster@mail.example.net".utf8))
        #expect(zone.verdict(from: "@mail.example.net")?.result == .pass)
    }

    @Test func heloIdentity() throws {
        let zone = SPFZone("mail.example.net TXT v=spf1 a -all\nmail.example.net A 192.0.2.3")
        let ip = try #require(IPAddress("192.0.2.3"))
        let verdict = try #require(zone.run(SPFCheck(ip: ip, helo: Array("Mail.Example.NET".utf8)))?.verdict)
        #expect(verdict.result == .pass && verdict.identity == .helo)
    }

    @Test(arguments: [
        "user@localhost", "user@[192.0.2.3]", "user@a..example.com", "user@.example.com", "user@",
        "user@\u{ff5f}.example",
        "user@" + String(repeating: "a", count: 64) + ".example.com",
        "user@" + String(repeating: "a.", count: 130) + "com",
    ]) func noDomain(_ from: String) throws {
        let ip = try #require(IPAddress("192.0.2.3"))
        let run = try #require(SPFZone().run(SPFCheck(ip: ip, helo: [], mailFrom: Array(from.utf8))))
        #expect(run.verdict.result == .absent && run.asked.isEmpty)
    }

    /// RFC 8616 §4
    @Test func internationalSenders() {
        let zone = SPFZone(
            """
            xn--bcher-kva.example TXT v=spf1 exists:%{l}.l.example.com -exists:%{o}.o.example.com ?all
            xn--bcher-kva.example.o.example.com A 127.0.0.2
            user.l.example.com A 127.0.0.2
            """)
        #expect(zone.verdict(from: "user@b\u{fc}cher.example")?.result == .pass)
        let verdict = zone.verdict(from: "b\u{fc}cher@b\u{fc}cher.example")
        #expect(verdict?.result == .fail && verdict?.domain == Array("xn--bcher-kva.example".utf8))
        let include = SPFZone("example.com TXT v=spf1 -include:%{l}.example.com redirect=%{s}.example.com")
        #expect(include.verdict(from: "\u{fc}@example.com")?.result == .neutral)
    }

    // MARK: Addresses

    @Test func mappedAddressesAreIPv4() {
        #expect(result("example.com TXT v=spf1 ip4:192.0.2.3 -all", ip: "::ffff:192.0.2.3") == .pass)
        #expect(result("example.com TXT v=spf1 ip6:::ffff:192.0.2.3 ip6:::/0 -all", ip: "::ffff:192.0.2.3") == .fail)
        #expect(result("example.com TXT v=spf1 ip6:::ffff:192.0.2.3 -all") == .fail)
        #expect(result("example.com TXT v=spf1 a//0 -all\nexample.com AAAA 2001:db8::1", ip: "2001:db8::9") == .pass)
        #expect(result("example.com TXT v=spf1 a//0 -all\nexample.com A 192.0.2.1") == .fail)
    }

    @Test(arguments: [
        (24, "192.0.2.200", true), (25, "192.0.2.200", false), (0, "10.0.0.1", true), (32, "192.0.2.4", false),
    ])
    func prefixes(_ bits: Int, _ ip: String, _ matches: Bool) {
        #expect(result("example.com TXT v=spf1 ip4:192.0.2.3/\(bits) -all", ip: ip) == (matches ? .pass : .fail))
        let a = "example.com TXT v=spf1 a/\(bits) -all\nexample.com A 192.0.2.3"
        #expect(result(a, ip: ip) == (matches ? .pass : .fail))
    }

    // MARK: Limits (RFC 7208 §4.6.4)

    @Test func tenTermsThatAsk() {
        let hosts = (1...11).map { "h\($0).example.com A 10.0.0.\($0)" }.joined(separator: "\n")
        func terms(_ n: Int) -> String { (1...n).map { "a:h\($0).example.com" }.joined(separator: " ") }
        #expect(result("example.com TXT v=spf1 \(terms(10)) -all\n" + hosts) == .fail)
        #expect(result("example.com TXT v=spf1 \(terms(11)) -all\n" + hosts) == .permerror)
        let redirect = "\nr.example.com TXT v=spf1 -all\n"
        #expect(result("example.com TXT v=spf1 \(terms(9)) redirect=r.example.com" + redirect + hosts) == .fail)
        #expect(result("example.com TXT v=spf1 \(terms(10)) redirect=r.example.com" + redirect + hosts) == .permerror)
        // Limits bind only what is evaluated.
        #expect(result("example.com TXT v=spf1 ip4:192.0.2.3 \(terms(11)) -all") == .pass)
    }

    @Test func loopsEnd() {
        #expect(result("example.com TXT v=spf1 include:example.com -all") == .permerror)
        #expect(result("example.com TXT v=spf1 redirect=example.com") == .permerror)
    }

    @Test func twoVoidLookups() {
        #expect(result("example.com TXT v=spf1 a:x.example.com exists:y.example.com -all") == .fail)
        #expect(
            result("example.com TXT v=spf1 a:x.example.com exists:y.example.com mx:z.example.com -all") == .permerror)
        // One term is void once, whatever number of its hosts has no address; exp is outside.
        let mx = (1...5).map { "example.com MX h\($0).example.com" }.joined(separator: "\n")
        #expect(result("example.com TXT v=spf1 mx -all exp=e.example.net\n" + mx) == .fail)
        // What a stranger's PTR record names does not count either.
        let ptr = (1...5).map { "3.2.0.192.in-addr.arpa PTR p\($0).example.org" }.joined(separator: "\n")
        #expect(result("example.com TXT v=spf1 ptr -all\n" + ptr) == .fail)
    }

    @Test func tenNames() {
        func names(_ type: String, _ owner: String, _ n: Int) -> String {
            (1...n).map { "\(owner) \(type) h\($0).example.com" }.joined(separator: "\n") + "\n"
        }
        let zone = "example.com TXT v=spf1 mx ptr -all\nh1.example.com A 10.0.0.1\nh11.example.com A 192.0.2.3\n"
        #expect(result(zone + names("MX", "example.com", 10)) == .fail)
        #expect(result(zone + names("MX", "example.com", 11)) == .permerror)
        #expect(result(zone + names("PTR", "3.2.0.192.in-addr.arpa", 10)) == .fail)
        #expect(result(zone + names("PTR", "3.2.0.192.in-addr.arpa", 11)) == .fail)
    }

    // MARK: Errors

    @Test(arguments: [
        "include:t.example.com", "a:t.example.com", "mx:t.example.com", "exists:t.example.com",
        "redirect=t.example.com",
    ])
    func errorsAreTemporary(_ term: String) {
        #expect(result("example.com TXT v=spf1 \(term)\nt.example.com FAIL") == .temperror)
    }

    @Test func errorsOfPTRAreNot() {
        #expect(result("example.com TXT v=spf1 ptr -all\n3.2.0.192.in-addr.arpa FAIL") == .fail)
        let names =
            "3.2.0.192.in-addr.arpa PTR t.example.com\n3.2.0.192.in-addr.arpa PTR u.example.com\nt.example.com FAIL"
        #expect(result("example.com TXT v=spf1 ptr -all\n" + names) == .fail)
        #expect(result("example.com TXT v=spf1 ptr -all\n" + names + "\nu.example.com A 192.0.2.3") == .pass)
    }

    /// RFC 7208 §5.2 and §6.1: no record there is an error of the record that names it.
    @Test(arguments: ["include:n.example.com", "redirect=n.example.com", "include:%{h1}", "redirect=%{d}..example.com"])
    func missingRecordsArePermanent(_ term: String) {
        #expect(result("example.com TXT v=spf1 \(term)") == .permerror)
    }

    /// RFC 7208 §4.8: names the DNS cannot hold match nothing and are not asked for.
    @Test func impossibleNamesMatchNothing() {
        let label = String(repeating: "a", count: 64)
        #expect(result("example.com TXT v=spf1 a:a..example.com mx:\(label).com exists:.com ptr:..com -all") == .fail)
    }

    @Test func syntaxIsCheckedBeforeAnythingIsEvaluated() {
        #expect(result("example.com TXT v=spf1 ip4:192.0.2.3 -all foo") == .permerror)
        #expect(result("example.com TXT v=spf1 -all redirect=n.example.com") == .fail)
    }

    // MARK: Questions

    @Test func fixedTargetsAreAskedTogether() throws {
        let ip = try #require(IPAddress("192.0.2.3"))
        let zone = SPFZone(
            """
            example.com TXT v=spf1 a include:x.example.com include:y.example.com mx -all include:z.example.com
            example.com A 10.0.0.1
            example.com MX m.example.com
            m.example.com A 10.0.0.2
            x.example.com TXT v=spf1 -all
            y.example.com TXT v=spf1 -all
            """)
        let run = try #require(zone.run(SPFCheck(ip: ip, helo: [], mailFrom: Array("a@example.com".utf8))))
        #expect(run.verdict.result == .fail && run.verdict.lookups == 4)
        // The record; its four terms; the MX host. Nothing behind "all".
        #expect(run.rounds == 4 && run.asked.count == 6)
    }

    @Test func explanationOnlyWhenWanted() throws {
        let ip = try #require(IPAddress("192.0.2.3"))
        let zone = SPFZone("example.com TXT v=spf1 -all exp=e.example.com\ne.example.com TXT No.")
        for wanted in [true, false] {
            let check = SPFCheck(ip: ip, helo: [], mailFrom: Array("a@example.com".utf8), wantsExplanation: wanted)
            let run = try #require(zone.run(check))
            #expect(run.verdict.explanation == (wanted ? Array("No.".utf8) : nil))
            #expect(run.asked.count == (wanted ? 2 : 1))
        }
    }
}
