/// Well-formed UTF-8 (RFC 3629 §4): no overlong forms, no surrogates, nothing past U+10FFFF.
package enum UTF8Check {
    /// The octets of the non-ASCII sequence at `i`, or nil when it is not well formed.
    static func sequenceLength(in bytes: Span<UInt8>, at i: Int) -> Int? {
        let lead = bytes[i]
        let count: Int
        var low: UInt8 = 0x80
        var high: UInt8 = 0xBF
        switch lead {
        case 0xC2...0xDF: count = 2
        case 0xE0...0xEF:
            count = 3
            if lead == 0xE0 { low = 0xA0 }
            if lead == 0xED { high = 0x9F }
        case 0xF0...0xF4:
            count = 4
            if lead == 0xF0 { low = 0x90 }
            if lead == 0xF4 { high = 0x8F }
        default: return nil
        }
        guard bytes.count - i >= count, bytes[i + 1] >= low, bytes[i + 1] <= high else { return nil }
        for k in 2..<max(count, 2) where bytes[i + k] & 0xC0 != 0x80 { return nil }
        return count
    }

    package static func isValid(_ bytes: Span<UInt8>) -> Bool {
        var i = 0
        while i < bytes.count {
            if bytes[i] < 0x80 {
                i += 1
            } else {
                guard let n = sequenceLength(in: bytes, at: i) else { return false }
                i += n
            }
        }
        return true
    }
}
