import Base

/// Walks the header section of a message, field by field. Lines end with CRLF; a lone LF is taken too, so that what
/// arrived by BDAT can be read. Holds only its position; bounded by the message.
package struct HeaderParser: Sendable {
    /// A message with this many fields or more is refused: whoever looks at a header sees all of it.
    package static let fieldsMax = 10_000

    private var index: Int
    /// Where the body begins, once `next` has returned nil.
    package private(set) var bodyStart: Int?

    package init(at index: Int = 0) { self.index = index }

    /// The next well-formed field; lines that are none are skipped. Nil at the empty line or the end.
    package mutating func next(in message: Span<UInt8>) -> HeaderField? {
        while bodyStart == nil {
            guard index < message.count else {
                bodyStart = message.count
                return nil
            }
            let start = index
            let end = fieldEnd(from: start, in: message)
            if contentEnd(start, end, message) == start {
                bodyStart = end
                return nil
            }
            index = end
            if let field = field(from: start, to: end, in: message) { return field }
        }
        return nil
    }

    /// The end of the line at `start` and of the lines that continue it.
    private func fieldEnd(from start: Int, in message: Span<UInt8>) -> Int {
        var end = start
        repeat {
            guard let lf = ByteScan.firstIndex(of: ASCII.lf, in: message, from: end) else { return message.count }
            end = lf + 1
            if contentEnd(start, end, message) == start { return end }
        } while end < message.count && (message[end] == ASCII.space || message[end] == ASCII.tab)
        return end
    }

    private func contentEnd(_ start: Int, _ end: Int, _ message: Span<UInt8>) -> Int {
        var last = end
        if last > start, message[last - 1] == ASCII.lf { last -= 1 }
        if last > start, message[last - 1] == ASCII.cr { last -= 1 }
        return last
    }

    private func field(from start: Int, to end: Int, in message: Span<UInt8>) -> HeaderField? {
        var colon = start
        // RFC 5322 §3.6.8: a name is printable ASCII without the colon; §4.5 allows white space before the colon.
        while colon < end, message[colon] > 0x20, message[colon] < 0x7F, message[colon] != ASCII.colon { colon += 1 }
        let nameEnd = colon
        while colon < end, message[colon] == ASCII.space || message[colon] == ASCII.tab { colon += 1 }
        guard nameEnd > start, colon < end, message[colon] == ASCII.colon else { return nil }
        let valueEnd = max(contentEnd(start, end, message), colon + 1)
        return HeaderField(range: start..<end, name: start..<nameEnd, value: colon + 1..<valueEnd)
    }
}
