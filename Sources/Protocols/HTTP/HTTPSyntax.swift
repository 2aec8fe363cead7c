import Base

/// Character classes and small parsers of RFC 9110 and RFC 9112.
enum HTTPSyntax {
    static func equals(_ bytes: Span<UInt8>, _ text: StaticString) -> Bool {
        guard bytes.count == text.utf8CodeUnitCount else { return false }
        return text.withUTF8Buffer { t in
            for i in 0..<bytes.count where unsafe bytes[i] != t[i] { return false }
            return true
        }
    }

    // RFC 9110 §5.6.2
    static func isToken(_ c: UInt8) -> Bool {
        if ASCII.isAlphanumeric(c) { return true }
        switch c {
        case 0x21, 0x23, 0x24, 0x25, 0x26, 0x27, 0x2A, 0x2B, 0x2D, 0x2E, 0x5E, 0x5F, 0x60, 0x7C, 0x7E: return true
        default: return false
        }
    }

    static func isToken(_ bytes: Span<UInt8>) -> Bool {
        if bytes.count == 0 { return false }
        for i in 0..<bytes.count where !isToken(bytes[i]) { return false }
        return true
    }

    // RFC 9110 §5.5: NUL, CR, LF and every other control but HTAB are refused.
    static func isFieldValue(_ bytes: Span<UInt8>) -> Bool {
        for i in 0..<bytes.count {
            let c = bytes[i]
            if c < 0x20 && c != ASCII.tab || c == 0x7F { return false }
        }
        return true
    }

    static func trimmed(_ bytes: Span<UInt8>) -> [UInt8] {
        var start = 0
        var end = bytes.count
        while start < end, isBlank(bytes[start]) { start += 1 }
        while end > start, isBlank(bytes[end - 1]) { end -= 1 }
        return Array(bytes.extracting(start..<end))
    }

    // RFC 3986 §3.2: the characters of uri-host and port; anything else could be read differently elsewhere.
    static func isHost(_ bytes: [UInt8]) -> Bool {
        guard !bytes.isEmpty, bytes.count <= 255 else { return false }
        return bytes.allSatisfy { c in
            ASCII.isAlphanumeric(c) || c == ASCII.hyphen || c == ASCII.dot || c == 0x5F || c == ASCII.colon
                || c == ASCII.leftBracket || c == ASCII.rightBracket
        }
    }

    /// Whether the comma-separated list holds `token` (lower case), case ignored.
    static func list(_ value: [UInt8], contains token: StaticString) -> Bool {
        for item in value.split(separator: ASCII.comma, omittingEmptySubsequences: true) {
            let trimmed = trimmed(Array(item).span)
            if ASCII.equalIgnoringCase(trimmed.span, token) { return true }
        }
        return false
    }

    private static func isBlank(_ c: UInt8) -> Bool { c == ASCII.space || c == ASCII.tab }
}
