import Base

/// The DATA stream → runs of body octets. Only CRLF.CRLF ends it; a bare CR or LF is reported and never mended.
/// Nothing is held back between calls: a CR at the end of a block is handed on, because anything but LF after it
/// refuses the message.
struct DotUnstuffer {
    enum Step {
        /// The run goes to the body; the block is used up or a stuffed dot was skipped.
        case run(Range<Int>)
        /// The run goes to the body, then the message ends.
        case end(Range<Int>)
    }

    private enum Position: UInt8 { case lineStart, inLine, afterCR, afterDot, afterDotCR }
    private var position = Position.lineStart
    private var lineLength = 0
    private(set) var longestLine = 0
    private(set) var sawBareLineEnding = false

    /// Reads on from `i`, which it moves. One run covers as many lines as have no leading dot.
    mutating func next(in bytes: Span<UInt8>, from i: inout Int) -> Step {
        var start = i
        while i < bytes.count {
            switch position {
            case .lineStart:
                guard bytes[i] == ASCII.dot else {
                    position = .inLine
                    continue
                }
                // RFC 5321 §4.5.2: the first dot of a line is not data.
                let run = start..<i
                i += 1
                position = .afterDot
                if !run.isEmpty { return .run(run) }
                start = i
            case .inLine: scanLine(bytes, &i)
            case .afterCR: endLine(bytes, &i)
            case .afterDot:
                if bytes[i] == ASCII.cr {
                    i += 1
                    start = i
                    position = .afterDotCR
                } else {
                    position = .inLine
                }
            case .afterDotCR:
                if bytes[i] == ASCII.lf {
                    i += 1
                    position = .lineStart
                    return .end(i..<i)
                }
                sawBareLineEnding = true
                position = .inLine
            }
        }
        return .run(start..<i)
    }

    private mutating func scanLine(_ bytes: Span<UInt8>, _ i: inout Int) {
        guard let j = ByteScan.firstIndex(of: ASCII.cr, or: ASCII.lf, in: bytes, from: i) else {
            lineLength += bytes.count - i
            longestLine = max(longestLine, lineLength)
            i = bytes.count
            return
        }
        lineLength += j - i
        longestLine = max(longestLine, lineLength)
        i = j + 1
        if bytes[j] == ASCII.lf {
            // RFC 5321 §2.3.8: LF never stands alone.
            sawBareLineEnding = true
            lineLength = 0
        } else if i < bytes.count, bytes[i] == ASCII.lf {
            i += 1
            position = .lineStart
            lineLength = 0
        } else {
            position = .afterCR
        }
    }

    private mutating func endLine(_ bytes: Span<UInt8>, _ i: inout Int) {
        lineLength = 0
        if bytes[i] == ASCII.lf {
            i += 1
            position = .lineStart
        } else {
            sawBareLineEnding = true
            position = .inLine
        }
    }
}
