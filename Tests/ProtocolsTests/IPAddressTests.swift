import Protocols
import Testing

@Suite struct IPAddressTests {
    @Test(arguments: [
        ("192.0.2.1", "192.0.2.1"), ("0.0.0.0", "0.0.0.0"), ("2001:DB8::1", "2001:db8::1"), ("::", "::"),
        ("::1", "::1"),
        ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"), ("1:0:3:4:5:6:7:8", "1:0:3:4:5:6:7:8"), ("1::", "1::"),
        ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"), ("::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"),
        ("64:ff9b::192.0.2.1", "64:ff9b::c000:201"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
    ])
    func textForms(_ given: String, _ want: String) { #expect(IPAddress(given)?.description == want) }

    @Test(arguments: [
        "", "1.2.3", "1.2.3.4.5", "1.2.3.256", "1.2.3.04", "1.2.3.", "1.2.3.4 ", ":", ":::", "1::2::3", "1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:8::", "::1:2:3:4:5:6:7:8", "12345::", "1:", ":1", "g::", "::1.2.3",
        "::1.2.3.4:5",
        "1:2:3:4:5:6:7:1.2.3.4", "fe80::1%eth0",
    ])
    func whatIsNoAddress(_ text: String) { #expect(IPAddress(text) == nil) }

    // RFC 1035 §3.5, RFC 3596 §2.5
    @Test func reverseNames() {
        #expect(IPAddress("192.0.2.10")?.reverseName == DNSName("10.2.0.192.in-addr.arpa"))
        #expect(
            IPAddress("2001:db8::cb01")?.reverseName
                == DNSName("1.0.b.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"))
    }

    @Test(arguments: [(32, false), (31, true), (25, true), (24, true), (0, true), (99, false), (-1, true)])
    func prefixes(_ bits: Int, _ want: Bool) {
        #expect(IPAddress(v4: 192, 0, 2, 1).matches(IPAddress(v4: 192, 0, 2, 0), prefix: bits) == want)
    }

    @Test func familiesNeverMatch() {
        #expect(IPAddress("::1")?.matches(IPAddress(v4: 0, 0, 0, 1), prefix: 0) == false)
    }
}
