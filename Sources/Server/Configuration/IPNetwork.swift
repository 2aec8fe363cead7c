import CEpoll

/// A numeric address and a port, `192.0.2.1:25` or `[2001:db8::1]:25`. Port 0 lets the kernel choose (tests).
package struct ListenAddress: Sendable, Hashable, CustomStringConvertible {
    /// Without brackets.
    package var host: String
    package var port: UInt16

    package init(host: String, port: UInt16) {
        self.host = host
        self.port = port
    }

    package init?(_ text: String) {
        guard let colon = text.lastIndex(of: ":") else { return nil }
        let digits = text[text.index(after: colon)...].utf8
        guard (1...5).contains(digits.count), digits.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }),
            let port = UInt16(text[text.index(after: colon)...])
        else { return nil }
        var host = text[..<colon]
        let bracketed = host.hasPrefix("[") && host.hasSuffix("]")
        if bracketed { host = host.dropFirst().dropLast() }
        guard let bytes = IPNetwork.addressBytes(String(host)), (bytes.count == 16) == bracketed else { return nil }
        self.init(host: String(host), port: port)
    }

    package var isIPv6: Bool { host.utf8.contains(0x3A) }
    package var description: String { isIPv6 ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

/// An address block: `192.0.2.0/24`, `2001:db8::/32`, or one address.
package struct IPNetwork: Sendable, Hashable, CustomStringConvertible {
    /// 4 or 16 bytes, the bits after the prefix cleared.
    package let bytes: [UInt8]
    package let prefixLength: Int
    package let description: String

    /// nil: no such block, or bits set after the prefix.
    package init?(_ text: String) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = parts.first, let bytes = Self.addressBytes(String(first)) else { return nil }
        var length = bytes.count * 8
        if parts.count == 2 {
            guard parts[1].utf8.count <= 3, parts[1].utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }),
                let n = Int(parts[1]), n <= length
            else { return nil }
            length = n
        }
        self.bytes = bytes
        prefixLength = length
        description = text
        for i in 0..<bytes.count where bytes[i] & ~Self.mask(i, length) != 0 { return nil }
    }

    /// Whether the 4- or 16-byte address is inside. An IPv4-mapped IPv6 address counts as its IPv4 one.
    package func contains(_ address: [UInt8]) -> Bool {
        let address = Self.unmapped(address)
        guard address.count == bytes.count else { return false }
        for i in 0..<bytes.count where address[i] & Self.mask(i, prefixLength) != bytes[i] { return false }
        return true
    }

    private static func mask(_ index: Int, _ length: Int) -> UInt8 {
        let bits = min(8, max(0, length - index * 8))
        return bits == 0 ? 0 : ~UInt8(0) << UInt8(8 - bits)
    }

    private static func unmapped(_ address: [UInt8]) -> [UInt8] {
        let prefix: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF]
        return address.count == 16 && Array(address[..<12]) == prefix ? Array(address[12...]) : address
    }

    /// The 4 or 16 bytes of a numeric address, or nil.
    package static func addressBytes(_ text: String) -> [UInt8]? {
        guard text.utf8.count <= 45, !text.utf8.contains(0) else { return nil }
        var bytes = [UInt8](repeating: 0, count: 16)
        if inet_pton(AF_INET, text, &bytes) == 1 { return Array(bytes[..<4]) }
        return inet_pton(AF_INET6, text, &bytes) == 1 ? bytes : nil
    }
}
