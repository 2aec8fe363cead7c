import Base
import Crypto
import MailAuth
import Protocols
import Testing

@Suite struct SubmissionSignerTests {
    private static let message = Array(
        "From: a@example.org\r\nTo: b@other.example\r\nSubject: x\r\nDate: today\r\n\r\nhello \r\n\r\n".utf8)

    private func keys() throws -> ([DomainKey], Facts) {
        var keys: [DomainKey] = []
        var facts = Facts()
        for (selector, kind) in [("r", KeyKind.rsa), ("e", .ed25519)] {
            let key = try PrivateKey(generate: kind)
            let (question, answer) = DKIMFixtures.txt("\(selector)._domainkey.example.org", try key.recordText())
            facts.learn(question, answer)
            keys.append(DomainKey(domain: Array("example.org".utf8), selector: Array(selector.utf8), key: key))
        }
        return (keys, facts)
    }

    @Test func everyKeySignsAndEverySignatureVerifies() throws {
        let (keys, facts) = try keys()
        let fields = SubmissionSigner.fields(message: Self.message, keys: keys, now: 1_700_000_000)
        let verdict = try DKIMFixtures.check(fields + Self.message, facts)
        #expect(verdict.summaries.map(\.result) == [.pass, .pass])
        #expect(
            verdict.summaries.map { String(decoding: $0.algorithm, as: UTF8.self) } == ["rsa-sha256", "ed25519-sha256"])
        for line in fields.split(separator: 0x0A) { #expect(line.count <= 79) }
    }

    /// RFC 6376 §8.15: a second field of a name that decides what is shown breaks the signature.
    @Test(arguments: ["From", "To", "Cc", "Subject", "Date", "Reply-To", "Content-Type"])
    func nobodyCanAdd(_ name: String) throws {
        let (keys, facts) = try keys()
        let fields = SubmissionSigner.fields(message: Self.message, keys: keys, now: 1_700_000_000)
        for added in [
            Array("\(name): evil\r\n".utf8) + fields + Self.message,
            fields + Array("\(name): evil\r\n".utf8) + Self.message,
        ] {
            #expect(try DKIMFixtures.check(added, facts).summaries.map(\.result) == [.fail, .fail])
        }
    }

    @Test func bothFormsOfBothPartsAreToBeHad() throws {
        let (keys, facts) = try keys()
        for header in Canonicalization.allCases {
            for body in Canonicalization.allCases {
                var signer = DKIMSigner(domain: keys[0].domain, selector: keys[0].selector, key: keys[0].key)
                signer.header = header
                signer.body = body
                let index = HeaderIndex(Self.message)
                let hasher = BodyHasher(signer.bodyKey)
                hasher.feed(Self.message.span.extracting(index.bodyStart..<Self.message.count))
                let field = try signer.sign(index, bodyHash: try #require(hasher.finish()), now: 1_700_000_000)
                let text = String(decoding: field, as: UTF8.self)
                #expect(text.contains("c=\(header.name)/\(body.name);"))
                #expect(try DKIMFixtures.check(field + Self.message, facts).summaries.map(\.result) == [.pass])
            }
        }
    }

    /// behaviour of a signer: what is signed, and what once more.
    @Test func theListOfFields() {
        let names = Set(DKIMSigner.defaultNames.map { String(decoding: $0, as: UTF8.self) })
        #expect(
            names.isSuperset(of: [
                "from", "to", "cc", "subject", "date", "message-id", "reply-to", "in-reply-to", "references",
                "mime-version", "content-type", "content-transfer-encoding", "list-id", "list-unsubscribe",
                "list-unsubscribe-post", "list-help", "list-post", "list-archive",
            ]))
        #expect(
            Set(DKIMSigner.defaultOverSignedNames.map { String(decoding: $0, as: UTF8.self) })
                .isSuperset(of: ["from", "to", "subject", "date", "reply-to", "content-type"]))
    }

    @Test func withoutKeysNothing() {
        #expect(SubmissionSigner.fields(message: Self.message, keys: [], now: 1).isEmpty)
    }
}
