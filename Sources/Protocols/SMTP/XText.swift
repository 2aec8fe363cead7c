import Base

/// RFC 3461 §4: printable ASCII with `+XX` for the rest.
package enum XText {
    package static func isValid(_ text: Span<UInt8>) -> Bool {
        var i = 0
        while i < text.count {
            let c = text[i]
            if c == ASCII.plus {
                // RFC 3461 §4: upper-case hexadecimal digits only; lower case is met in the wild and harmless.
                guard i + 2 < text.count, Hex.value(text[i + 1]) != nil, Hex.value(text[i + 2]) != nil else {
                    return false
                }
                i += 3
            } else {
                guard c > 0x20, c < 0x7F, c != ASCII.equals else { return false }
                i += 1
            }
        }
        return true
    }

    /// Nil when the text is not valid.
    package static func decode(_ text: Span<UInt8>) -> [UInt8]? {
        guard isValid(text) else { return nil }
        var out: [UInt8] = []
        out.reserveCapacity(text.count)
        var i = 0
        while i < text.count {
            if text[i] == ASCII.plus, i + 2 < text.count, let a = Hex.value(text[i + 1]), let b = Hex.value(text[i + 2])
            {
                out.append(a << 4 | b)
                i += 3
            } else {
                out.append(text[i])
                i += 1
            }
        }
        return out
    }

    package static func encode(_ bytes: [UInt8]) -> [UInt8] {
        let digits: StaticString = "0123456789ABCDEF"
        return digits.withUTF8Buffer { hex in
            var out: [UInt8] = []
            for c in bytes {
                if c > 0x20, c < 0x7F, c != ASCII.plus, c != ASCII.equals {
                    out.append(c)
                } else {
                    out.append(ASCII.plus)
                    unsafe out.append(hex[Int(c >> 4)])
                    unsafe out.append(hex[Int(c & 15)])
                }
            }
            return out
        }
    }
}
