import Protocols
import Testing

@Suite struct HELOFindingTests {
    @Test(arguments: [
        ("mail.example.org", "good"), ("mail.example.org.", "good"), ("a_b.example", "good"),
        ("xn--bcher-kva.example", "good"), ("bücher.example", "good"), ("[192.0.2.7]", "good"),
        ("[IPv6:2001:db8::7]", "other_address"), ("[192.0.2.8]", "other_address"), ("[192.0.2.1]", "ours"),
        ("MX.Example.com", "ours"), ("mx.example.com.", "ours"), ("192.0.2.7", "bare_address"),
        ("2001:db8::7", "bare_address"), ("localhost", "no_domain"), ("localhost.localdomain", "no_domain"),
        ("desktop-1234", "no_domain"), ("", "malformed"), (".", "malformed"), ("a..b", "malformed"),
        ("[not an address]", "malformed"), ("[]", "malformed"), ("[", "malformed"), ("1.2.3", "malformed"),
        ("mail example.org", "malformed"), ("mail/example.org", "malformed"), ("10.0.0.256", "malformed"),
    ])
    func findings(_ name: String, _ want: String) {
        let finding = HELOFinding(
            Array(name.utf8), client: IPAddress(v4: 192, 0, 2, 7), ownNames: [Array("mx.example.com".utf8)],
            ownAddress: IPAddress(v4: 192, 0, 2, 1))
        #expect(finding.rawValue == want)
        #expect(finding.counts == (want != "good"))
    }

    @Test func theLiteralOfAnIPv6Client() {
        let client = IPAddress("2001:db8::7")
        #expect(HELOFinding(Array("[IPV6:2001:DB8::7]".utf8), client: client, ownNames: []) == .good)
        // Without its tag, as some send it.
        #expect(HELOFinding(Array("[2001:db8::7]".utf8), client: client, ownNames: []) == .good)
    }

    @Test func aClientWithoutAddress() {
        #expect(HELOFinding(Array("[192.0.2.7]".utf8), client: nil, ownNames: []) == .otherAddress)
        #expect(HELOFinding(Array("mail.example".utf8), client: nil, ownNames: []) == .good)
    }
}
