package import Base

/// What a submitted message lacks or must not keep: `Date:` and `Message-ID:` are added, blind copies removed, nothing else
/// is touched. Edits, not a copy, so that a spooled body can be changed as it passes. Pure.
// RFC 6409 §8
package struct SubmissionFixes: Sendable, Hashable {
    /// Octets of header that are looked at; a message whose header is longer is to be refused.
    package static let headerOctetsMax = 65_536

    /// Whole fields to leave out, ascending, counted from the message's first octet.
    package let dropped: [Range<Int>]
    /// Fields to put in front, each with its CRLF.
    package let added: [UInt8]

    package var isEmpty: Bool { dropped.isEmpty && added.isEmpty }

    /// `start` is the message's beginning, at least its header section, at most `headerOctetsMax` octets; `isWhole`: there
    /// is nothing behind it. `domain` becomes the right side of a Message-ID.
    /// nil: the header does not end within `start`, so blind copies might be missed: refuse the message.
    package init?(start: Span<UInt8>, isWhole: Bool, now: WallTime, id: MessageID, domain: [UInt8]) {
        var parser = HeaderParser()
        var dropped: [Range<Int>] = []
        var hasDate = false
        var hasID = false
        var fields = 0
        var end = 0
        while let field = parser.next(in: start) {
            fields += 1
            end = field.range.upperBound
            // RFC 5322 §3.6.3: the recipients of blind copies are nobody else's business.
            if field.isNamed("bcc", in: start) || field.isNamed("resent-bcc", in: start) {
                dropped.append(field.range)
            } else if field.isNamed("date", in: start) {
                hasDate = true
            } else if field.isNamed("message-id", in: start) {
                hasID = true
            }
        }
        let bodyStart = parser.bodyStart ?? start.count
        let headerEnds = bodyStart > end && Self.isEmptyLine(endingAt: bodyStart, in: start)
        guard headerEnds || isWhole else { return nil }
        var added: [UInt8] = []
        // RFC 6409 §8.2, §8.1
        if !hasDate {
            added.append(ascii: "Date: ")
            DateTime(now).append(to: &added)
            added.append(ascii: "\r\n")
        }
        if !hasID {
            added.append(ascii: "Message-ID: <")
            added.append(contentsOf: id.text)
            added.append(ASCII.at)
            added.append(contentsOf: domain)
            added.append(ascii: ">\r\n")
        }
        // A message that begins with text has no header at all: end ours before it.
        if fields == 0, !headerEnds, start.count > 0 { added.append(ascii: "\r\n") }
        self.dropped = dropped
        self.added = added
    }

    /// The message with the edits made.
    package func applied(to message: [UInt8]) -> [UInt8] {
        var out = added
        out.reserveCapacity(added.count + message.count)
        var from = 0
        for range in dropped where range.lowerBound >= from && range.upperBound <= message.count {
            out.append(contentsOf: message[from..<range.lowerBound])
            from = range.upperBound
        }
        out.append(contentsOf: message[from...])
        return out
    }

    private static func isEmptyLine(endingAt end: Int, in message: Span<UInt8>) -> Bool {
        guard end > 0, message[end - 1] == ASCII.lf else { return false }
        var start = end - 1
        if start > 0, message[start - 1] == ASCII.cr { start -= 1 }
        return start == 0 || message[start - 1] == ASCII.lf
    }
}
