import Base
import Crypto
import Testing

@Suite struct DigestTests {
    @Test(arguments: [
        (Digest.Algorithm.sha1, "a9993e364706816aba3e25717850c26c9cd0d89d"),
        (.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            .sha512,
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
        ),
    ])
    func abc(_ algorithm: Digest.Algorithm, _ expected: String) {
        #expect(Hex.encode(Digest.hash(Array("abc".utf8), algorithm)) == expected)
        var running = RunningDigest(algorithm)
        running.update(Array("a".utf8))
        running.update([])
        running.update(Array("bc".utf8).span)
        #expect(Hex.encode(running.finish()) == expected)
    }

    // RFC 4231 §4.3, RFC 2202 §3 case 2
    @Test(arguments: [
        (Digest.Algorithm.sha1, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
        (.sha256, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
    ])
    func hmac(_ algorithm: Digest.Algorithm, _ expected: String) {
        let code = Digest.hmac(Array("what do ya want for nothing?".utf8), key: Array("Jefe".utf8), algorithm)
        #expect(Hex.encode(code) == expected)
    }

    @Test func hmacWithEmptyKeyAndText() {
        #expect(
            Hex.encode(Digest.hmac([], key: [], .sha256))
                == "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad")
    }

    // RFC 7914 §11
    @Test func pbkdf2() {
        let key = Digest.pbkdf2(Array("passwd".utf8), salt: Array("salt".utf8), iterations: 1, byteCount: 64, .sha256)
        #expect(key.map { Hex.encode(Array($0[..<8])) } == "55ac046e56e3089f")
        #expect(Digest.pbkdf2([], salt: [], iterations: 0, byteCount: 32, .sha256) == nil)
    }

    @Test func constantTimeComparison() {
        #expect(Digest.equalInConstantTime([1, 2], [1, 2]))
        #expect(!Digest.equalInConstantTime([1, 2], [1, 3]))
        #expect(!Digest.equalInConstantTime([1, 2], [1, 2, 0]))
    }
}
