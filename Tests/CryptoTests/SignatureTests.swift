import Base
import Crypto
import Testing

@Suite struct SignatureTests {
    private let digest = Digest.sha256(Array("abc".utf8))

    @Test(arguments: [KeyKind.rsa, .ed25519])
    func whatIsSignedVerifies(kind: KeyKind) throws {
        let key = try PrivateKey(generate: kind)
        #expect(key.bits == (kind == .rsa ? 2_048 : 256))
        let bytes = try key.publicBytes()
        var signature = try key.sign(digest: digest)
        let other = Digest.sha256([])
        #expect(verify(kind, bytes, signature, digest) == true)
        #expect(verify(kind, bytes, signature, other) == false)
        signature[5] ^= 1
        #expect(verify(kind, bytes, signature, digest) == false)
        #expect(verify(kind, bytes, [], digest) == false)
    }

    /// nil: the key cannot be parsed.
    private func verify(_ kind: KeyKind, _ key: [UInt8], _ signature: [UInt8], _ digest: [UInt8]) -> Bool? {
        switch kind {
        case .rsa:
            guard let key = PublicKey(rsa: key) else { return nil }
            return key.verifies(signature, digest: digest)
        case .ed25519:
            guard let key = PublicKey(ed25519: key) else { return nil }
            return key.verifies(signature, digest: digest)
        }
    }

    @Test(arguments: [KeyKind.rsa, .ed25519])
    func pemComesBack(kind: KeyKind) throws {
        let key = try PrivateKey(generate: kind)
        let again = try PrivateKey(text: key.pem())
        #expect(again.kind == kind)
        #expect(try again.publicBytes() == key.publicBytes())
    }

    // RFC 6376 §3.6.1 names RSAPublicKey; everybody publishes SubjectPublicKeyInfo around it. Both are taken.
    @Test func bothFormsOfAnRSAKeyAreTaken() throws {
        let key = try PrivateKey(generate: .rsa)
        let info = try key.publicBytes()
        let signature = try key.sign(digest: digest)
        let bare = Array(info.dropFirst(24))
        #expect(verify(.rsa, bare, signature, digest) == true)
        #expect(verify(.rsa, info + [0], signature, digest) == nil)
        #expect(verify(.rsa, bare + [0], signature, digest) == nil)
        #expect(verify(.rsa, Array(info.dropLast()), signature, digest) == nil)
        #expect(verify(.rsa, [], signature, digest) == nil)
    }

    // RFC 8463 §A.2
    @Test func ed25519KeyOfTheStandard() throws {
        let key = try PrivateKey(text: Secret(Array("nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=\n".utf8)))
        #expect(
            try key.recordText()
                == Array("v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=".utf8))
        #expect(verify(.ed25519, [UInt8](repeating: 1, count: 31), [], digest) == nil)
    }

    @Test(arguments: [
        "", "rubbish", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        // An EC key cannot sign mail.
        """
        -----BEGIN EC PRIVATE KEY-----
        MHcCAQEEIOLrJD3NQxsF7ZBYRxHnaZBFoVdHkDjJ2Xhd5ZtnxGJdoAoGCCqGSM49
        -----END EC PRIVATE KEY-----
        """,
    ])
    func whatIsNoKeyIsRefused(text: String) {
        #expect(throws: KeyError.unreadable) { try PrivateKey(text: Secret(Array(text.utf8))) }
    }

    @Test func shortKeysAreNotMade() {
        #expect(throws: KeyError.failed) { try PrivateKey(generate: .rsa, bits: 768) }
        #expect(throws: KeyError.failed) { try PrivateKey(generate: .rsa, bits: 100_000) }
    }
}
