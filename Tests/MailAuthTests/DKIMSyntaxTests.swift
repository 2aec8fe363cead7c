import Base
import MailAuth
import Protocols
import Testing

@Suite struct DKIMSyntaxTests {
    private static let good: [(String, String)] = [
        ("v", "1"), ("a", "rsa-sha256"), ("d", "example.org"), ("s", "sel"), ("h", "From : to"),
        ("bh", "LjkN2rUhrS3zKXfH2vNgUzz5ERRJkgP9CURXBX0JP0Q="), ("b", "dGVzdAo="),
    ]

    private func value(_ changes: [(String, String?)]) -> [UInt8] {
        var tags = Self.good
        for (name, new) in changes {
            tags.removeAll { $0.0 == name }
            if let new { tags.append((name, new)) }
        }
        return Array(tags.map { "\($0.0)=\($0.1)" }.joined(separator: "; ").utf8)
    }

    private func error(_ value: [UInt8], _ form: DKIMSignature.Form = .dkim) -> SignatureSyntaxError? {
        do throws(SignatureSyntaxError) {
            _ = try DKIMSignature(value, form: form)
            return nil
        } catch { return error }
    }

    @Test func everyTagIsRead() throws {
        let signature = try DKIMSignature(
            value([
                ("c", "relaxed"), ("l", "0012"), ("i", "a@b@sub.Example.org"), ("t", "10"), ("x", "11"),
                ("q", "dns/foo : dns/txt"), ("z", "From:x|To:y"), ("unknown", "yes"),
            ]))
        #expect(signature.domain == Array("example.org".utf8))
        #expect(signature.keyName.description == "sel._domainkey.example.org")
        #expect(signature.headerCanonicalization == .relaxed)
        #expect(signature.bodyKey == BodyHashKey(.simple, limit: 12))
        #expect(signature.identityDomain == Array("sub.example.org".utf8))
        #expect(signature.signedNames == [Array("from".utf8), Array("to".utf8)])
        #expect(signature.signedAt == 10)
        #expect(signature.expires == 11)
    }

    // RFC 6376 §3.5
    @Test(arguments: [
        ("v", nil, SignatureSyntaxError.missing("v")), ("v", "2", .version), ("v", "1.0", .version),
        ("a", nil, .missing("a")), ("a", "dsa-sha256", .algorithm), ("a", "RSA-SHA256", .algorithm),
        ("d", nil, .missing("d")), ("d", "", .invalid("d")), ("d", "exa mple.org", .invalid("d")),
        ("d", "a..org", .invalid("d")), ("d", "org", .invalid("d")), ("s", nil, .missing("s")),
        ("s", "-a", .invalid("s")), ("h", nil, .missing("h")), ("h", "", .invalid("h")),
        ("h", "from:", .invalid("h")), ("h", "to:cc", .fromNotSigned), ("b", nil, .missing("b")),
        ("b", "", .invalid("b")), ("b", "a?b=", .invalid("b")), ("bh", nil, .missing("bh")),
        ("bh", "dGVzdAo=", .invalid("bh")), ("c", "", .invalid("c")), ("c", "Simple", .invalid("c")),
        ("c", "simple/simple/simple", .invalid("c")), ("l", "-1", .invalid("l")), ("l", "", .invalid("l")),
        ("t", "a", .invalid("t")), ("i", "@other.example", .identity), ("i", "none", .invalid("i")),
        ("i", "@notexample.org", .identity), ("q", "dns/other", .invalid("q")),
    ])
    func whatTheRulesForbid(tag: String, new: String?, expected: SignatureSyntaxError) {
        #expect(error(value([(tag, new)])) == expected)
    }

    @Test func expiryMustFollowSigning() {
        #expect(error(value([("t", "10"), ("x", "10")])) == .invalid("x"))
        #expect(error(value([("x", "999999999999")])) == nil)
    }

    // RFC 6376 §3.2
    @Test(arguments: [
        ("", TagListError.malformed), (";", .malformed), ("a=1;;b=2", .malformed), ("a=1;a=2", .duplicate),
        ("a", .malformed), ("1a=1", .malformed), ("a b=1", .malformed), ("=1", .malformed), ("a=\u{1}", .malformed),
    ])
    func malformedTagLists(text: String, expected: TagListError) {
        #expect(error(Array(text.utf8)) == .tagList(expected))
    }

    @Test func whiteSpaceAroundTagsIsNothing() throws {
        let tags = try TagList(Array(" a = 1 ;\r\n\tB=2;c= x\r\n y ; d=;\r\n ".utf8))
        #expect(tags.value("a") == [0x31])
        #expect(tags.value("b") == nil)
        #expect(tags.compact("c") == Array("xy".utf8))
        #expect(tags.value("d") == [])
    }

    @Test func tagListsAreBounded() {
        let many = (0..<100).map { "t\($0)=1" }.joined(separator: ";")
        #expect(error(Array(many.utf8)) == .tagList(.tooLong))
        let names = Array(repeating: "from", count: 2_000).joined(separator: ":")
        #expect(error(value([("h", names)])) == .invalid("h"))
    }

    // RFC 8616 §5
    @Test func internationalDomainIsLookedUpAsALabels() throws {
        let signature = try DKIMSignature(value([("d", "bücher.example")]))
        #expect(signature.keyName.description == "sel._domainkey.xn--bcher-kva.example")
    }

    // RFC 8617 §4.1.2
    @Test func messageSignatureDiffersFromDKIM() {
        #expect(error(value([("v", "7"), ("i", "1"), ("h", "to")]), .arc) == nil)
        #expect(error(value([("h", "from:ARC-Seal")]), .arc) == .invalid("h"))
    }

    @Test(arguments: [
        ("v=DKIM1; k=ed25519; p=AAAA; t=y:s; n=note;", nil), ("p=AAAA", nil), ("v=DKIM1; h=sha1:SHA256; p=AAAA", nil),
        ("v=DKIM1; s=email:x; p=AA AA", nil), ("v=DKIM1; s=*; p=AAAA", nil), ("v=DKIM1; g=; p=AAAA", nil),
        ("v=DKIM1; p=", KeyRecordError.revoked), ("v=DKIM1", .syntax), ("p=AAAA; v=DKIM1", .syntax),
        ("v=dkim1; p=AAAA", .syntax), ("v=DKIM1; k=dsa; p=AAAA", .keyType), ("v=DKIM1; h=sha1; p=AAAA", .hash),
        ("v=DKIM1; s=tlsrpt; p=AAAA", .service), ("v=DKIM1; p=A", .data), ("v=spf1 -all", .syntax), ("", .syntax),
        ("v=DKIM1; p=AAAA; p=AAAA", .syntax),
    ])
    func keyRecords(text: String, expected: KeyRecordError?) {
        var found: KeyRecordError?
        do throws(KeyRecordError) { _ = try DKIMKeyRecord(Array(text.utf8)) } catch { found = error }
        #expect(found == expected)
    }
}
