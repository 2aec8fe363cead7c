import Base
import Crypto
import Testing

@Suite struct SCRAMTests {
    // RFC 7677 §3
    static let first = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
    static let serverNonce = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    static let serverFirst =
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    static let second =
        "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="

    func credentials(_ password: String = "pencil") throws -> SCRAMCredentials {
        let encoded = Array("W22ZaJ0SNY7soEsUEjb6gQ==".utf8)
        let decoded = Base64.decode(encoded.span)
        let salt = try #require(decoded)
        return try #require(SCRAMCredentials.derive(Secret(Array(password.utf8)), salt: salt, iterations: 4096))
    }

    func exchange(_ password: String = "pencil") throws -> SCRAM.Exchange {
        let client = try SCRAM.clientFirst(Array(Self.first.utf8))
        #expect(client.user == Array("user".utf8))
        return SCRAM.begin(client, try credentials(password), nonce: Array(Self.serverNonce.utf8))
    }

    @Test func exampleOfTheRFC() throws {
        let exchange = try exchange()
        #expect(exchange.serverFirst == Array(Self.serverFirst.utf8))
        let last = try SCRAM.finish(exchange, Array(Self.second.utf8))
        #expect(last == Array("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=".utf8))
    }

    @Test func wrongPassword() throws {
        let exchange = try exchange("pencil2")
        #expect(throws: SCRAM.Failure.wrongProof) { try SCRAM.finish(exchange, Array(Self.second.utf8)) }
    }

    @Test(arguments: [
        "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k1,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        "c=eSws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0", "c=biws,p=", "", ",,,",
        "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=AAAA",
    ])
    func badSecondMessages(_ message: String) throws {
        let exchange = try exchange()
        #expect(throws: SCRAM.Failure.malformed) { try SCRAM.finish(exchange, Array(message.utf8)) }
    }

    @Test(arguments: [
        ("n,,n=user,r=", SCRAM.Failure.malformed), ("n,,n=,r=abc", .malformed), ("n,n=user,r=abc", .malformed),
        ("x,,n=user,r=abc", .malformed), ("p=tls-unique,,n=user,r=abc", .unsupported),
        ("n,,m=ext,n=user,r=abc", .unsupported), ("n,,n=a=2,r=abc", .malformed), ("n,,n=a=2D,r=abc", .malformed),
        ("n,,n=us\0er,r=abc", .malformed), ("n,,n=user,r=a bc", .malformed), ("", .malformed),
        (String(repeating: "a", count: 5_000), .malformed),
    ])
    func badFirstMessages(_ message: String, _ failure: SCRAM.Failure) {
        #expect(throws: failure) { try SCRAM.clientFirst(Array(message.utf8)) }
    }

    @Test func namesAreUnescaped() throws {
        let client = try SCRAM.clientFirst(Array("y,a=b=3Dc,n=x=2Cy,r=abc".utf8))
        #expect(client.user == Array("x,y".utf8))
        #expect(client.authorization == Array("b=c".utf8))
    }

    @Test func decoyIsStable() {
        let a = SCRAMCredentials.decoy(user: Array("a".utf8), serverSecret: [1, 2, 3])
        #expect(a == SCRAMCredentials.decoy(user: Array("a".utf8), serverSecret: [1, 2, 3]))
        #expect(a.salt != SCRAMCredentials.decoy(user: Array("b".utf8), serverSecret: [1, 2, 3]).salt)
    }
}
