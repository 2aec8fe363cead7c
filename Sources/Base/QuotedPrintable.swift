/// RFC 2045 §6.7. Encoding is exactly reversible: CRLF stays a line break, a lone CR or LF is written as octets.
package enum QuotedPrintable {
    // RFC 2045 §6.7 rule 5
    private static let lineOctetsMax = 76
    private static let digits: [UInt8] = Array("0123456789ABCDEF".utf8)

    package static func encode(_ bytes: Span<UInt8>) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(bytes.count + bytes.count / 4)
        append(bytes, to: &out)
        return out
    }

    package static func append(_ bytes: Span<UInt8>, to out: inout [UInt8]) {
        var column = 0
        var i = 0
        while i < bytes.count {
            let c = bytes[i]
            if isLineBreak(at: i, in: bytes) {
                out.append(ASCII.cr)
                out.append(ASCII.lf)
                column = 0
                i += 2
                continue
            }
            let isPlain = isLiteral(c) || (isBlank(c) && i + 1 < bytes.count && !isLineBreak(at: i + 1, in: bytes))
            // Some transports change lines that begin with a dot or "From ": not those.
            let isAtRisk = column == 0 && (c == ASCII.dot || c == 0x46)
            let width = isPlain && !isAtRisk ? 1 : 3
            let endsLine = i + 1 == bytes.count || isLineBreak(at: i + 1, in: bytes)
            if column + width > lineOctetsMax - (endsLine ? 0 : 1) {
                out.append(ASCII.equals)
                out.append(ASCII.cr)
                out.append(ASCII.lf)
                column = 0
                continue
            }
            if width == 1 {
                out.append(c)
            } else {
                out.append(ASCII.equals)
                out.append(digits[Int(c >> 4)])
                out.append(digits[Int(c & 15)])
            }
            column += width
            i += 1
        }
    }

    /// The decoded octets. Lenient as RFC 2045 §6.7 advises: what is no escape stays as it is, blanks at line ends go.
    package static func decode(_ text: Span<UInt8>) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(text.count)
        var i = 0
        /// Octets of `out` that a line end cannot strip.
        var solid = 0
        while i < text.count {
            let c = text[i]
            if c == ASCII.cr || c == ASCII.lf {
                while out.count > solid, let last = out.last, isBlank(last) { out.removeLast() }
                out.append(c)
                solid = out.count
                i += 1
            } else if c == ASCII.equals, let next = softBreakEnd(after: i, in: text) {
                solid = out.count
                i = next
            } else if c == ASCII.equals, i + 2 < text.count, let a = Hex.value(text[i + 1]),
                let b = Hex.value(text[i + 2])
            {
                out.append(a << 4 | b)
                solid = out.count
                i += 3
            } else {
                out.append(c)
                i += 1
            }
        }
        return out
    }

    /// Where the next line begins when `=` at `i` is followed by blanks and a line end only.
    private static func softBreakEnd(after i: Int, in text: Span<UInt8>) -> Int? {
        var j = i + 1
        while j < text.count, isBlank(text[j]) { j += 1 }
        guard j < text.count else { return j }
        if text[j] == ASCII.lf { return j + 1 }
        guard text[j] == ASCII.cr else { return nil }
        return j + 1 < text.count && text[j + 1] == ASCII.lf ? j + 2 : j + 1
    }

    private static func isLineBreak(at i: Int, in bytes: Span<UInt8>) -> Bool {
        bytes[i] == ASCII.cr && i + 1 < bytes.count && bytes[i + 1] == ASCII.lf
    }

    private static func isBlank(_ c: UInt8) -> Bool { c == ASCII.space || c == ASCII.tab }
    private static func isLiteral(_ c: UInt8) -> Bool { c > 0x20 && c < 0x7F && c != ASCII.equals }
}
