import Base
import Crypto
import MailAuth
import Protocols
import Testing

@Suite struct BIMICheckTests {
    private static let indicator = "https://example.org/indicator.svg"

    /// What DMARC came to, and the DNS.
    struct Case: Sendable, CustomStringConvertible {
        let description: String
        var author = "example.org"
        var record = "v=DMARC1; p=reject"
        var policyDomain: String?
        var policy = DMARCPolicy.reject
        var result = AuthResult.pass
        var zone = ""
        let expected: AuthResults.BIMI.Result
        var domain: String?
        var reason = ""
    }

    static let good = "default._bimi.example.org TXT v=BIMI1; l=\(indicator); a=https://example.org/vmc.pem"
    static let organization = "_dmarc.example.org TXT v=DMARC1; p=reject"

    static let cases: [Case] = [
        Case(description: "a record", zone: good, expected: .pass, domain: "example.org"),
        Case(
            description: "quarantine", record: "v=DMARC1; p=quarantine", policy: .quarantine, zone: good,
            expected: .pass),
        Case(
            description: "quarantine for some", record: "v=DMARC1; p=quarantine; pct=50", policy: .quarantine,
            zone: good,
            expected: .skipped, reason: "not for all mail"),
        Case(
            description: "reject for some is no less than quarantine", record: "v=DMARC1; p=reject; pct=50", zone: good,
            expected: .pass),
        Case(
            description: "p=none", record: "v=DMARC1; p=none", policy: .monitor, zone: good, expected: .skipped,
            reason: "policy is none"),
        Case(description: "t=y", record: "v=DMARC1; p=reject; t=y", zone: good, expected: .skipped, reason: "testing"),
        Case(description: "DMARC failed", result: .fail, zone: good, expected: .skipped),
        Case(description: "DMARC could not be told", result: .temperror, zone: good, expected: .temperror),
        Case(
            description: "sp=none", record: "v=DMARC1; p=reject; sp=none", zone: good, expected: .skipped,
            reason: "organizational"),
        Case(description: "no record", expected: .absent, domain: "example.org"),
        Case(
            description: "another TXT record", zone: "default._bimi.example.org TXT v=spf1 -all", expected: .absent),
        Case(
            description: "no answer", zone: "default._bimi.example.org FAIL", expected: .temperror),
        Case(
            description: "two records", zone: good + "\n" + good, expected: .fail, reason: "more than one"),
        Case(
            description: "declined", zone: "default._bimi.example.org TXT v=BIMI1; l=; a=;", expected: .declined),
        Case(
            description: "declined in short", zone: "default._bimi.example.org TXT v=BIMI1; l=;", expected: .declined),
        Case(
            description: "http", zone: "default._bimi.example.org TXT v=BIMI1; l=http://example.org/i.svg",
            expected: .fail, reason: "l="),
        Case(
            description: "no l=", zone: "default._bimi.example.org TXT v=BIMI1; a=https://example.org/v.pem",
            expected: .fail, reason: "no l="),
        Case(
            description: "evidence without indicator",
            zone: "default._bimi.example.org TXT v=BIMI1; l=; a=https://example.org/v.pem", expected: .fail),
        Case(
            description: "a= that is no URI",
            zone: "default._bimi.example.org TXT v=BIMI1; l=\(indicator); a=self", expected: .fail, reason: "a="),
        Case(
            description: "below, by the organization's record", author: "news.example.org", policyDomain: "example.org",
            zone: organization + "\n" + good, expected: .pass, domain: "example.org"),
        Case(
            description: "below, with its own indicator", author: "news.example.org", policyDomain: "example.org",
            zone: organization + "\n" + good + "\ndefault._bimi.news.example.org TXT v=BIMI1; l=\(indicator)",
            expected: .pass, domain: "news.example.org"),
        Case(
            description: "below, declined for itself", author: "news.example.org", policyDomain: "example.org",
            zone: organization + "\n" + good + "\ndefault._bimi.news.example.org TXT v=BIMI1; l=; a=",
            expected: .declined, domain: "news.example.org"),
        Case(
            description: "below, strict itself, the organization not", author: "news.example.org",
            policyDomain: "news.example.org", zone: "_dmarc.example.org TXT v=DMARC1; p=none\n" + good,
            expected: .skipped, domain: "example.org"),
        Case(
            description: "below, neither", author: "news.example.org", policyDomain: "example.org", zone: organization,
            expected: .absent),
    ]

