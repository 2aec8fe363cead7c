import Protocols
import Testing

@Suite struct ProxyHeaderTests {
    static let signature: [UInt8] = [0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A]

    static func v2(_ command: UInt8, _ family: UInt8, _ rest: [UInt8], length: Int? = nil) -> [UInt8] {
        let n = length ?? rest.count
        return signature + [command, family, UInt8(truncatingIfNeeded: n >> 8), UInt8(truncatingIfNeeded: n)] + rest
    }

    static let ipv4: [UInt8] = [192, 0, 2, 1, 198, 51, 100, 2, 0xC3, 0x50, 0, 25]
    static let ipv6: [UInt8] =
        [0x20, 0x01, 0x0D, 0xB8] + [UInt8](repeating: 0, count: 11) + [7]
        + [0x20, 0x01, 0x0D, 0xB8] + [UInt8](repeating: 0, count: 11) + [9] + [0xC3, 0x50, 0, 25]

    private func header(_ bytes: [UInt8]) -> ProxyHeader? {
        guard case .done(let header, octets: bytes.count) = ProxyHeader.read((bytes + [0x45]).span) else { return nil }
        return header
    }

    private func fault(_ bytes: [UInt8]) -> ProxyHeader.Fault? {
        guard case .invalid(let fault) = ProxyHeader.read(bytes.span) else { return nil }
        return fault
    }

    static let good: [([UInt8], ProxyHeader.Origin)] = [
        (
            Array("PROXY TCP4 192.0.2.1 198.51.100.2 50000 25\r\n".utf8),
            .client(IPAddress(v4: 192, 0, 2, 1), port: 50_000)
        ),
        (Array("PROXY TCP4 192.0.2.1 198.51.100.2 0 65535\r\n".utf8), .client(IPAddress(v4: 192, 0, 2, 1), port: 0)),
        (
            Array("PROXY TCP6 2001:db8::7 2001:db8::9 50000 25\r\n".utf8),
            .client(IPAddress("2001:db8::7")!, port: 50_000)
        ),
        (Array("PROXY TCP6 ::ffff:192.0.2.1 ::1 1 25\r\n".utf8), .client(IPAddress(v4: 192, 0, 2, 1), port: 1)),
        (Array("PROXY UNKNOWN\r\n".utf8), .proxy),
        (Array("PROXY UNKNOWN ffff:f...f:ffff whatever 65535 65535\r\n".utf8), .proxy),
        (v2(0x21, 0x11, ipv4), .client(IPAddress(v4: 192, 0, 2, 1), port: 50_000)),
        (v2(0x21, 0x21, ipv6), .client(IPAddress("2001:db8::7")!, port: 50_000)),
        (v2(0x21, 0x31, [UInt8](repeating: 0x2F, count: 216)), .local),
        (v2(0x21, 0x00, []), .proxy),
        (v2(0x20, 0x00, []), .proxy),
        (v2(0x20, 0x11, [1, 2, 3]), .proxy),
        (v2(0x21, 0x11, ipv4 + [0x04, 0, 2, 9, 9, 0x20, 0, 0]), .client(IPAddress(v4: 192, 0, 2, 1), port: 50_000)),
        (
            v2(0x21, 0x11, ipv4 + [0xE0, 0x01, 0xF9] + [UInt8](repeating: 1, count: 505)),
            .client(IPAddress(v4: 192, 0, 2, 1), port: 50_000)
        ),
    ]

    @Test(arguments: good.indices) func readsWhatProxiesSend(_ index: Int) {
        let (bytes, origin) = Self.good[index]
        #expect(header(bytes)?.origin == origin)
    }

