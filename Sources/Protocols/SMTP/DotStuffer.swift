import Base

/// Makes a message transparent for DATA, RFC 5321 §4.5.2: a dot at the start of a line is doubled, and the message
/// ends with `CRLF . CRLF`. Fed in pieces of any size; holds two flags and no bytes.
///
/// What leaves has no bare CR or LF, whatever a body kept as it came by BDAT holds: each becomes CRLF, so that no receiver
/// can see an end of data we did not write.
package struct DotStuffer: Sendable {
    private var atLineStart = true
    private var afterCR = false

    package init() {}

    /// Appends `bytes`, stuffed, to `output`.
    package mutating func append(_ bytes: Span<UInt8>, to output: inout [UInt8]) {
        let count = bytes.count
        guard count > 0 else { return }
        if afterCR, bytes[0] != ASCII.lf {
            output.append(ASCII.lf)
            atLineStart = true
            afterCR = false
        }
        if atLineStart, bytes[0] == ASCII.dot { output.append(ASCII.dot) }
        var start = 0
        var i = 0
        while let end = ByteScan.firstIndex(of: ASCII.cr, or: ASCII.lf, in: bytes, from: i) {
            // RFC 5321 §2.3.8: CR and LF go out only together.
            if bytes[end] == ASCII.cr {
                i = end + 1
                guard i < count else { break }
                if bytes[i] == ASCII.lf {
                    i += 1
                } else {
                    output.append(bytes.extracting(start..<i))
                    output.append(ASCII.lf)
                    start = i
                }
            } else {
                i = end + 1
                if end > 0 || !afterCR {
                    output.append(bytes.extracting(start..<end))
                    output.append(ASCII.cr)
                    start = end
                }
            }
            guard i < count, bytes[i] == ASCII.dot else { continue }
            output.append(bytes.extracting(start..<i))
            output.append(ASCII.dot)
            start = i
        }
        output.append(bytes.extracting(start..<count))
        afterCR = bytes[count - 1] == ASCII.cr
        atLineStart = bytes[count - 1] == ASCII.lf
    }

    /// Appends the end of the message to `output`; a last line without its CRLF gets one.
    package mutating func finish(to output: inout [UInt8]) {
        if afterCR {
            output.append(ASCII.lf)
        } else if !atLineStart {
            output.append(ascii: "\r\n")
        }
        output.append(ascii: ".\r\n")
        self = DotStuffer()
    }
}
