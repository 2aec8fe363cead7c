import Base
package import Protocols

/// A block of addresses: `192.0.2.0/24`, `2001:db8::/32`, or one address. Pure; what rules and exceptions name clients by.
package struct AddressBlock: Sendable, Hashable, CustomStringConvertible {
    /// The bits after the prefix are zero.
    package let address: IPAddress
    package let prefix: Int

    /// Bits of `address` after `prefix` are cleared; a longer prefix than the address has means all of it.
    package init(_ address: IPAddress, prefix: Int) {
        var bytes = address.bytes
        let length = min(max(prefix, 0), bytes.count * 8)
        for i in bytes.indices {
            let kept = min(8, max(0, length - i * 8))
            bytes[i] &= kept == 0 ? 0 : ~UInt8(0) << UInt8(8 - kept)
        }
        self.address = IPAddress(bytes: bytes) ?? address
        self.prefix = length
    }

    /// nil: no address, a bad prefix, or bits set after it.
    package init?(_ text: String) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = parts.first, let address = IPAddress(String(first)) else { return nil }
        var length = address.bytes.count * 8
        if parts.count == 2 {
            guard (1...3).contains(parts[1].utf8.count), let n = Decimal.parse(Array(parts[1].utf8).span), n <= length
            else { return nil }
            length = Int(n)
        }
        self.init(address, prefix: length)
        guard self.address == address else { return nil }
    }

    /// What a client is counted with: its /24, or its /64 of IPv6.
    package init(networkOf address: IPAddress) { self.init(address, prefix: address.isIPv4 ? 24 : 64) }

    package func contains(_ other: IPAddress) -> Bool { other.matches(address, prefix: prefix) }

    package var description: String {
        prefix == address.bytes.count * 8 ? "\(address)" : "\(address)/\(prefix)"
    }
}
