import Base

/// One SMTP reply. `text` may hold several lines separated by LF; `append(to:)` makes it safe for the wire.
package struct Reply: Sendable, Hashable {
    package let code: UInt16
    package let enhanced: EnhancedStatus?
    package let text: [UInt8]

    package init(code: UInt16, enhanced: EnhancedStatus?, text: [UInt8]) {
        self.code = code
        self.enhanced = enhanced
        self.text = text
    }

    package init(_ code: UInt16, _ enhanced: EnhancedStatus?, _ text: String) {
        self.init(code: code, enhanced: enhanced, text: Array(text.utf8))
    }

    package var isPositive: Bool { code < 400 }

    /// With the id that `explain` knows more under, at the end of the last line, which is cut to leave it whole.
    package func explained(by id: MessageID) -> Reply {
        let mark: [UInt8] = [ASCII.space, 0x28] + id.text + [0x29]
        let line = text.lastIndex(of: ASCII.lf).map { $0 + 1 } ?? 0
        let kept = text.prefix(line + Self.lineOctetsMax - mark.count)
        return Reply(code: code, enhanced: enhanced, text: kept + mark)
    }

    // RFC 5321 §4.5.3.1.5: a reply line is at most 512 octets with code and CRLF; this leaves room for both.
    private static let lineOctetsMax = 480

    /// Appends the wire form: one line per LF-separated piece, controls and non-ASCII replaced, over-long lines cut.
    package func append(to out: inout [UInt8]) {
        // Once for the whole reply, where nothing of this turn is there yet.
        if out.isEmpty { out.reserveCapacity(text.count + 32) }
        if text.count <= Self.lineOctetsMax, text.allSatisfy(ASCII.isPrintable) {
            appendPrefix(to: &out, last: true)
            out += text
            out.append(ASCII.cr)
            out.append(ASCII.lf)
            return
        }
        var start = 0
        while true {
            var end = start
            while end < text.count, text[end] != ASCII.lf { end += 1 }
            let isLast = end >= text.count
            appendPrefix(to: &out, last: isLast)
            for c in text[start..<min(end, start + Self.lineOctetsMax)] {
                out.append(ASCII.isPrintable(c) ? c : 0x3F)
            }
            out.append(ASCII.cr)
            out.append(ASCII.lf)
            if isLast { return }
            start = end + 1
        }
    }

    private func appendPrefix(to out: inout [UInt8], last: Bool) {
        out.append(UInt8(truncatingIfNeeded: 0x30 + code / 100 % 10))
        out.append(UInt8(truncatingIfNeeded: 0x30 + code / 10 % 10))
        out.append(UInt8(truncatingIfNeeded: 0x30 + code % 10))
        out.append(last ? ASCII.space : ASCII.hyphen)
        guard let enhanced else { return }
        // RFC 2034 §4: the code is the first thing in the text of every line.
        out.append(0x30 + enhanced.category % 10)
        out.append(ASCII.dot)
        Self.append(enhanced.subject, to: &out)
        out.append(ASCII.dot)
        Self.append(enhanced.detail, to: &out)
        out.append(ASCII.space)
    }

    /// At most three digits (RFC 3463 §2), without the array `append(decimal:)` makes.
    private static func append(_ n: UInt16, to out: inout [UInt8]) {
        if n >= 100 { out.append(UInt8(truncatingIfNeeded: 0x30 + n / 100 % 10)) }
        if n >= 10 { out.append(UInt8(truncatingIfNeeded: 0x30 + n / 10 % 10)) }
        out.append(UInt8(truncatingIfNeeded: 0x30 + n % 10))
    }
}
