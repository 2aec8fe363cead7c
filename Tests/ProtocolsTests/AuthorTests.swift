import Base
import Foundation
import Protocols
import Testing

@Suite struct AuthorTests {
    private func author(_ value: String) -> Author { Author(value: Array(value.utf8).span) }

    private func mailboxes(_ value: String) -> [String]? {
        let bytes = Array(value.utf8)
        guard let found = try? AddressParser.mailboxes(in: bytes.span) else { return nil }
        return found.map {
            let name = String(decoding: $0.displayName, as: UTF8.self)
            let local = String(decoding: $0.localpart, as: UTF8.self)
            return "\(name)|\(local)|\(String(decoding: $0.domain, as: UTF8.self))"
        }
    }

    @Test(arguments: [
        ("a@example.com", ["|a|example.com"]),
        ("John Doe <jd@Example.COM>", ["John Doe|jd|Example.COM"]),
        ("\"a \\\"b\\\" <x@y.z>\" <jd@example.com>", ["a \"b\" <x@y.z>|jd|example.com"]),
        ("a@example.com, b@example.org", ["|a|example.com", "|b|example.org"]),
        ("Group: a@x.test, B <b@y.test>; , c@z.test", ["|a|x.test", "B|b|y.test", "|c|z.test"]),
        ("Undisclosed recipients:;", []),
        ("(one (two) \\) three) jd (x) @ (y) example . com (z)", ["|jd|example.com"]),
        ("<@a.test,@b.test:jd@example.com>", ["|jd|example.com"]),
        ("\"j d\"@example.com", ["|j d|example.com"]),
        ("jd@[192.0.2.1]", ["|jd|[192.0.2.1]"]),
        ("J\u{F6}rg <j\u{F6}@b\u{FC}cher.example>", ["J\u{F6}rg|j\u{F6}|b\u{FC}cher.example"]),
        ("John Q. Public <jqp@example.com>", ["John Q. Public|jqp|example.com"]),
        ("Foo, Inc. <a@example.com>", ["|Foo|", "Inc.|a|example.com"]),
        ("x@example.com <y@Example.com>", ["x@example.com|y|Example.com"]),
        ("[ads] Bob <a@example.com>", ["[ads] Bob|a|example.com"]),
        ("a..b.@example.com", ["|a..b.|example.com"]),
        ("a\r\n @example.com", ["|a|example.com"]),
        ("=?utf-8?q?J=F6rg?= <a@example.com>", ["=?utf-8?q?J=F6rg?=|a|example.com"]),
        ("", []), (",,,", []),
    ])
    func lists(value: String, expected: [String]) { #expect(mailboxes(value) == expected) }

    @Test(arguments: [
        "a@b@example.com", "a@good.example <b@evil.example>", "<a@example.com", "a@example.com>", "a@", "@example.com",
        "<>", "a@example..com", "a@example.com.", "a b@example.com", "\"unterminated <a@example.com>", "(open a@b.c",
        "a@example.com) x", "a@example.com b@example.org", "a@example.com\rb@example.org", "a@exam\u{0}ple.com",
        "\"a\u{0}\" <a@example.com>", "a@[1.2.3.4", "a@example.com;", "a\\b@example.com",
        "<a@example.com><b@example.org>",
        "g: h: a@b.c;;", "a@ex ample.com",
    ])
    func doubtIsAnError(value: String) {
        #expect(mailboxes(value) == nil)
        #expect(author(value) == .problem(.malformed, domains: []))
    }

    @Test func bounds() {
        #expect(mailboxes(String(repeating: "(", count: 40) + String(repeating: ")", count: 40) + "a@b.c") == nil)
        #expect(mailboxes(String(repeating: "a@b.c,", count: AddressParser.mailboxesMax + 1)) == nil)
        #expect(mailboxes(String(repeating: " ", count: AddressParser.octetsMax + 1)) == nil)
    }

    @Test func oneDomain() {
        let com = Author.domain(Array("example.com".utf8))
        #expect(author("A <a@Example.com>, b@EXAMPLE.com") == com)
        #expect(author("Foo, Inc. <a@example.com>") == com)
        #expect(author("root") == .problem(.noDomain, domains: []))
        #expect(author(" ") == .problem(.malformed, domains: []))
        #expect(author("a@[1.2.3.4]") == .problem(.notADomain, domains: [Array("[1.2.3.4]".utf8)]))
        let both = ["a.test", "b.test"].map { Array($0.utf8) }
        #expect(author("x@a.test, y@B.test, z@a.test") == .problem(.severalDomains, domains: both))
        let many = (0..<50).map { "a@d\($0).test" }.joined(separator: ", ")
        guard case .problem(.severalDomains, let kept) = author(many) else {
            Issue.record("fifty domains are several")
            return
        }
        #expect(kept.count == Author.domainsMax)
    }

    @Test(arguments: [
        ("From: a@example.com\r\n\r\nFrom: b@evil.example\r\n", nil),
        ("FROM : a@example.com\r\nTo: b@c.test\r\n\r\n", nil),
        ("From: a@example.com\r\nSubject: x\r\nfrom: a@example.com\r\n\r\n", AuthResults.AuthorProblem.severalFields),
        ("To: a@example.com\r\n\r\nFrom: a@example.com\r\n", .missing),
        ("Sender: a@example.com\r\n\r\n", .missing),
        ("From:\r\n a@example.com\r\n\r\n", nil),
    ])
    func headers(message: String, problem: AuthResults.AuthorProblem?) {
        let expected = problem.map { Author.problem($0, domains: []) } ?? .domain(Array("example.com".utf8))
        let found = Author(message: Array(message.utf8).span)
        #expect(found == expected)
    }

    @Test func octetsOfAnyKindAreRead() {
        var state: UInt64 = 77
        let alphabet = Array("a@.,;:<>()[]\"\\ \r\n\tb".utf8) + [0, 0x7F, 0xC3, 0xA9, 0xFF]
        for _ in 0..<5_000 {
            let value = (0..<24).map { _ in
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                return alphabet[Int(state >> 33) % alphabet.count]
            }
            _ = Author(value: value.span)
            _ = AuthenticationResultsParser.parse(value.span)
            _ = AuthenticationResultsParser.mustRemove(value.span, claiming: [[0x61]])
        }
    }

    // MARK: The table of mime/mail-parser

    private struct Row: Decodable {
        let header: String
        let expected: Expected
        struct Expected: Decodable {
            let List: [Mailbox]?
            let Group: [Members]?
        }
        struct Members: Decodable { let addresses: [Mailbox] }
        struct Mailbox: Decodable { let address: String? }
    }

    /// Domains of what that parser, which guesses, and this one, which does not, both take.
    @Test func domainsAgreeWithAnotherParser() throws {
        let folder = URL(
            filePath: ProcessInfo.processInfo.environment["MARTLET_CONFORMANCE"]
                ?? URL(filePath: #filePath).deletingLastPathComponent()
                .appending(path: "../../../shared/conformance").standardizedFileURL.path)
        guard let data = try? Data(contentsOf: folder.appending(path: "mime/mail-parser/address.json")) else {
            print("*** SKIPPED: address.json is not in the shared folder; set MARTLET_CONFORMANCE to run it ***")
            return
        }
        let rows = try JSONDecoder().decode([Row].self, from: data)
        var taken = 0
        for row in rows {
            let bytes = Array(row.header.utf8).filter { $0 != 0x0A && $0 != 0x0D }
            guard let found = try? AddressParser.mailboxes(in: bytes.span) else { continue }
            taken += 1
            let theirs = (row.expected.List ?? []) + (row.expected.Group ?? []).flatMap(\.addresses)
            // That parser leaves white space around dots, which means nothing (RFC 5322 §4.4).
            let domains = theirs.compactMap {
                $0.address?.filter { $0 != " " }.split(separator: "@").dropFirst().last.map(String.init)
            }
            let ours = found.map { String(decoding: $0.domain, as: UTF8.self) }.filter { !$0.isEmpty }
            #expect(ours == domains, "\(row.header)")
        }
        #expect(taken * 10 >= rows.count * 6, "\(taken) of \(rows.count) were taken")
    }
}
