import Base

/// Reads Authentication-Results fields as text, to carry our own results over into an ARC set (RFC 8601 §2.2).
package enum AuthenticationResultsText {
    /// The results that the fields of this id hold, top to bottom, unfolded, parted by `; `; nil without such a field.
    package static func merged(_ header: HeaderIndex, id: [UInt8]) -> [UInt8]? {
        var found = false
        var parts: [[UInt8]] = []
        for place in header.places(of: Array("authentication-results".utf8)) {
            let value = header.value(of: place)
            var pieces = split(value[...])
            guard let first = pieces.first, isID(first, id) else { continue }
            found = true
            pieces.removeFirst()
            parts += pieces.filter { !$0.isEmpty && !$0.elementsEqual("none".utf8) }
        }
        return found ? Array(parts.joined(separator: [ASCII.semicolon, ASCII.space])) : nil
    }

    /// What the method `arc` came to in such results.
    package static func arcStatus(_ results: [UInt8]) -> ARCStatus? {
        for part in parts(results[...]) {
            guard let equals = part.firstIndex(of: ASCII.equals) else { continue }
            let method = part[..<equals].filter { !TagList.isSpace($0) }
            guard ASCII.lowercased(Array(method)).elementsEqual("arc".utf8) else { continue }
            let word = part[(equals + 1)...].drop { TagList.isSpace($0) }.prefix { ASCII.isAlpha($0) }
            return String(validating: ASCII.lowercased(Array(word)), as: UTF8.self).flatMap { ARCStatus(rawValue: $0) }
        }
        return nil
    }

    /// Results one by one, empty ones left out.
    static func parts(_ results: ArraySlice<UInt8>) -> [[UInt8]] { split(results).filter { !$0.isEmpty } }

    /// The id may have a version behind it.
    private static func isID(_ text: [UInt8], _ id: [UInt8]) -> Bool {
        let word = Array(text.prefix { !TagList.isSpace($0) && $0 != 0x28 })
        return ASCII.equalIgnoringCase(word, id)
    }

    /// At semicolons outside quotes and comments; line breaks and runs of white space become one space.
    private static func split(_ text: ArraySlice<UInt8>) -> [[UInt8]] {
        var out: [[UInt8]] = [[]]
        var depth = 0
        var quoted = false
        var escaped = false
        var space = false
        for c in text {
            if TagList.isSpace(c) {
                space = true
                continue
            }
            if c == ASCII.semicolon, depth == 0, !quoted {
                out.append([])
                space = false
                continue
            }
            if space, !out[out.count - 1].isEmpty { out[out.count - 1].append(ASCII.space) }
            space = false
            out[out.count - 1].append(c)
            if escaped {
                escaped = false
            } else if c == ASCII.backslash, quoted || depth > 0 {
                escaped = true
            } else if c == ASCII.quote, depth == 0 {
                quoted.toggle()
            } else if !quoted, c == 0x28 {
                depth += 1
            } else if !quoted, c == 0x29, depth > 0 {
                depth -= 1
            }
        }
        return out
    }
}
