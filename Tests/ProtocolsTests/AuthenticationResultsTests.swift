import Base
import Protocols
import Testing

@Suite struct AuthenticationResultsTests {
    private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }
    private let id = Array("mx.example.com".utf8)

    private func parse(_ value: [UInt8]) -> AuthStatements? { AuthenticationResultsParser.parse(value.span) }
    private func mustRemove(_ value: String, _ ids: [[UInt8]]) -> Bool {
        AuthenticationResultsParser.mustRemove(bytes(value).span, claiming: ids)
    }

    private var full: AuthResults {
        var results = AuthResults()
        var iprev = AuthResults.IPRev(result: .pass, address: bytes("2001:db8::1"))
        iprev.name = bytes("mail.example.org")
        results.iprev = iprev
        results.helo = AuthResults.SPF(
            result: .pass, domain: bytes("mail.example.org"), identity: bytes("postmaster@mail.example.org"))
        results.spf = AuthResults.SPF(result: .softfail, domain: bytes("example.org"), identity: bytes("a@example.org"))
        var dkim = AuthResults.DKIM(result: .pass, domain: bytes("example.org"))
        dkim.identity = bytes("@example.org")
        dkim.selector = bytes("s1")
        dkim.algorithm = bytes("rsa-sha256")
        dkim.signature = bytes("abcd/fghijk")
        results.dkim = [dkim]
        var arc = AuthResults.ARC(result: .pass)
        arc.seals = [.init(instance: 1, domain: bytes("list.example"))]
        results.arc = arc
        var dmarc = AuthResults.DMARC(result: .fail, author: bytes("example.org"))
        dmarc.policyDomain = bytes("example.org")
        dmarc.policy = .reject
        dmarc.applied = .quarantine
        dmarc.reason = bytes("no \"aligned\" identifier")
        results.dmarc = dmarc
        return results
    }

    @Test func bimiIsWrittenAndRead() throws {
        var results = AuthResults()
        results.bimi = AuthResults.BIMI(
            result: .pass, domain: bytes("example.org"), selector: bytes("default"))
        #expect(
            AuthenticationResults.body(results, servedBy: id)
                == bytes("mx.example.com;\r\n\tbimi=pass header.d=example.org header.selector=default"))
        results.bimi?.result = .skipped
        results.bimi?.selector = bytes("a;b")
        results.bimi?.reason = bytes("the DMARC policy is none")
        let read = try #require(parse(AuthenticationResults.body(results, servedBy: id)))
        let bimi = try #require(read.first("bimi"))
        #expect(bimi.result == bytes("skipped"))
        #expect(bimi.property("header.selector") == bytes("a;b"))
        #expect(bimi.property("header.d") == bytes("example.org"))
        #expect(bimi.property("reason") == bytes("the DMARC policy is none"))
    }

    @Test func whatIsWrittenIsRead() throws {
        let field = AuthenticationResults.field(full, servedBy: id)
        let text = String(decoding: field, as: UTF8.self)
        #expect(text.hasPrefix("Authentication-Results: mx.example.com;\r\n\tiprev=pass"))
        for line in text.utf8.split(separator: 0x0A) { #expect(line.count <= 79, "\(String(line) ?? "")") }
        let read = try #require(parse(Array(bytes(text).dropFirst(24).dropLast(2))))
        #expect(read.server == id && read.version == 1)
        #expect(
            read.statements.map { String(decoding: $0.method, as: UTF8.self) } == [
                "iprev", "spf", "spf", "dkim", "arc", "dmarc",
            ])
        #expect(read.first("iprev")?.property("policy.iprev") == bytes("2001:db8::1"))
        #expect(read.statements[1].property("smtp.helo") == bytes("mail.example.org"))
        #expect(read.statements[2].property("smtp.mailfrom") == bytes("a@example.org"))
        #expect(read.first("dkim")?.property("header.b") == bytes("abcd/fgh"))
        #expect(read.first("dkim")?.property("header.i") == bytes("@example.org"))
        #expect(read.first("dmarc")?.property("reason") == bytes("no \"aligned\" identifier"))
        #expect(read.first("dmarc")?.property("policy.dmarc") == bytes("quarantine"))
        let seal = AuthResults.ARC.Seal(instance: 1, domain: id, selector: [], statements: read)
        #expect(seal.dmarc == .fail && seal.author == bytes("example.org"))
    }

    @Test func nothingEvaluatedIsSaidSo() {
        #expect(AuthenticationResults.body(AuthResults(), servedBy: id) == bytes("mx.example.com; none"))
        var unsigned = AuthResults()
        unsigned.dmarc = AuthResults.DMARC(result: .absent, author: bytes("example.org"))
        let expected = "mx.example.com;\r\n\tdkim=none;\r\n\tdmarc=none header.from=example.org"
        #expect(AuthenticationResults.body(unsigned, servedBy: id) == bytes(expected))
    }

    /// Whatever a peer sends stays inside its value.
    @Test(arguments: [
        "a\r\nBcc: x@y.z", "a; dmarc=pass header.from=bank.example", "a\" ; dmarc=pass", "a\\", "(", ")", "a b@c", "",
        "\u{0}", "x@y@z", "\"q\"@example.com", "a@b;c", "j\u{F6}@example.com", String(repeating: "x", count: 2_000),
    ])
    func hostileValuesStayInside(text: String) throws {
        var results = full
        results.spf?.identity = bytes(text)
        results.helo?.domain = bytes(text)
        results.iprev?.name = bytes(text)
        results.dkim[0].selector = bytes(text)
        results.dkim[0].domain = bytes(text)
        results.dkim[0].reason = bytes(text)
        results.arc?.seals[0].domain = bytes(text)
        results.dmarc?.author = bytes(text)
        let field = AuthenticationResults.field(results, servedBy: id)
        var parser = HeaderParser()
        let header = field + bytes("\r\n")
        let first = parser.next(in: header.span)
        #expect(first?.range == 0..<field.count)
        for line in field.split(separator: 0x0A) { #expect(line.count <= 998) }
        let read = try #require(parse(Array(field.dropFirst(23).dropLast(2))))
        #expect(read.statements.count == 6)
        #expect(read.first("dmarc")?.result == bytes("fail"))
    }

    @Test func octetsThatAreNotTextAreReplaced() {
        var results = AuthResults()
        results.spf = AuthResults.SPF(result: .fail, domain: [], identity: [0x61, 0xFF, 0x40, 0x62])
        let field = AuthenticationResults.field(results, servedBy: id)
        #expect(!field.contains(0xFF))
        #expect(String(decoding: field, as: UTF8.self).contains("smtp.mailfrom=\"a?@b\""))
    }

    // MARK: Fields that claim to be ours

    @Test(arguments: [
        "mx.example.com; spf=pass", " MX.Example.COM ; none", "mx.example.com 1; none",
        "(x) mx.example.com (y) 1 (z); none",
        "\"mx.example.com\"; none", "\"mx.exam\\ple.com\"; none", "\r\n\tmx.example.com;\r\n\tnone", "mx.example.com",
        "mx.example.com.; none", "mx.example.com/1; none", "mx.example.com, x; none", "mx.\"example\".com; none",
        "(a (nested) b)mx.example.com; none", "mx.example.com(c); none", "mx.example.com spf=pass",
        "(open mx.example.com; none", "\"mx.example.com; none", "((((((((((((((((((((((((((((((((((((((mx.example.com",
        "other.example 2; spf=pass", "mx.example.com 99999999999999999999; none", "alias.example.com; none",
        "\u{0}mx.example.com; none",
    ])
    func claimsAreFound(value: String) {
        #expect(mustRemove(value, [id, bytes("alias.example.com")]))
    }

    @Test(arguments: [
        "mx.example.org; spf=pass", "notmx.example.com; none", "mx.example.com.evil.example; none",
        "other.example 1; none",
        "(mx.example.com) other.example; none", "other.example; spf=pass smtp.mailfrom=a@mx.example.com",
        "other.example; none (mx.example.com)", "other.example x; spf=pass",
    ])
    func othersStay(value: String) {
        #expect(!mustRemove(value, [id]))
    }

    @Test func fieldsOfAMessage() {
        let message = bytes(
            "Authentication-Results: other.example; none\r\nauthentication-results : mx.example.com;\r\n spf=pass\r\n"
                + "X-Authentication-Results: mx.example.com; none\r\nSubject: x\r\n\r\n"
                + "Authentication-Results: mx.example.com; none\r\n")
        let ranges = AuthenticationResultsParser.fieldsToRemove(in: message.span, claiming: [id])
        #expect(
            ranges.map { String(decoding: message[$0], as: UTF8.self) } == [
                "authentication-results : mx.example.com;\r\n spf=pass\r\n"
            ])
    }

    // MARK: Reading

    @Test func examplesOfTheStandard() throws {
        // RFC 8601 Appendix B.6: comments everywhere.
        let text =
            "foo.example.net (foobar) 1 (baz);\r\n dkim (Because I like it) / 1 (One yay) = (wait for it) fail\r\n"
            + " policy (A dot can go here) . (like that) expired\r\n (this surprised me) = (as I wasn't expecting it)"
            + " 1362471462"
        let read = try #require(parse(bytes(text)))
        #expect(read.server == bytes("foo.example.net") && read.statements.count == 1)
        #expect(read.first("dkim")?.result == bytes("fail"))
        #expect(read.first("dkim")?.property("policy.expired") == bytes("1362471462"))
        let none = try #require(parse(bytes("example.org 1; none")))
        #expect(none.statements.isEmpty)
        let last = try #require(parse(bytes("a.example; arc=none; spf=pass;")))
        #expect(last.first("arc")?.result == bytes("none") && last.statements.count == 2)
    }

    @Test(arguments: [
        "", ";", "a; spf", "a; spf=", "a; =pass", "a; spf=pass x", "a; spf=pass x.y", "a; spf=pass (", "a b",
    ])
    func malformed(value: String) { #expect(parse(bytes(value)) == nil) }
}
