import Base

/// An IPv4 or IPv6 address. An IPv4-mapped IPv6 address becomes the IPv4 one: a peer is judged by the address it used
/// (RFC 7208 §5: "treated as IPv4").
package struct IPAddress: Sendable, Hashable {
    /// 4 or 16 bytes.
    package let bytes: [UInt8]

    /// nil: neither 4 nor 16 bytes.
    package init?(bytes: [UInt8]) {
        guard bytes.count == 4 || bytes.count == 16 else { return nil }
        if bytes.count == 16, bytes[..<10].allSatisfy({ $0 == 0 }), bytes[10] == 0xFF, bytes[11] == 0xFF {
            self.bytes = Array(bytes[12...])
        } else {
            self.bytes = bytes
        }
    }

    package init(v4 a: UInt8, _ b: UInt8, _ c: UInt8, _ d: UInt8) { bytes = [a, b, c, d] }

    /// Exactly the bytes of an A or AAAA record: a mapped address in AAAA data stays IPv6.
    init(record bytes: [UInt8]) { self.bytes = bytes }

    package var isIPv4: Bool { bytes.count == 4 }

    /// Numeric text of either family, no brackets, no zone. nil: not an address.
    package init?(_ text: String) {
        guard let bytes = Self.parse(Array(text.utf8)) else { return nil }
        self.init(bytes: bytes)
    }

    /// The 4 or 16 bytes that numeric text stands for, an IPv4-mapped address as 16.
    package static func parse(_ text: [UInt8]) -> [UInt8]? {
        text.contains(ASCII.colon) ? parseIPv6(text) : parseIPv4(text[...])
    }

    /// Four decimal octets without leading zeros (RFC 7208 §5.6 refers to dotted quads; 010 would be ambiguous).
    package static func parseIPv4(_ text: ArraySlice<UInt8>) -> [UInt8]? {
        let parts = text.split(separator: ASCII.dot, maxSplits: 4, omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var out: [UInt8] = []
        for part in parts {
            guard let first = part.first, part.count <= 3, part.count == 1 || first != 0x30 else { return nil }
            var value = 0
            for c in part {
                guard ASCII.isDigit(c) else { return nil }
                value = value * 10 + Int(c - 0x30)
            }
            guard value <= 255 else { return nil }
            out.append(UInt8(truncatingIfNeeded: value))
        }
        return out
    }

    /// RFC 4291 §2.2, all three forms; `::` may stand for one group or more.
    package static func parseIPv6(_ text: [UInt8]) -> [UInt8]? {
        guard text.count >= 2, text.count <= 45 else { return nil }
        var out: [UInt8] = []
        var gap: Int?
        var i = 0
        if text[0] == ASCII.colon {
            guard text[1] == ASCII.colon else { return nil }
            gap = 0
            i = 2
        }
        var needsGroup = gap == nil
        while i < text.count {
            let rest = text[i...]
            let group = rest.prefix { $0 != ASCII.colon }
            if group.contains(ASCII.dot) {
                guard group.endIndex == text.count, out.count <= 12, let tail = parseIPv4(group) else { return nil }
                out += tail
                needsGroup = false
                break
            }
            guard (1...4).contains(group.count), out.count < 16 else { return nil }
            var value: UInt16 = 0
            for c in group {
                guard let digit = Hex.value(c) else { return nil }
                value = value << 4 | UInt16(digit)
            }
            out.append(UInt8(truncatingIfNeeded: value >> 8))
            out.append(UInt8(truncatingIfNeeded: value))
            i = group.endIndex
            needsGroup = false
            guard i < text.count else { break }
            i += 1
            if i < text.count, text[i] == ASCII.colon {
                guard gap == nil else { return nil }
                gap = out.count
                i += 1
            } else {
                needsGroup = true
            }
        }
        guard !needsGroup else { return nil }
        guard let gap else { return out.count == 16 ? out : nil }
        guard out.count <= 14 else { return nil }
        return Array(out[..<gap]) + [UInt8](repeating: 0, count: 16 - out.count) + Array(out[gap...])
    }

    /// `2.0.0.127.in-addr.arpa`, or the nibbles under `ip6.arpa` (RFC 1035 §3.5, RFC 3596 §2.5).
    package var reverseName: DNSName { reverseName(below: isIPv4 ? "in-addr.arpa" : "ip6.arpa") }

    private func reverseName(below zone: String) -> DNSName {
        var labels: [[UInt8]] = []
        for byte in bytes.reversed() {
            if isIPv4 {
                var label: [UInt8] = []
                label.append(decimal: byte)
                labels.append(label)
            } else {
                labels.append(Array(Hex.encode(byte: byte & 15).utf8.suffix(1)))
                labels.append(Array(Hex.encode(byte: byte >> 4).utf8.suffix(1)))
            }
        }
        labels += zone.split(separator: ".").map { Array($0.utf8) }
        return DNSName(labels: labels) ?? .root
    }

    /// Whether the first `bits` bits are those of `network`, same family. Bits beyond the address count as all of it.
    package func matches(_ network: IPAddress, prefix bits: Int) -> Bool {
        guard bytes.count == network.bytes.count else { return false }
        var left = min(max(bits, 0), bytes.count * 8)
        for i in 0..<bytes.count where left > 0 {
            let mask: UInt8 = left >= 8 ? 0xFF : ~(0xFF >> UInt8(truncatingIfNeeded: left))
            if bytes[i] & mask != network.bytes[i] & mask { return false }
            left -= 8
        }
        return true
    }
}

extension IPAddress: CustomStringConvertible {
    /// Dotted quad, or the recommended IPv6 form (RFC 5952 §4).
    package var description: String {
        if isIPv4 { return bytes.map { String($0) }.joined(separator: ".") }
        let groups = stride(from: 0, to: 16, by: 2).map { UInt16(bytes[$0]) << 8 | UInt16(bytes[$0 + 1]) }
        guard let gap = Self.longestZeroRun(groups) else { return Self.text(groups[...]) }
        return Self.text(groups[..<gap.lowerBound]) + "::" + Self.text(groups[gap.upperBound...])
    }

    private static func text(_ groups: ArraySlice<UInt16>) -> String {
        groups.map { String($0, radix: 16) }.joined(separator: ":")
    }

    /// The first of the longest runs of two or more zero groups.
    private static func longestZeroRun(_ groups: [UInt16]) -> Range<Int>? {
        var best: Range<Int>?
        var start = 0
        while start < groups.count {
            var end = start
            while end < groups.count, groups[end] == 0 { end += 1 }
            if end - start >= 2, end - start > (best?.count ?? 1) { best = start..<end }
            start = max(end, start + 1)
        }
        return best
    }
}

extension IPAddress {
    /// The IPv4 address that an IPv4-mapped one stands for.
    // RFC 4291 §2.5.5.2
    package var unmapped: IPAddress { IPAddress(bytes: bytes) ?? self }
}