    @Test(arguments: cases)
    func table(_ item: Case) throws {
        var dmarc = AuthResults.DMARC(result: item.result, author: Array(item.author.utf8))
        dmarc.policyDomain = Array((item.policyDomain ?? item.author).utf8)
        dmarc.record = Array(item.record.utf8)
        dmarc.policy = item.policy
        var text = item.zone
        if !text.contains("_dmarc.\(item.policyDomain ?? item.author) ") {
            text += "\n_dmarc.\(item.policyDomain ?? item.author) TXT \(item.record)"
        }
        let (verdict, rounds) = Self.run(BIMICheck(dmarc: dmarc), SPFZone(text))
        #expect(verdict.result == item.expected, "\(verdict)")
        if let domain = item.domain { #expect(verdict.domain == Array(domain.utf8)) }
        let reason = String(decoding: verdict.reason, as: UTF8.self)
        #expect(item.reason.isEmpty || reason.contains(item.reason), "\(reason)")
        if verdict.result == .pass {
            #expect(verdict.location == Array(Self.indicator.utf8))
            #expect(verdict.selector == Array("default".utf8))
        }
        #expect(rounds <= 3)
    }

    /// The verdict and the rounds of questions.
    static func run<E: Evaluation>(_ check: E, _ zone: SPFZone) -> (E.Verdict, Int) {
        var facts = Facts()
        var rounds = 0
        while true {
            do throws(Missing) {
                return (try check.evaluate(facts), rounds)
            } catch {
                rounds += 1
                for question in error.keys.compactMap(\.question) { facts.learn(question, zone.answer(question)) }
            }
        }
    }

    @Test(arguments: [
        ("https://example.org/i.svg", true), ("HTTPS://example.org/a/b?c=d", true), ("https://example.org", false),
        ("https://example.org/", false), ("http://example.org/i.svg", false), ("https://localhost/i.svg", false),
        ("https://u:p@example.org/i.svg", false), ("https://example.org:8443/i.svg", false),
        ("https://example.org/i.svg#x", false), ("https:///i.svg", false), ("https://exa mple.org/i", false),
        ("https://example.org/\"x", false), ("javascript://example.org/x", false), ("https://", false), ("", false),
        ("https://a..b/x", false),
    ])
    func uris(_ text: String, _ isGood: Bool) {
        #expect(BIMIRecord.isIndicator(Array(text.utf8)) == isGood)
    }

    @Test func aSelectorCountsWhenAnAlignedSignatureCoversIt() throws {
        let key = try PrivateKey(generate: .ed25519)
        let text = "From: a@example.org\r\nBIMI-Selector: v=BIMI1; s=Winter;\r\nSubject: x\r\n\r\nhi\r\n"
        func selector(
            _ names: [String], text: String = text, result: AuthResult = .pass, aligned: String? = "example.org"
        )
            throws -> [UInt8]?
        {
            let bytes = Array(text.utf8)
            var signer = DKIMSigner(domain: Array("example.org".utf8), selector: Array("s".utf8), key: key)
            signer.signedNames = names.map { Array($0.utf8) }
            let index = HeaderIndex(bytes)
            let hasher = BodyHasher(signer.bodyKey)
            hasher.feed(bytes.span.extracting(index.bodyStart..<bytes.count))
            let hash = try #require(hasher.finish())
            let signed = HeaderIndex(try signer.sign(index, bodyHash: hash, now: 1) + bytes)
            var dkim = AuthResults.DKIM(result: result, domain: Array("example.org".utf8))
            dkim.selector = Array("s".utf8)
            return BIMISelector.read(
                signed, dkim: DKIMFields(signed), results: [dkim], aligned: aligned.map { Array($0.utf8) })
        }
        #expect(try selector(["from", "bimi-selector"]) == Array("winter".utf8))
        #expect(try selector(["from"]) == nil)
        #expect(try selector(["from", "bimi-selector"], result: .fail) == nil)
        #expect(try selector(["from", "bimi-selector"], aligned: nil) == nil)
        #expect(try selector(["from", "bimi-selector"], aligned: "other.example") == nil)
        #expect(try selector(["from", "bimi-selector"], text: "BIMI-Selector: v=BIMI1; s=b\r\n" + text) == nil)
        #expect(try selector(["from", "bimi-selector"], text: "From: x\r\nBIMI-Selector: s=b\r\n\r\n") == nil)
        #expect(
            try selector(["from", "bimi-selector"], text: "From: x\r\nBIMI-Selector: v=BIMI1; s=a..b\r\n\r\n") == nil)
    }

    @Test func theSelectorIsAskedFor() {
        var dmarc = AuthResults.DMARC(result: .pass, author: Array("example.org".utf8))
        dmarc.record = Array("v=DMARC1; p=reject".utf8)
        dmarc.policy = .reject
        let zone = SPFZone(Self.organization + "\nwinter._bimi.example.org TXT v=BIMI1; l=\(Self.indicator)")
        #expect(Self.run(BIMICheck(dmarc: dmarc, selector: Array("winter".utf8)), zone).0.result == .pass)
        #expect(Self.run(BIMICheck(dmarc: dmarc), zone).0.result == .absent)
    }
}
