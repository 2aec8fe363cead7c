import Base
import Crypto
import MailAuth
import Protocols
import Testing

@Suite struct ARCTests {
    private static let message = DKIMFixtures.wire([
        "From: A <a@sign.example>", "To: b@other.example", "Subject: chain", "", "Hello", "",
    ])

    private func sealer(_ key: PrivateKey) -> ARCSealer {
        ARCSealer(
            domain: Array("seal.example".utf8), selector: Array("s".utf8), key: key,
            authservID: Array("mx.seal.example".utf8))
    }

    private func seal(
        _ message: [UInt8], _ key: PrivateKey, _ chain: ARCStatus
    ) throws -> ARCSealer.Fields? {
        let fields = ARCFields(HeaderIndex(message))
        let hash = try #require(
            DKIMFixtures.hashes(message, fields.header, [ARCSealer.bodyKey], 5)[ARCSealer.bodyKey])
        return try sealer(key).seal(
            fields, bodyHash: hash, results: Array("spf=pass smtp.mailfrom=a.example; dkim=none".utf8), chain: chain,
            now: 1_600_000_000)
    }

    private func facts(_ key: PrivateKey) throws -> Facts {
        Facts([DKIMFixtures.txt("s._domainkey.seal.example", try key.recordText())])
    }

    private func chain(_ count: Int, _ key: PrivateKey) throws -> [UInt8] {
        var message = Self.message
        for i in 1..<(count + 1) {
            message = try #require(try seal(message, key, i == 1 ? .absent : .pass)).bytes + message
        }
        return message
    }

    @Test(arguments: [KeyKind.rsa, .ed25519])
    func whatWeSealWeVerify(kind: KeyKind) throws {
        let key = try PrivateKey(generate: kind)
        let message = try chain(3, key)
        let verdict = try DKIMFixtures.checkARC(message, facts(key))
        #expect(verdict.status == .pass)
        #expect(verdict.setCount == 3)
        #expect(verdict.oldestPass == 0)
        #expect(verdict.sealers.count == 3)
        // The newest message signature guards what is there now, the seals what was said before.
        let subject = DKIMFixtures.replacing(message, "Subject: chain", "Subject: other")
        #expect(try DKIMFixtures.checkARC(subject, facts(key)).reason == .message(.signature, instance: 3))
        let body = DKIMFixtures.replacing(message, "Hello", "Hallo")
        #expect(try DKIMFixtures.checkARC(body, facts(key)).reason == .message(.bodyHash, instance: 3))
        let results = DKIMFixtures.replacing(
            message, "i=1; mx.seal.example;\r\n\tspf=pass", "i=1; mx.seal.example;\r\n\tspf=fail")
        #expect(try DKIMFixtures.checkARC(results, facts(key)).reason == .seal(.signature, instance: 3))
    }

    // RFC 8617 §5.2 step 5
    @Test func aMessageChangedOnItsWayStillHasItsNewestSet() throws {
        let key = try PrivateKey(generate: .ed25519)
        let first = try chain(1, key)
        let changed = DKIMFixtures.replacing(first, "Hello", "Hello, said the list")
        let message = try #require(try seal(changed, key, .pass)).bytes + changed
        let verdict = try DKIMFixtures.checkARC(message, facts(key))
        #expect(verdict.status == .pass)
        #expect(verdict.oldestPass == 2)
    }

    // RFC 8617 §5.1.2
    @Test func aFailedChainIsSealedOnceMore() throws {
        let key = try PrivateKey(generate: .ed25519)
        let broken = DKIMFixtures.replacing(try chain(2, key), "Hello", "Hallo")
        let last = try #require(try seal(broken, key, .fail))
        #expect(String(decoding: last.seal, as: UTF8.self).contains("; cv=fail; d=seal.example; i=3;"))
        let message = last.bytes + broken
        let verdict = try DKIMFixtures.checkARC(message, facts(key))
        #expect(verdict.status == .fail)
        #expect(verdict.reason == .markedFailed)
        #expect(try seal(message, key, .fail) == nil)
    }

    @Test func structure() throws {
        let key = try PrivateKey(generate: .ed25519)
        let facts = try facts(key)
        #expect(try DKIMFixtures.checkARC(Self.message, facts).status == .absent)
        let two = try chain(2, key)
        for (old, new, expected) in [
            ("ARC-Seal", "X-Seal", ARCReason.structure),
            ("ARC-Authentication-Results: i=2;", "ARC-Authentication-Results: i=3;", .structure),
            ("ARC-Authentication-Results: i=2;", "ARC-Authentication-Results: i=0;", .structure),
            ("ARC-Authentication-Results: i=2;", "ARC-Authentication-Results: mx; i=2;", .structure),
            ("cv=pass", "cv=none", .chainValue(instance: 2)), ("cv=none", "cv=pass", .chainValue(instance: 1)),
            ("cv=none", "h=from; cv=none", .sealSyntax(.invalid("h"), instance: 1)),
            ("cv=pass", "cv=fail", .markedFailed), ("cv=pass", "cv=good", .sealSyntax(.invalid("cv"), instance: 2)),
        ] {
            let message = DKIMFixtures.replacing(two, old, new)
            #expect(try DKIMFixtures.checkARC(message, facts).reason == expected, "\(old) → \(new)")
        }
        let doubled = Array("ARC-Seal: i=1; a=rsa-sha256; cv=none; d=a.example; s=s; b=AAAA\r\n".utf8) + two
        #expect(try DKIMFixtures.checkARC(doubled, facts).reason == .structure)
    }

    @Test func fiftySetsAndNoMore() throws {
        let key = try PrivateKey(generate: .ed25519)
        let full = try chain(50, key)
        #expect(try DKIMFixtures.checkARC(full, facts(key)).status == .pass)
        #expect(try seal(full, key, .pass) == nil)
        let more = Array("ARC-Seal: i=51; a=rsa-sha256; cv=pass; d=a.example; s=s; b=AAAA\r\n".utf8) + full
        #expect(try DKIMFixtures.checkARC(more, facts(key)).reason == .tooManySets)
    }

    @Test func missingKeysAreTemporaryOrNot() throws {
        let key = try PrivateKey(generate: .ed25519)
        let message = try chain(1, key)
        for (status, temporary) in [(DNSStatus.timeout, true), (.nxDomain, false)] {
            let question = DNSQuestion(try #require(DNSName("s._domainkey.seal.example")), .txt)
            let verdict = try DKIMFixtures.checkARC(message, Facts([(question, DNSAnswer(status: status))]))
            #expect(verdict.status == .fail)
            #expect(verdict.isTemporary == temporary)
        }
    }

    // RFC 8601 §2.2
    @Test func ownResultsAreCarriedOver() {
        let header = HeaderIndex(
            DKIMFixtures.wire([
                "Authentication-Results: mx.example; arc=pass (a; b)", "Authentication-Results: other; spf=fail",
                "Authentication-Results: MX.example 1;", "  dkim=pass\theader.d=\"x;y\" ;", " spf=none", "", "",
            ]))
        let merged = AuthenticationResultsText.merged(header, id: Array("mx.example".utf8))
        #expect(merged?.escapedText == "arc=pass (a; b); dkim=pass header.d=\"x;y\"; spf=none")
        #expect(merged.flatMap { AuthenticationResultsText.arcStatus($0) } == .pass)
        #expect(AuthenticationResultsText.merged(header, id: Array("mx".utf8)) == nil)
    }
}
