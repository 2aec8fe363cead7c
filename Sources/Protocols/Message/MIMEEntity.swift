import Base

/// A message or a body part as it stands in a message: places, not copies. The header is read up to `fieldsMax` fields.
// RFC 2045 §2.4
package struct MIMEEntity: Sendable {
    package static let fieldsMax = 2_000

    package enum Transfer: Sendable, Hashable {
        case sevenBit, eightBit, binary, quotedPrintable, base64, unknown

        var isEncoded: Bool { self == .quotedPrintable || self == .base64 }
    }

    package let range: Range<Int>
    /// Fields, in order.
    package let header: [HeaderField]
    /// Behind the empty line.
    package let body: Range<Int>
    /// nil: no field, or not one to be read.
    package let contentType: ContentType?
    package let hasContentType: Bool
    package let transfer: Transfer

    /// The entity that fills `range` of `message`.
    package init(in message: Span<UInt8>, range: Range<Int>) {
        self.range = range
        let own = message.extracting(range)
        var parser = HeaderParser()
        var header: [HeaderField] = []
        var contentType: ContentType?
        var hasContentType = false
        var transfer = Transfer.sevenBit
        while let field = parser.next(in: own) {
            guard header.count < Self.fieldsMax else { continue }
            let shift = range.lowerBound
            header.append(
                HeaderField(
                    range: field.range.lowerBound + shift..<field.range.upperBound + shift,
                    name: field.name.lowerBound + shift..<field.name.upperBound + shift,
                    value: field.value.lowerBound + shift..<field.value.upperBound + shift))
            if !hasContentType, field.isNamed("content-type", in: own) {
                hasContentType = true
                contentType = ContentType(own.extracting(field.value))
            } else if field.isNamed("content-transfer-encoding", in: own) {
                transfer = Self.transfer(field.unfolded(in: own))
            }
        }
        self.header = header
        self.contentType = contentType
        self.hasContentType = hasContentType
        self.transfer = transfer
        body = range.lowerBound + (parser.bodyStart ?? own.count)..<range.upperBound
    }

    // RFC 2045 §6.1
    private static func transfer(_ value: [UInt8]) -> Transfer {
        let word = value.prefix { $0 > 0x20 && $0 != ASCII.semicolon && $0 != 0x28 }
        let name = Array(word)
        if ASCII.equalIgnoringCase(name.span, "7bit") { return .sevenBit }
        if ASCII.equalIgnoringCase(name.span, "8bit") { return .eightBit }
        if ASCII.equalIgnoringCase(name.span, "binary") { return .binary }
        if ASCII.equalIgnoringCase(name.span, "quoted-printable") { return .quotedPrintable }
        if ASCII.equalIgnoringCase(name.span, "base64") { return .base64 }
        return .unknown
    }
}

/// The parts of a multipart body: places, not copies. At most `limit` of them.
// RFC 2046 §5.1.1
package struct MIMEParts: Sendable {
    package static let partsMax = 1_000

    /// Before the first delimiter, without the line end that belongs to it.
    package private(set) var preamble: Range<Int>
    package private(set) var parts: [Range<Int>] = []
    /// The whole delimiter lines, each with the line ends around it: one before each part, then the closing one if there
    /// is one.
    package private(set) var delimiters: [Range<Int>] = []
    /// Behind the closing delimiter.
    package private(set) var epilogue: Range<Int>
    package private(set) var isClosed = false
    package private(set) var isTooMany = false

    package init(in message: Span<UInt8>, body: Range<Int>, boundary: [UInt8], limit: Int = partsMax) {
        preamble = body
        epilogue = body.upperBound..<body.upperBound
        var line = body.lowerBound
        while line < body.upperBound {
            let end = Self.lineEnd(from: line, to: body.upperBound, in: message)
            if let closes = Self.delimiter(line..<end, boundary, message) {
                take(line: line, end: end, body: body, message)
                if closes {
                    isClosed = true
                    epilogue = end..<body.upperBound
                    return
                }
                guard parts.count < limit else {
                    isTooMany = true
                    return
                }
                parts.append(end..<body.upperBound)
            }
            line = end
        }
    }

    /// The delimiter ends what came before it.
    private mutating func take(line: Int, end: Int, body: Range<Int>, _ message: Span<UInt8>) {
        // RFC 2046 §5.1.1: the line end before a delimiter is part of it.
        let floor = parts.last?.lowerBound ?? body.lowerBound
        var start = line
        if start > floor, message[start - 1] == ASCII.lf { start -= 1 }
        if start > floor, start < line, message[start - 1] == ASCII.cr { start -= 1 }
        if let last = parts.popLast() {
            parts.append(last.lowerBound..<start)
        } else {
            preamble = body.lowerBound..<start
        }
        delimiters.append(start..<end)
    }

    private static func lineEnd(from start: Int, to end: Int, in message: Span<UInt8>) -> Int {
        guard let lf = ByteScan.firstIndex(of: ASCII.lf, in: message, from: start), lf < end else { return end }
        return lf + 1
    }

    /// nil: no delimiter; otherwise whether it is the closing one.
    private static func delimiter(_ line: Range<Int>, _ boundary: [UInt8], _ message: Span<UInt8>) -> Bool? {
        var i = line.lowerBound
        guard line.count >= boundary.count + 2, message[i] == ASCII.hyphen, message[i + 1] == ASCII.hyphen else {
            return nil
        }
        i += 2
        for c in boundary {
            guard message[i] == c else { return nil }
            i += 1
        }
        var closes = false
        if i + 1 < line.upperBound, message[i] == ASCII.hyphen, message[i + 1] == ASCII.hyphen {
            closes = true
            i += 2
        }
        while i < line.upperBound {
            switch message[i] {
            case ASCII.space, ASCII.tab, ASCII.cr, ASCII.lf: i += 1
            default: return nil
            }
        }
        return closes
    }
}
