import Base

/// Why a tag list is none.
package enum TagListError: Error, Sendable, Hashable {
    case malformed
    case duplicate
    case tooLong
}

/// `name=value; …` as DKIM-Signature, key records and ARC write it (RFC 6376 §3.2). Owns its text; bounded by
/// `octetsMax` and `tagsMax`.
package struct TagList: Sendable {
    package struct Tag: Sendable {
        let name: Range<Int>
        /// Without white space around.
        let value: Range<Int>
        /// All between the equals sign and the semicolon.
        let raw: Range<Int>
    }

    package let text: [UInt8]
    package let tags: [Tag]

    private static let octetsMax = 65_536
    private static let tagsMax = 64

    package init(_ text: [UInt8]) throws(TagListError) {
        guard text.count <= Self.octetsMax else { throw .tooLong }
        var tags: [Tag] = []
        var start = 0
        while start < text.count {
            let end = text[start...].firstIndex(of: ASCII.semicolon) ?? text.count
            let body = Self.trimmed(start..<end, text)
            // White space behind the last semicolon is common and harmless; an empty tag in between is not a tag.
            if body.isEmpty, end == text.count, !tags.isEmpty { break }
            let tag = try Self.tag(body, start..<end, text)
            for other in tags where text[other.name] == text[tag.name] { throw .duplicate }
            guard tags.count < Self.tagsMax else { throw .tooLong }
            tags.append(tag)
            start = end + 1
        }
        guard !tags.isEmpty else { throw .malformed }
        self.text = text
        self.tags = tags
    }

    private static func tag(_ body: Range<Int>, _ whole: Range<Int>, _ text: [UInt8]) throws(TagListError) -> Tag {
        guard let equals = text[body].firstIndex(of: ASCII.equals) else { throw .malformed }
        let name = trimmed(body.lowerBound..<equals, text)
        guard let first = name.first, ASCII.isAlpha(text[first]),
            text[name].allSatisfy({ ASCII.isAlphanumeric($0) || $0 == 0x5F })
        else { throw .malformed }
        let value = trimmed(equals + 1..<body.upperBound, text)
        // VALCHAR, and UTF-8 where the field is internationalised (RFC 8616 §5).
        guard text[value].allSatisfy({ isSpace($0) || ($0 > ASCII.space && $0 != 0x7F) }) else { throw .malformed }
        return Tag(name: name, value: value, raw: equals + 1..<whole.upperBound)
    }

    private static func trimmed(_ range: Range<Int>, _ text: [UInt8]) -> Range<Int> {
        var (a, b) = (range.lowerBound, range.upperBound)
        while a < b, isSpace(text[a]) { a += 1 }
        while b > a, isSpace(text[b - 1]) { b -= 1 }
        return a..<b
    }

    static func isSpace(_ c: UInt8) -> Bool {
        c == ASCII.space || c == ASCII.tab || c == ASCII.cr || c == ASCII.lf
    }

    package var firstName: [UInt8] { Array(text[tags[0].name]) }

    // Names are case-sensitive (RFC 6376 §3.2).
    private func find(_ name: String) -> Tag? {
        tags.first { text[$0.name].elementsEqual(name.utf8) }
    }

    package func value(_ name: String) -> [UInt8]? { find(name).map { Array(text[$0.value]) } }

    /// The value without any white space: base64 and lists may be folded anywhere.
    package func compact(_ name: String) -> [UInt8]? {
        find(name).map { tag in text[tag.value].filter { !Self.isSpace($0) } }
    }

    /// What to leave out when the signature that `b=` holds is made or checked.
    package var signatureRange: Range<Int>? { find("b")?.raw }

    /// Parts of a value between colons, each without white space around.
    static func list(_ value: [UInt8]) -> [[UInt8]] {
        value.split(separator: ASCII.colon, omittingEmptySubsequences: false).map { part in
            Array(part[trimmedSlice(part)])
        }
    }

    private static func trimmedSlice(_ part: ArraySlice<UInt8>) -> Range<Int> {
        var (a, b) = (part.startIndex, part.endIndex)
        while a < b, isSpace(part[a]) { a += 1 }
        while b > a, isSpace(part[b - 1]) { b -= 1 }
        return a..<b
    }
}
