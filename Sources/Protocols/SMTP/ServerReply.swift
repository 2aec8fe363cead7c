import Base

/// A complete reply read from a server, possibly of several lines. `ReplyParser` makes it, within its limits.
package struct ServerReply: Sendable, Equatable {
    package let code: UInt16
    /// RFC 2034 §4: the enhanced status in front of the first line's text, if it agrees with the code's first digit.
    package let status: EnhancedStatusValue?
    /// What followed the code and its separator, line by line, lines separated by one LF. A line never holds CR or LF.
    package let text: [UInt8]

    package init(code: UInt16, status: EnhancedStatusValue? = nil, text: [UInt8] = []) {
        self.code = code
        self.status = status
        self.text = text
    }

    package var isPositive: Bool { code >= 200 && code < 300 }
    package var isIntermediate: Bool { code >= 300 && code < 400 }
    package var isTransient: Bool { code >= 400 && code < 500 }
    package var isPermanent: Bool { code >= 500 }
    /// RFC 5321 §3.8: the server is closing the channel, whatever was asked.
    package var closesChannel: Bool { code == 421 }

    /// The lines of `text`.
    package var lines: [ArraySlice<UInt8>] {
        text.split(separator: ASCII.lf, omittingEmptySubsequences: false)
    }

    /// For logs and reports.
    package var description: String {
        text.isEmpty ? "\(code)" : "\(code) " + text.map { $0 == ASCII.lf ? ASCII.slash : $0 }.escapedText
    }
}

/// RFC 3463 §2: class, subject and detail as numbers.
package struct EnhancedStatusValue: Sendable, Equatable {
    package let statusClass: UInt8
    package let subject: UInt16
    package let detail: UInt16

    package init(_ statusClass: UInt8, _ subject: UInt16, _ detail: UInt16) {
        self.statusClass = statusClass
        self.subject = subject
        self.detail = detail
    }

    /// The status at the start of `bytes`, from `start`, followed by a space or the end.
    package init?(prefixOf bytes: [UInt8], from start: Int = 0) {
        guard start + 5 <= bytes.count, bytes[start + 1] == ASCII.dot else { return nil }
        let c = bytes[start] &- 0x30
        guard c == 2 || c == 4 || c == 5 else { return nil }
        var i = start + 2
        guard let subject = Self.number(bytes, &i), i < bytes.count, bytes[i] == ASCII.dot else { return nil }
        i += 1
        guard let detail = Self.number(bytes, &i) else { return nil }
        guard i == bytes.count || bytes[i] == ASCII.space || bytes[i] == ASCII.lf else { return nil }
        self.init(c, subject, detail)
    }

    /// One to three digits.
    private static func number(_ bytes: [UInt8], _ i: inout Int) -> UInt16? {
        var value: UInt16 = 0
        let first = i
        while i < bytes.count, ASCII.isDigit(bytes[i]) {
            guard i - first < 3 else { return nil }
            value = value * 10 + UInt16(bytes[i] &- 0x30)
            i += 1
        }
        return i > first ? value : nil
    }
}