    /// Octet by octet it asks for more until the last one, whatever follows.
    @Test(arguments: good.indices) func everyPrefixWantsMore(_ index: Int) {
        let (bytes, _) = Self.good[index]
        for n in 0..<bytes.count { #expect(ProxyHeader.read(Array(bytes[..<n]).span) == .needMore, "\(n)") }
    }

    @Test func tellsTheDestination() throws {
        let found = try #require(header(Self.v2(0x21, 0x11, Self.ipv4)))
        #expect(found.version == 2)
        #expect(found.destination == IPAddress(v4: 198, 51, 100, 2))
        #expect(found.destinationPort == 25)
        #expect(header(Array("PROXY UNKNOWN\r\n".utf8))?.version == 1)
    }

    @Test(arguments: [
        ("EHLO mail.example\r\n", "noHeader"), ("proxy TCP4 ", "noHeader"), ("PROXYTCP4", "noHeader"),
        ("PROXY \r\n", "unsupported"), ("PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n", "unsupported"),
        ("PROXY tcp4 1.2.3.4 1.2.3.4 1 2\r\n", "unsupported"), ("PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n", "unsupported"),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n", "malformed"), ("PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n", "malformed"),
        ("PROXY TCP4 1.2.3.4  1.2.3.4 1 2\r\n", "malformed"), ("PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n", "malformed"),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n", "malformed"), ("PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n", "malformed"),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 1 \r\n", "malformed"), ("PROXY TCP4 1.2.3.256 1.2.3.4 1 2\r\n", "malformed"),
        ("PROXY TCP4 ::1 ::1 1 2\r\n", "malformed"), ("PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n", "malformed"),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n", "malformed"), ("PROXY UNKNOWN\n", "malformed"),
        ("PROXY UNKNOWN " + String(repeating: "x", count: 120), "tooLong"),
        ("PROXY UNKNOWN " + String(repeating: "x", count: 92) + "\r\n", "tooLong"),
    ])
    func refusesOtherText(_ text: String, _ want: String) {
        #expect(fault(Array(text.utf8)).map { "\($0)" } == want)
    }

    @Test func theLongestLineIsTaken() {
        #expect(header(Array(("PROXY UNKNOWN " + String(repeating: "x", count: 91) + "\r\n").utf8)) != nil)
    }

    static let bad: [([UInt8], ProxyHeader.Fault)] = [
        (signature + [0x11, 0x11, 0, 12] + ipv4, .unsupported),
        (v2(0x22, 0x11, ipv4), .unsupported), (v2(0x21, 0x12, ipv4), .unsupported),
        (v2(0x21, 0x22, ipv6), .unsupported), (v2(0x21, 0x10, ipv4), .unsupported),
        (v2(0x21, 0x41, ipv4), .unsupported), (v2(0x21, 0x01, []), .unsupported),
        (v2(0x21, 0x11, Array(ipv4.dropLast())), .malformed), (v2(0x21, 0x21, ipv4), .malformed),
        (v2(0x21, 0x31, [UInt8](repeating: 0, count: 215)), .malformed),
        (v2(0x21, 0x11, ipv4 + [0x04]), .malformed), (v2(0x21, 0x11, ipv4 + [0x04, 0, 1]), .malformed),
        (v2(0x21, 0x11, ipv4 + [0x04, 0xFF, 0xFF, 0]), .malformed),
        (v2(0x21, 0x11, ipv4 + [0x03, 0, 3, 1, 2, 3]), .malformed),
        (v2(0x21, 0x11, ipv4 + [0x03, 0, 4, 1, 2, 3, 4]), .checksum),
        (v2(0x21, 0x11, [], length: 521), .tooLong), (v2(0x20, 0x00, [], length: 65_535), .tooLong),
    ]

    @Test(arguments: bad.indices) func refusesOtherBinary(_ index: Int) {
        let (bytes, want) = Self.bad[index]
        #expect(fault(bytes) == want)
    }

    /// A checksum made by hand: the standard's check value says that the polynomial is the right one.
    @Test func theChecksumIsVerified() throws {
        #expect(Self.crc32c(Array("123456789".utf8)) == 0xE306_9283)
        var bytes = Self.v2(0x21, 0x11, Self.ipv4 + [0x03, 0, 4, 0, 0, 0, 0, 0x04, 0, 1, 5])
        let crc = Self.crc32c(bytes)
        for i in 0..<4 { bytes[31 + i] = UInt8(truncatingIfNeeded: crc >> (24 - 8 * UInt32(i))) }
        #expect(header(bytes)?.origin == .client(IPAddress(v4: 192, 0, 2, 1), port: 50_000))
        // Octet 28 says that it is a checksum.
        for i in bytes.indices.dropFirst(16) where i != 28 {
            var changed = bytes
            changed[i] ^= 0x40
            #expect(header(changed) == nil, "octet \(i)")
        }
    }

    private static func crc32c(_ bytes: [UInt8]) -> UInt32 {
        var table = [UInt32](repeating: 0, count: 256)
        for i in 0..<256 {
            var c = UInt32(i)
            for _ in 0..<8 { c = c & 1 == 1 ? 0x82F6_3B78 ^ (c >> 1) : c >> 1 }
            table[i] = c
        }
        return ~bytes.reduce(~UInt32(0)) { table[Int(UInt8(truncatingIfNeeded: $0) ^ $1)] ^ ($0 >> 8) }
    }
}
