import Base
import MailAuth
import Protocols
import Testing

/// Expansions, seen through the explanation of a record that always fails.
@Suite struct SPFMacroTests {
    private func expand(
        _ text: String, ip: String = "192.0.2.3", from: String = "strong-bad@email.example.com",
        helo: String = "mail.example.net", more: String = ""
    ) -> String? {
        let domain = from.split(separator: "@").last.map(String.init) ?? ""
        let zone = SPFZone(
            """
            \(domain) TXT v=spf1 -all exp=why.example.net
            why.example.net TXT \(text)
            \(more)
            """)
        return zone.verdict(ip: ip, helo: helo, from: from)?.explanation.map { String(decoding: $0, as: UTF8.self) }
    }

    /// RFC 7208 §7.4
    @Test(arguments: [
        ("%{s}", "strong-bad@email.example.com"), ("%{o}", "email.example.com"), ("%{d}", "email.example.com"),
        ("%{d4}", "email.example.com"), ("%{d3}", "email.example.com"), ("%{d2}", "example.com"), ("%{d1}", "com"),
        ("%{dr}", "com.example.email"), ("%{d2r}", "example.email"), ("%{l}", "strong-bad"), ("%{l-}", "strong.bad"),
        ("%{lr}", "strong-bad"), ("%{lr-}", "bad.strong"), ("%{l1r-}", "strong"),
        ("%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"),
        ("%{lr-}.lp.%{ir}.%{v}._spf.%{d2}", "bad.strong.lp.3.2.0.192.in-addr._spf.example.com"),
        ("%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}", "3.2.0.192.in-addr.strong.lp._spf.example.com"),
        ("%{d2}.trusted-domains.example.net", "example.com.trusted-domains.example.net"),
    ]) func examples(_ text: String, _ wanted: String) { #expect(expand(text) == wanted) }

    @Test(arguments: [
        ("%%|%_|%-", "%| |%20"), ("%{h}", "mail.example.net"), ("%{R}", "mx.receiver.example"), ("%{t}", "1700000000"),
        ("%{c}", "192.0.2.3"), ("%{S}", "strong-bad%40email.example.com"),
        ("%{d99999999999999999999}", "email.example.com"),
        ("%{DR}", "com.example.email"), ("%{o.-}", "email.example.com"), ("%{i/}", "192.0.2.3"),
    ]) func others(_ text: String, _ wanted: String) { #expect(expand(text) == wanted) }

    @Test func addressOfIPv6() {
        let reverse = "1.0.b.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2"
        #expect(expand("%{ir}.%{v} %{c}", ip: "2001:db8::cb01") == reverse + ".ip6 2001:db8::cb01")
        #expect(expand("%{i} %{v}", ip: "::ffff:192.0.2.3") == "192.0.2.3 in-addr")
    }

    /// Parts may be empty, delimiters are what is asked for only.
    @Test(arguments: [
        ("%{l-}", "a--b@example.com", "a..b"), ("%{l2-}", "a--b@example.com", ".b"),
        ("%{lr.}", "a.b-c@example.com", "b-c.a"),
        ("%{l+-}", "x+y-z.w@example.com", "x.y.z.w"), ("%{l1=}", "a=b@example.com", "b"),
        ("%{L}", "~jack&jill=up-a_b3.c@example.com", "~jack%26jill%3Dup-a_b3.c"),
    ]) func parts(_ text: String, _ from: String, _ wanted: String) { #expect(expand(text, from: from) == wanted) }

    /// RFC 7208 §7.3: the domain itself, else below it, else any, else "unknown".
    @Test func validatedName() {
        let ptr = "3.2.0.192.in-addr.arpa PTR "
        let host = " A 192.0.2.3\n"
        let names = "other.example.net" + host + "a.email.example.com" + host + "email.example.com" + host
        #expect(expand("%{p}") == "unknown")
        #expect(expand("%{p}", more: ptr + "other.example.net\n" + names) == "other.example.net")
        #expect(
            expand("%{p}", more: ptr + "other.example.net\n" + ptr + "a.email.example.com\n" + names)
                == "a.email.example.com")
        #expect(
            expand("%{p}", more: ptr + "a.email.example.com\n" + ptr + "email.example.com\n" + names)
                == "email.example.com")
        #expect(expand("%{p}", more: "3.2.0.192.in-addr.arpa FAIL") == "unknown")
        #expect(expand("%{P2}", more: ptr + "other.example.net\nother.example.net A 192.0.2.4") == "unknown")
    }

    /// Too long or unprintable: none at all, or cut.
    @Test func bounds() {
        #expect(expand("\u{e9}t\u{e9}") == nil)
        #expect(expand("%{l}", from: "\u{e9}@example.com") == nil)
        #expect(expand("%{h}", helo: "a\r\n250 x") == nil)
        #expect(expand("%{x}") == nil)
        #expect(expand(String(repeating: "%{s}", count: 4_000))?.utf8.count == 480)
    }
}
