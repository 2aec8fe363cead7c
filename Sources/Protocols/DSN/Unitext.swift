import Base

/// The 7-bit form of a UTF-8 address, `utf-8-addr-xtext`: `\x{HEXPOINT}` for what ASCII has no character for.
// RFC 6533 §3
package enum Unitext {
    /// `address` must be UTF-8; octets that are not are written as if they were Latin-1, so that the result is always safe.
    package static func encode(_ address: [UInt8]) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(address.count * 2)
        var i = 0
        while i < address.count {
            let c = address[i]
            if isQuiet(c) {
                out.append(c)
                i += 1
            } else if c < 0x80 {
                append(point: UInt32(c), to: &out)
                i += 1
            } else {
                let (point, count) = scalar(at: i, in: address)
                append(point: point, to: &out)
                i += count
            }
        }
        return out
    }

    /// The address in UTF-8, or nil when the text is not well formed or decodes to a control character.
    package static func decode(_ text: [UInt8]) -> [UInt8]? {
        guard UTF8Check.isValid(text.span) else { return nil }
        var out: [UInt8] = []
        var i = 0
        while i < text.count {
            let c = text[i]
            guard c == ASCII.backslash else {
                guard c > 0x20, c != 0x7F else { return nil }
                out.append(c)
                i += 1
                continue
            }
            guard let (point, end) = escape(at: i, in: text) else { return nil }
            out.append(contentsOf: String(point).utf8)
            i = end
        }
        return out
    }

    /// QCHAR
    private static func isQuiet(_ c: UInt8) -> Bool {
        c > 0x20 && c < 0x7F && c != ASCII.plus && c != ASCII.equals && c != ASCII.backslash
    }

    private static func scalar(at i: Int, in bytes: [UInt8]) -> (UInt32, Int) {
        guard let count = UTF8Check.sequenceLength(in: bytes.span, at: i) else { return (UInt32(bytes[i]), 1) }
        var point = UInt32(bytes[i]) & (count == 2 ? 0x1F : count == 3 ? 0x0F : 0x07)
        for k in 1..<max(count, 2) { point = point << 6 | UInt32(bytes[i + k] & 0x3F) }
        return (point, count)
    }

    private static func append(point: UInt32, to out: inout [UInt8]) {
        let text = String(point, radix: 16, uppercase: true)
        out.append(ascii: "\\x{")
        // RFC 6533 §3: HEXPOINT has two digits at least.
        if text.utf8.count < 2 { out.append(0x30) }
        out.append(contentsOf: text.utf8)
        out.append(0x7D)
    }

    private static func escape(at start: Int, in text: [UInt8]) -> (Unicode.Scalar, Int)? {
        guard start + 5 < text.count, text[start + 1] | 0x20 == 0x78, text[start + 2] == 0x7B else { return nil }
        var value: UInt32 = 0
        var i = start + 3
        while i < text.count, text[i] != 0x7D {
            guard i - start < 9, let digit = Hex.value(text[i]) else { return nil }
            value = value << 4 | UInt32(digit)
            i += 1
        }
        guard i < text.count, i - start >= 5, value >= 0x20, value != 0x7F, let point = Unicode.Scalar(value) else {
            return nil
        }
        return (point, i + 1)
    }
}
