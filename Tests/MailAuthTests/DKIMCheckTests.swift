import Base
import Crypto
import MailAuth
import Protocols
import Testing

@Suite struct DKIMCheckTests {
    private static let message = DKIMFixtures.wire([
        "Received: from a.example by b.example; Thu, 1 Jan 2026 00:00:00 +0000", "From: A <a@sign.example>",
        "To: b@other.example", "Subject:  spaced   out ", "Date: Thu, 1 Jan 2026 00:00:00 +0000", "",
        "Hello  world ", "", "second line", "", "", "",
    ])
    private static let keyName = "s._domainkey.sign.example"

    private static let rsaKey = Result { try PrivateKey(generate: .rsa) }
    private let rsa: PrivateKey
    private let ed25519: PrivateKey

    init() throws {
        rsa = try Self.rsaKey.get()
        ed25519 = try PrivateKey(generate: .ed25519)
    }

    private func signer(_ key: PrivateKey) -> DKIMSigner {
        DKIMSigner(domain: Array("sign.example".utf8), selector: Array("s".utf8), key: key)
    }

    private func sign(_ message: [UInt8], _ signer: DKIMSigner) throws -> [UInt8] {
        let index = HeaderIndex(message)
        let hash = try #require(DKIMFixtures.hashes(message, index, [signer.bodyKey], 3)[signer.bodyKey])
        return try signer.sign(index, bodyHash: hash, now: 1_600_000_000) + message
    }

    private func facts(_ key: PrivateKey, flags: String = "") throws -> Facts {
        Facts([DKIMFixtures.txt(Self.keyName, try key.recordText() + Array(flags.utf8))])
    }

    private func reason(_ message: [UInt8], _ facts: Facts, now: UInt64 = 1_700_000_000) throws -> SignatureReason? {
        try DKIMFixtures.check(message, facts, now: now).best?.reason
    }

    // RFC 8463 §A
    @Test func messageOfTheEd25519Standard() throws {
        let verdict = try DKIMFixtures.check(DKIMFixtures.rfc8463, DKIMFixtures.rfc8463Keys)
        #expect(verdict.results.map(\.reason) == [.verified, .verified])
        #expect(verdict.results.map(\.keyBits) == [256, 1_024])
        #expect(verdict.results.map { $0.signatureHead.escapedText } == ["/gCrinpc", "F45dVWDf"])
        let altered = DKIMFixtures.replacing(DKIMFixtures.rfc8463, "We lost", "We won")
        #expect(try DKIMFixtures.check(altered, DKIMFixtures.rfc8463Keys).status == .fail)
    }

    // RFC 6376 §A.2
    @Test func messageOfTheStandard() throws {
        #expect(try reason(DKIMFixtures.rfc6376, DKIMFixtures.rfc6376Keys) == .verified)
        let folded = DKIMFixtures.replacing(DKIMFixtures.rfc6376, "Subject: ", "Subject:  ")
        #expect(try reason(folded, DKIMFixtures.rfc6376Keys) == .signature)
    }

    @Test(arguments: Canonicalization.allCases, Canonicalization.allCases)
    func whatWeSignWeVerify(header: Canonicalization, body: Canonicalization) throws {
        for key in [rsa, ed25519] {
            var signer = signer(key)
            signer.header = header
            signer.body = body
            let signed = try sign(Self.message, signer)
            let facts = try facts(key)
            let verdict = try DKIMFixtures.check(signed, facts)
            #expect(verdict.status == .pass)
            #expect(verdict.best?.isWholePass == true)
            // Our lines are short.
            let lines = signed.split(separator: ASCII.lf, omittingEmptySubsequences: false)
            #expect(lines.allSatisfy { $0.count <= 79 })
            let spaced = DKIMFixtures.replacing(signed, "Hello  world", "Hello world")
            #expect(try reason(spaced, facts) == (body == .simple ? .bodyHash : .verified))
            let subject = DKIMFixtures.replacing(signed, "spaced   out", "spaced out")
            #expect(try reason(subject, facts) == (header == .simple ? .signature : .verified))
            let other = DKIMFixtures.replacing(signed, "To: b@", "To: c@")
            #expect(try reason(other, facts) == .signature)
        }
    }

