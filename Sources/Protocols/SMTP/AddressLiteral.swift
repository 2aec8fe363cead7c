import Base

/// RFC 5321 §4.1.3: what may stand between the brackets of an address literal.
enum AddressLiteral {
    static func isValid(_ text: Span<UInt8>) -> Bool {
        if text.count > 5, ASCII.equalIgnoringCase(text.extracting(0..<5), "ipv6:") {
            return isIPv6(text.extracting(5..<text.count))
        }
        return isIPv4(text)
    }

    private static func isIPv4(_ text: Span<UInt8>) -> Bool {
        var octets = 0
        var i = 0
        while true {
            var value = 0
            var digits = 0
            while i < text.count, ASCII.isDigit(text[i]), digits < 4 {
                value = value * 10 + Int(text[i] - 0x30)
                digits += 1
                i += 1
            }
            guard digits >= 1, digits <= 3, value <= 255 else { return false }
            octets += 1
            if i == text.count { return octets == 4 }
            guard text[i] == ASCII.dot, octets < 4 else { return false }
            i += 1
        }
    }

    /// Full, compressed, and both with an IPv4 tail. A `::` stands for at least two groups, as the grammar has it.
    private static func isIPv6(_ text: Span<UInt8>) -> Bool {
        var groups = 0
        var compressed = false
        var i = 0
        if text.count >= 2, text[0] == ASCII.colon, text[1] == ASCII.colon {
            compressed = true
            i = 2
        }
        var needsGroup = !compressed
        while i < text.count {
            if hasDot(text, from: i) {
                guard isIPv4(text.extracting(i..<text.count)) else { return false }
                return compressed ? groups <= 4 : groups == 6
            }
            var digits = 0
            while i < text.count, Hex.value(text[i]) != nil, digits < 5 {
                digits += 1
                i += 1
            }
            guard digits >= 1, digits <= 4, groups < 8 else { return false }
            groups += 1
            needsGroup = false
            guard i < text.count else { break }
            guard text[i] == ASCII.colon else { return false }
            i += 1
            if i < text.count, text[i] == ASCII.colon {
                guard !compressed else { return false }
                compressed = true
                i += 1
            } else {
                needsGroup = true
            }
        }
        guard !needsGroup else { return false }
        return compressed ? groups <= 6 : groups == 8
    }

    private static func hasDot(_ text: Span<UInt8>, from start: Int) -> Bool {
        var i = start
        while i < text.count, text[i] != ASCII.colon {
            if text[i] == ASCII.dot { return true }
            i += 1
        }
        return false
    }
}
