import Base

/// `i=` of the three ARC fields: 1 to 50 (RFC 8617 §4.2.1).
enum ARCInstance {
    static let maximum = 50

    /// Of ARC-Message-Signature and ARC-Seal: a tag among others.
    static func ofTagList(_ value: [UInt8]) -> Int? {
        guard let tags = try? TagList(value), let text = tags.value("i") else { return nil }
        return number(text[...])
    }

    /// Of ARC-Authentication-Results: `i=N;` before all else (RFC 8617 §4.1.1).
    static func ofResults(_ value: [UInt8]) -> Int? {
        guard let end = value.firstIndex(of: ASCII.semicolon) else { return nil }
        let part = value[..<end].filter { !TagList.isSpace($0) }
        guard part.count > 2, ASCII.lowercased(part[0]) == 0x69, part[1] == ASCII.equals else { return nil }
        return number(part[2...])
    }

    private static func number(_ text: ArraySlice<UInt8>) -> Int? {
        guard (1...2).contains(text.count), let n = Decimal.parse(Array(text).span) else { return nil }
        return (1...maximum).contains(Int(n)) ? Int(n) : nil
    }
}