    // RFC 6376 §8.15
    @Test(arguments: ["From: B <b@evil.example>", "Subject: other", "Reply-To: x@evil.example", "Content-Type: a/b"])
    func nothingCanBeAddedToWhatIsOverSigned(field: String) throws {
        let signed = try sign(Self.message, signer(rsa))
        let added = Array((field + "\r\n").utf8) + signed
        #expect(try reason(signed, facts(rsa)) == .verified)
        #expect(try reason(added, facts(rsa)) == .signature)
        #expect(try reason(Array("X-Trace: 1\r\n".utf8) + signed, facts(rsa)) == .verified)
    }

    @Test func noSignatureIsNoResult() throws {
        #expect(try DKIMFixtures.check(Self.message, Facts()).status == nil)
        // RFC 4870 is history.
        let old = Array("DomainKey-Signature: a=rsa-sha1; d=a.example; s=s; b=AAAA\r\n".utf8) + Self.message
        #expect(try DKIMFixtures.check(old, Facts()).status == nil)
    }

    @Test func keysAreAskedForTogether() throws {
        let signed = try sign(
            sign(Self.message, signer(rsa)),
            {
                var s = signer(ed25519); s.selector = [0x74]; return s
            }())
        let expected = ["t._domainkey.sign.example TXT", "s._domainkey.sign.example TXT"]
        #expect(DKIMFields(HeaderIndex(signed)).questions.map(\.description) == expected)
        do throws(Missing) {
            let fields = DKIMFields(HeaderIndex(signed))
            let hashes = DKIMFixtures.hashes(signed, fields.header, fields.bodyKeys, 100)
            _ = try DKIMCheck(fields, bodyHashes: hashes, now: 0).evaluate(Facts())
            Issue.record("no question")
        } catch { #expect(error.keys.map(\.description) == expected) }
    }

    @Test(arguments: [
        (DNSStatus.timeout, SignatureReason.keyUnavailable), (.servFail, .keyUnavailable), (.noData, .keyMissing),
        (.nxDomain, .keyMissing),
    ])
    func withoutKey(status: DNSStatus, expected: SignatureReason) throws {
        let signed = try sign(Self.message, signer(rsa))
        let facts = Facts([(DNSQuestion(try #require(DNSName(Self.keyName)), .txt), DNSAnswer(status: status))])
        #expect(try reason(signed, facts) == expected)
        #expect(expected.status == (status.isTemporary ? .temperror : .permerror))
        // A changed body fails whatever DNS would say.
        #expect(try reason(signed + Array("more\r\n".utf8), facts) == .bodyHash)
    }

    @Test(arguments: [
        ("v=DKIM1; p=", SignatureReason.keyRecord(.revoked)), ("v=DKIM1; k=ed25519; p=AAAA", .keyMismatch),
        ("v=DKIM1; p=AAAA", .keyMismatch), ("v=DKIM2; p=AAAA", .keyRecord(.syntax)),
    ])
    func badRecords(text: String, expected: SignatureReason) throws {
        #expect(try reason(sign(Self.message, signer(rsa)), Facts([DKIMFixtures.txt(Self.keyName, text)])) == expected)
    }

    @Test func oneOfSeveralRecordsIsEnough() throws {
        let name = DNSQuestion(try #require(DNSName(Self.keyName)), .txt)
        let texts = [try ed25519.recordText(), try PrivateKey(generate: .rsa).recordText(), try rsa.recordText()]
        #expect(
            try reason(sign(Self.message, signer(rsa)), Facts([(name, .records(texts.map { .txt($0) }))])) == .verified)
        #expect(
            try reason(sign(Self.message, signer(rsa)), Facts([(name, .records([.txt(texts[0]), .txt(texts[1])]))]))
                == .signature)
    }

    // RFC 8301 §3
    @Test func shortKeysAndSHA1AreNotAccepted() throws {
        let short =
            "v=DKIM1; p=MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBALgSoqXVSEmfcIsOzw7oRuCCOwsmtX/SJnTWxYyj2leFxfS/AVJ+dYfY"
            + "+hXqMsT7l+MZvvh/R1WzN4MO/kI/7XsCAwEAAQ=="
        #expect(
            try reason(sign(Self.message, signer(rsa)), Facts([DKIMFixtures.txt(Self.keyName, short)]))
                == .keyShort(bits: 512))
        let sha1 =
            "DKIM-Signature: v=1; a=rsa-sha1; d=a.example; s=s; h=from; bh=AAAAAAAAAAAAAAAAAAAAAAAAAAA=; b=AAAA\r\n"
        #expect(try reason(Array(sha1.utf8) + Self.message, Facts()) == .historicAlgorithm)
        #expect(SignatureReason.historicAlgorithm.status == .permerror)
    }

    @Test func expiry() throws {
        var signer = signer(rsa)
        signer.expiresAfterSeconds = 100
        let signed = try sign(Self.message, signer)
        #expect(try reason(signed, facts(rsa), now: 1_600_000_100) == .verified)
        #expect(try reason(signed, facts(rsa), now: 1_600_000_101) == .expired)
    }

    @Test func flagsOfTheKey() throws {
        let signed = try sign(Self.message, signer(rsa))
        #expect(try DKIMFixtures.check(signed, facts(rsa, flags: "; t=y")).best?.isTesting == true)
        #expect(try reason(signed, facts(rsa, flags: "; t=s")) == .verified)
        // RFC 6376 §3.6.1: with t=s a subdomain in i= is not covered by the key.
        let rfc = DKIMFixtures.replacing(DKIMFixtures.rfc6376, "joe@football.", "joe@")
        #expect(rfc != DKIMFixtures.rfc6376)
        let key = try #require(DKIMFixtures.rfc6376Keys.known(DKIMFixtures.rfc6376Keys.questions[0])?.texts.first)
        let strict = Facts([DKIMFixtures.txt("brisbane._domainkey.example.com", key + Array("; t=s".utf8))])
        #expect(try reason(DKIMFixtures.rfc6376, strict) == .strictIdentity)
    }

    // RFC 6376 §3.5
    @Test func partOfABodyDoesNotCountAsAll() throws {
        // The signer never writes l=; its field is given one by hand and signed again.
        let body = "Hello\r\nmore\r\n"
        for (limit, expected, whole) in [
            (7, SignatureReason.verified, false), (13, .verified, true), (14, .bodyShort, false),
        ] {
            let head = "From: a@sign.example\r\n"
            let text = Array((head + "\r\n" + body).utf8)
            let hash = Digest.sha256(Array(body.utf8.prefix(limit)))
            var field = Array(
                "DKIM-Signature: v=1; a=ed25519-sha256; d=sign.example; s=s; h=from; l=\(limit); bh=".utf8)
            field += Base64.encode(hash) + Array("; b=".utf8)
            let signature = try ed25519.sign(digest: Digest.sha256(Array(head.utf8) + field))
            let message = field + Base64.encode(signature) + [ASCII.cr, ASCII.lf] + text
            let verdict = try DKIMFixtures.check(message, facts(ed25519))
            #expect(verdict.best?.reason == expected)
            #expect(verdict.best?.isWholePass == whole)
        }
    }

    @Test func signaturesAreBounded() throws {
        let junk = Array("DKIM-Signature: v=1; a=rsa-sha256; d=a.example\r\n".utf8)
        let signed = try sign(Self.message, signer(rsa))
        let ten = Array(Array(repeating: junk, count: 9).joined()) + signed
        #expect(try DKIMFixtures.check(ten, facts(rsa)).status == .pass)
        let verdict = try DKIMFixtures.check(junk + ten, facts(rsa))
        #expect(verdict.status == .permerror)
        #expect(verdict.ignored == 1)
    }

    @Test func anyPieceOfGarbageIsSurvived() throws {
        let signed = try sign(Self.message, signer(ed25519))
        let facts = try facts(ed25519)
        let received = HeaderIndex(signed).fields[1].range
        for i in stride(from: 0, to: signed.count, by: 3) {
            var broken = signed
            broken[i] = 0
            // Received is not signed, whatever comes of it; everything else is.
            if !received.contains(i) { #expect(try DKIMFixtures.check(broken, facts).status != .pass, "octet \(i)") }
            _ = try? DKIMFixtures.check(Array(signed[..<i]), facts)
        }
    }
}
