/// Byte constants and ASCII classes. Wire data stays bytes; nothing here knows locales.
package enum ASCII {
    @inlinable package static var nul: UInt8 { 0x00 }
    @inlinable package static var tab: UInt8 { 0x09 }
    @inlinable package static var lf: UInt8 { 0x0A }
    @inlinable package static var cr: UInt8 { 0x0D }
    @inlinable package static var space: UInt8 { 0x20 }
    @inlinable package static var quote: UInt8 { 0x22 }
    @inlinable package static var plus: UInt8 { 0x2B }
    @inlinable package static var comma: UInt8 { 0x2C }
    @inlinable package static var hyphen: UInt8 { 0x2D }
    @inlinable package static var dot: UInt8 { 0x2E }
    @inlinable package static var slash: UInt8 { 0x2F }
    @inlinable package static var colon: UInt8 { 0x3A }
    @inlinable package static var semicolon: UInt8 { 0x3B }
    @inlinable package static var less: UInt8 { 0x3C }
    @inlinable package static var equals: UInt8 { 0x3D }
    @inlinable package static var greater: UInt8 { 0x3E }
    @inlinable package static var at: UInt8 { 0x40 }
    @inlinable package static var leftBracket: UInt8 { 0x5B }
    @inlinable package static var backslash: UInt8 { 0x5C }
    @inlinable package static var rightBracket: UInt8 { 0x5D }

    @inlinable
    package static func isDigit(_ c: UInt8) -> Bool { c &- 0x30 < 10 }
    @inlinable
    package static func isAlpha(_ c: UInt8) -> Bool { (c | 0x20) &- 0x61 < 26 }
    @inlinable
    package static func isAlphanumeric(_ c: UInt8) -> Bool { isDigit(c) || isAlpha(c) }
    @inlinable
    package static func lowercased(_ c: UInt8) -> UInt8 { c &- 0x41 < 26 ? c | 0x20 : c }
    @inlinable
    package static func uppercased(_ c: UInt8) -> UInt8 { c &- 0x61 < 26 ? c & 0xDF : c }
    /// Printable US-ASCII, space included.
    @inlinable
    package static func isPrintable(_ c: UInt8) -> Bool { c >= 0x20 && c < 0x7F }

    package static func lowercased(_ bytes: [UInt8]) -> [UInt8] {
        // Most of what is compared is lower case already: then there is nothing to build.
        guard bytes.contains(where: { $0 &- 0x41 < 26 }) else { return bytes }
        return bytes.map { lowercased($0) }
    }

    /// Whether two byte strings are equal but for ASCII case.
    package static func equalIgnoringCase(_ a: [UInt8], _ b: [UInt8]) -> Bool {
        guard a.count == b.count else { return false }
        for i in 0..<a.count where lowercased(a[i]) != lowercased(b[i]) { return false }
        return true
    }

    /// Whether `bytes` equals the ASCII text `text` but for case. `text` must be lower case.
    package static func equalIgnoringCase(_ bytes: Span<UInt8>, _ text: StaticString) -> Bool {
        guard bytes.count == text.utf8CodeUnitCount else { return false }
        return text.withUTF8Buffer { t in
            for i in 0..<t.count where lowercased(bytes[i]) != t[i] { return false }
            return true
        }
    }
}

extension Array where Element == UInt8 {
    @inlinable
    package init(_ span: Span<UInt8>) {
        self.init(unsafeUninitializedCapacity: span.count) { buffer, count in
            count = span.count
            if count > 0 {
                span.withUnsafeBufferPointer { source in
                    _ = buffer.update(fromContentsOf: source)
                }
            }
        }
    }

    @inlinable
    package mutating func append(_ span: Span<UInt8>) {
        span.withUnsafeBufferPointer { self.append(contentsOf: $0) }
    }

    package mutating func append(ascii text: StaticString) {
        text.withUTF8Buffer { self.append(contentsOf: $0) }
    }

    /// Appends the decimal form of `n`.
    @inlinable
    package mutating func append(decimal n: some FixedWidthInteger) {
        append(decimal: UInt64(truncatingIfNeeded: n.magnitude), isNegative: n < 0)
    }

    @usableFromInline
    package mutating func append(decimal magnitude: UInt64, isNegative: Bool) {
        if isNegative { append(0x2D) }
        var divisor: UInt64 = 1
        while magnitude / divisor >= 10 { divisor *= 10 }
        while divisor > 0 {
            append(UInt8(truncatingIfNeeded: 0x30 + magnitude / divisor % 10))
            divisor /= 10
        }
    }

    /// Text for people (logs, command output): bytes outside printable ASCII as \xNN.
    package var escapedText: String {
        var out = ""
        for c in self {
            if ASCII.isPrintable(c), c != ASCII.backslash {
                out.unicodeScalars.append(Unicode.Scalar(c))
            } else {
                out += "\\x" + Hex.encode(byte: c)
            }
        }
        return out
    }
}

package enum Hex {
    private static let digits = Array("0123456789abcdef".unicodeScalars)

    package static func encode(byte c: UInt8) -> String {
        var s = String.UnicodeScalarView()
        s.append(digits[Int(c >> 4)])
        s.append(digits[Int(c & 15)])
        return String(s)
    }

    package static func encode(_ bytes: [UInt8]) -> String {
        bytes.reduce(into: "") { $0 += encode(byte: $1) }
    }

    /// The value of one hex digit of either case, or nil.
    @inlinable
    package static func value(_ c: UInt8) -> UInt8? {
        if ASCII.isDigit(c) { return c &- 0x30 }
        let l = c | 0x20
        return l &- 0x61 < 6 ? l &- 0x61 &+ 10 : nil
    }
}

/// Integers a peer supplied: never trap.
package enum Decimal {
    /// The value of 1 to 20 ASCII digits, or nil on an empty, non-digit or overflowing text.
    package static func parse(_ bytes: Span<UInt8>) -> UInt64? {
        guard bytes.count > 0, bytes.count <= 20 else { return nil }
        var value: UInt64 = 0
        for i in 0..<bytes.count {
            let c = bytes[i]
            guard ASCII.isDigit(c) else { return nil }
            let (p, o1) = value.multipliedReportingOverflow(by: 10)
            let (s, o2) = p.addingReportingOverflow(UInt64(c &- 0x30))
            guard !o1, !o2 else { return nil }
            value = s
        }
        return value
    }
}
