/// RFC 4648 §4, strict: padding required, no white space, no stray bits.
package enum Base64 {
    private static let alphabet: [UInt8] = Array(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    private static let values: [UInt8] = {
        var t = [UInt8](repeating: 0xFF, count: 256)
        for (i, c) in alphabet.enumerated() { t[Int(c)] = UInt8(i) }
        return t
    }()

    package static func encode(_ bytes: [UInt8]) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity((bytes.count + 2) / 3 * 4)
        var i = 0
        while i < bytes.count {
            let a = bytes[i]
            let b = i + 1 < bytes.count ? bytes[i + 1] : 0
            let c = i + 2 < bytes.count ? bytes[i + 2] : 0
            out.append(alphabet[Int(a >> 2)])
            out.append(alphabet[Int((a & 3) << 4 | b >> 4)])
            out.append(i + 1 < bytes.count ? alphabet[Int((b & 15) << 2 | c >> 6)] : ASCII.equals)
            out.append(i + 2 < bytes.count ? alphabet[Int(c & 63)] : ASCII.equals)
            i += 3
        }
        return out
    }

    /// The decoded bytes, or nil when the text is not canonical base64.
    package static func decode(_ text: Span<UInt8>) -> [UInt8]? {
        let n = text.count
        guard n % 4 == 0 else { return nil }
        var out: [UInt8] = []
        out.reserveCapacity(n / 4 * 3)
        var i = 0
        while i < n {
            let last = i + 4 == n
            let a = values[Int(text[i])]
            let b = values[Int(text[i + 1])]
            guard a != 0xFF, b != 0xFF else { return nil }
            let pad2 = last && text[i + 2] == ASCII.equals && text[i + 3] == ASCII.equals
            let pad1 = last && !pad2 && text[i + 3] == ASCII.equals
            out.append(a << 2 | b >> 4)
            if pad2 { return b & 15 == 0 ? out : nil }
            let c = values[Int(text[i + 2])]
            guard c != 0xFF else { return nil }
            out.append((b & 15) << 4 | c >> 2)
            if pad1 { return c & 3 == 0 ? out : nil }
            let d = values[Int(text[i + 3])]
            guard d != 0xFF else { return nil }
            out.append((c & 3) << 6 | d)
            i += 4
        }
        return out
    }
}
