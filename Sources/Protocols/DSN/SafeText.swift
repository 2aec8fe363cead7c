import Base

/// A peer's words made fit for a report: no control characters, no line ends, nothing that hides or turns text around.
enum SafeText {
    /// One line of at most `octetsMax` octets; what may not stand there becomes `?`, runs of blanks one space.
    static func line(_ bytes: some Collection<UInt8>, octetsMax: Int, allowsUTF8: Bool) -> [UInt8] {
        let source = Array(bytes.prefix(octetsMax * 4))
        var out: [UInt8] = []
        out.reserveCapacity(min(source.count, octetsMax))
        var i = 0
        while i < source.count, out.count < octetsMax {
            let c = source[i]
            if c == ASCII.space || c == ASCII.tab || c == ASCII.cr || c == ASCII.lf {
                if let last = out.last, last != ASCII.space { out.append(ASCII.space) }
                i += 1
            } else if c < 0x80 {
                out.append(ASCII.isPrintable(c) ? c : 0x3F)
                i += 1
            } else if let n = UTF8Check.sequenceLength(in: source.span, at: i) {
                guard out.count + n <= octetsMax else { break }
                if allowsUTF8, !isHidden(source[i..<i + n]) {
                    out.append(contentsOf: source[i..<i + n])
                } else {
                    out.append(0x3F)
                }
                i += n
            } else {
                out.append(0x3F)
                i += 1
            }
        }
        while out.last == ASCII.space { out.removeLast() }
        return out
    }

    /// A word of a field: `octetsMax` octets of what `line` leaves, without blanks.
    static func word(_ bytes: [UInt8], octetsMax: Int, allowsUTF8: Bool) -> [UInt8] {
        line(bytes, octetsMax: octetsMax, allowsUTF8: allowsUTF8).map { $0 == ASCII.space ? 0x3F : $0 }
    }

    /// Controls of the second range, and characters that are not seen or change the direction.
    private static func isHidden(_ sequence: ArraySlice<UInt8>) -> Bool {
        let s = Array(sequence)
        if s.count == 2 { return s[0] == 0xC2 && s[1] < 0xA0 }
        guard s.count == 3, s[0] == 0xE2 || s[0] == 0xEF else { return false }
        if s[0] == 0xEF { return s[1] == 0xBB && s[2] == 0xBF }
        if s[1] == 0x80 { return (0x8B...0x8F).contains(s[2]) || (0xA8...0xAE).contains(s[2]) }
        return s[1] == 0x81 && (0xA0...0xAF).contains(s[2])
    }

    static func isASCII(_ bytes: [UInt8]) -> Bool { !ByteScan.containsNonASCII(bytes.span) }
}
