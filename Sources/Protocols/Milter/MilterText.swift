import Base

/// A filter's words made fit for the wire and for header fields: whatever they are, they stay inside what they belong to.
package enum MilterText {
    // RFC 5322 §2.1.1: 998 octets; a name much longer than any in use is refused.
    static let nameMax = 256
    private static let replyLinesMax = 32
    private static let replyLineMax = 400

    /// RFC 5322 §3.6.8
    static func isFieldName(_ name: [UInt8]) -> Bool {
        !name.isEmpty && name.count <= nameMax && name.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != ASCII.colon }
    }

    /// One line of printable ASCII.
    static func line(_ bytes: [UInt8], octetsMax: Int) -> [UInt8] {
        SafeText.line(bytes, octetsMax: octetsMax, allowsUTF8: false)
    }

    /// `550 5.7.1 text`, or several lines of that; nil when it is no refusal.
    static func reply(_ text: [UInt8]) -> Reply? {
        guard text.count >= 3, text[0] == 0x34 || text[0] == 0x35, ASCII.isDigit(text[1]), ASCII.isDigit(text[2]) else {
            return nil
        }
        let code = UInt16(text[0] - 0x30) * 100 + UInt16(text[1] - 0x30) * 10 + UInt16(text[2] - 0x30)
        let digit = text[0]
        var enhanced: EnhancedStatus?
        var out: [UInt8] = []
        for (i, piece) in text.split(separator: ASCII.lf, maxSplits: replyLinesMax).prefix(replyLinesMax).enumerated() {
            var rest = withoutCode(Array(piece), Array(text[..<3]))
            if let (status, used) = status(rest, digit) {
                if enhanced == nil { enhanced = status }
                rest = Array(rest[used...])
            }
            if i > 0 { out.append(ASCII.lf) }
            out += line(unescaped(rest), octetsMax: replyLineMax)
        }
        if out.isEmpty { out = Array("Refused by a mail filter".utf8) }
        // RFC 2034 §4: a status for every reply but a few; the class is that of the code.
        return Reply(code: code, enhanced: enhanced ?? EnhancedStatus(digit - 0x30, 7, 1), text: out)
    }

    /// The code at the head of a line, with its blank or hyphen.
    private static func withoutCode(_ line: [UInt8], _ code: [UInt8]) -> [UInt8] {
        guard line.count >= 3, line[0] == code[0], line[1] == code[1], line[2] == code[2] else { return line }
        guard line.count > 3 else { return [] }
        return line[3] == ASCII.space || line[3] == ASCII.hyphen ? Array(line[4...]) : line
    }

    /// `5.7.1` of the same class as the code, and how much of the line it takes with its blank.
    private static func status(_ line: [UInt8], _ digit: UInt8) -> (EnhancedStatus, Int)? {
        guard line.count >= 5, line[0] == digit, line[1] == ASCII.dot else { return nil }
        var i = 2
        guard let subject = number(line, &i), i < line.count, line[i] == ASCII.dot else { return nil }
        i += 1
        guard let detail = number(line, &i), i == line.count || line[i] == ASCII.space else { return nil }
        return (EnhancedStatus(digit - 0x30, subject, detail), min(i + 1, line.count))
    }

    private static func number(_ line: [UInt8], _ i: inout Int) -> UInt16? {
        let start = i
        var n: UInt16 = 0
        while i < line.count, i - start < 3, ASCII.isDigit(line[i]) {
            n = n * 10 + UInt16(line[i] - 0x30)
            i += 1
        }
        return i > start ? n : nil
    }

    /// Filters double percent signs for Sendmail's sake.
    private static func unescaped(_ text: [UInt8]) -> [UInt8] {
        var out: [UInt8] = []
        var i = 0
        while i < text.count {
            out.append(text[i])
            i += text[i] == 0x25 && i + 1 < text.count && text[i + 1] == 0x25 ? 2 : 1
        }
        return out
    }

    /// A whole field out of what a filter gave. Its line ends become CRLF, and each further line is a continuation: no
    /// filter can end the field, or the header, with its value.
    static func field(name: [UInt8], value: [UInt8], hasLeadingSpace: Bool) -> [UInt8] {
        var out = name
        out.reserveCapacity(name.count + value.count + 8)
        out.append(ASCII.colon)
        if !hasLeadingSpace { out.append(ASCII.space) }
        var isFirst = true
        for piece in value.split(omittingEmptySubsequences: false, whereSeparator: { $0 == ASCII.lf }) {
            var line = piece
            while line.last == ASCII.cr { line.removeLast() }
            if isFirst {
                isFirst = false
            } else {
                // A line of white space only would be read as the end of the header by some.
                guard line.contains(where: { $0 != ASCII.space && $0 != ASCII.tab && $0 != ASCII.cr }) else { continue }
                out.append(ASCII.cr)
                out.append(ASCII.lf)
                if line.first != ASCII.space, line.first != ASCII.tab { out.append(ASCII.tab) }
            }
            for c in line { out.append(c == ASCII.cr || c == 0 ? ASCII.space : c) }
        }
        out.append(ASCII.cr)
        out.append(ASCII.lf)
        return out
    }

    /// A field's value as filters want it: line ends are LF, and without `keepsLeadingSpace` the blanks in front are gone.
    static func value(_ bytes: Span<UInt8>, keepsLeadingSpace: Bool) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(bytes.count)
        var i = 0
        if !keepsLeadingSpace {
            while i < bytes.count, bytes[i] == ASCII.space || bytes[i] == ASCII.tab { i += 1 }
        }
        while i < bytes.count {
            let c = bytes[i]
            let isEnd = c == ASCII.cr && i + 1 < bytes.count && bytes[i + 1] == ASCII.lf
            if !isEnd, c != 0 { out.append(c) }
            i += 1
        }
        return out
    }
}
