package import Protocols

extension IPAddress {
    /// Prefixes that no public server has (the IANA special-purpose registries, RFC 6890).
    private static let special4: [(UInt8, UInt8, UInt8, UInt8, Int)] = [
        (0, 0, 0, 0, 8), (10, 0, 0, 0, 8), (100, 64, 0, 0, 10), (127, 0, 0, 0, 8), (169, 254, 0, 0, 16),
        (172, 16, 0, 0, 12), (192, 0, 0, 0, 24), (192, 0, 2, 0, 24), (192, 88, 99, 0, 24), (192, 168, 0, 0, 16),
        (198, 18, 0, 0, 15), (198, 51, 100, 0, 24), (203, 0, 113, 0, 24), (224, 0, 0, 0, 3),
    ]

    /// Within 2000::/3 alone: 2001::/23 (Teredo and other protocols), documentation, 6to4, which hides an IPv4 address.
    private static let special6: [(String, Int)] = [
        ("2001::", 23), ("2001:db8::", 32), ("2002::", 16), ("3fff::", 20),
    ]

    /// Whether a stranger's name may lead us there: not to this machine, its network or a place that is nowhere.
    package var isGlobal: Bool {
        if isIPv4 {
            return !Self.special4.contains { matches(IPAddress(v4: $0.0, $0.1, $0.2, $0.3), prefix: $0.4) }
        }
        guard bytes[0] & 0xE0 == 0x20 else { return false }
        return !Self.special6.contains { text, bits in
            IPAddress(text).map { matches($0, prefix: bits) } ?? true
        }
    }
}
