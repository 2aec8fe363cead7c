import Base

/// Watches a message pass and keeps `MessageFacts`. Feed it every octet once, in any pieces.
package struct MessageScanner: Sendable {
    private var seen = MessageFacts()
    private var inHeader = true
    /// Octets of the current header line seen, up to the length of "received:"; then it stays.
    private var column: UInt8 = 0
    private var matches = true
    private var lineIsBlank = true
    private var lineLength = 0
    private var lastWasCR = false

    package init() {}

    /// What is known so far; a last line without its ending counts.
    package var facts: MessageFacts {
        var out = seen
        out.longestLine = max(out.longestLine, lineLength - (lastWasCR ? 1 : 0))
        return out
    }

    /// `countsLines` false: the caller knows the longest line and sets it at the end.
    package mutating func append(_ bytes: Span<UInt8>, countsLines: Bool = true) {
        if !seen.has8bit { seen.has8bit = ByteScan.containsNonASCII(bytes) }
        if countsLines { measureLines(bytes) }
        if inHeader { scanHeader(bytes) }
    }

    package mutating func setLongestLine(_ octets: Int) { seen.longestLine = octets }

    private mutating func measureLines(_ bytes: Span<UInt8>) {
        guard bytes.count > 0 else { return }
        var i = 0
        while let j = ByteScan.firstIndex(of: ASCII.lf, in: bytes, from: i) {
            let endsWithCR = j > i ? bytes[j - 1] == ASCII.cr : lastWasCR
            seen.longestLine = max(seen.longestLine, lineLength + (j - i) - (endsWithCR ? 1 : 0))
            lineLength = 0
            lastWasCR = false
            i = j + 1
        }
        lineLength += bytes.count - i
        if i < bytes.count { lastWasCR = bytes[bytes.count - 1] == ASCII.cr }
    }

    private mutating func scanHeader(_ bytes: Span<UInt8>) {
        var i = 0
        while i < bytes.count {
            while column < 9, i < bytes.count, bytes[i] != ASCII.lf { step(bytes[i], &i) }
            guard i < bytes.count else { break }
            guard let j = ByteScan.firstIndex(of: ASCII.lf, in: bytes, from: i) else {
                i = bytes.count
                break
            }
            i = j + 1
            if lineIsBlank {
                inHeader = false
                break
            }
            column = 0
            matches = true
            lineIsBlank = true
        }
        seen.headerOctets += UInt64(i)
    }

    private mutating func step(_ c: UInt8, _ i: inout Int) {
        i += 1
        if c != ASCII.cr { lineIsBlank = false }
        if matches { matches = Self.expected(at: column) == ASCII.lowercased(c) }
        column += 1
        if column == 9, matches { seen.receivedCount += 1 }
    }

    /// "received:"
    private static func expected(at column: UInt8) -> UInt8 {
        let text: StaticString = "received:"
        return text.withUTF8Buffer { unsafe Int(column) < $0.count ? $0[Int(column)] : 0 }
    }
}
