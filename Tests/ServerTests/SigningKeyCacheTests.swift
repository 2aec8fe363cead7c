import Base
import Crypto
import MailAuth
import Policy
import Testing

@testable import Server

@Suite struct SigningKeyCacheTests {
    private func key(_ id: Int64, _ pem: Secret) -> SigningKey {
        SigningKey(
            id: SigningKeyID(rawValue: id), domain: Array("example.org".utf8), selector: Array("s\(id)".utf8),
            algorithm: .ed25519, privateKey: pem)
    }

    @Test func eachKeyIsReadOnceAndAnUnreadableOneLeftOut() throws {
        let cache = SigningKeyCache()
        let good = key(1, try PrivateKey(generate: .ed25519).pem())
        let bad = key(2, Secret(Array("rubbish".utf8)))
        let first = cache.parsed([good, bad])
        #expect(first.map(\.selector) == [good.selector] && first.map(\.domain) == [good.domain])
        // The same id is not read again, whatever its octets.
        let second = cache.parsed([bad, key(1, Secret([])), good])
        #expect(second.count == 2 && second.allSatisfy { $0.key === first[0].key })
        #expect(cache.parsed([]).isEmpty)
    }
}
