import Base

/// Makes a message transparent for DATA, RFC 5321 §4.5.2: a dot at the start of a line is doubled, and the message
/// ends with `CRLF . CRLF`. Fed in pieces of any size; holds three flags and no bytes.
package struct DotStuffer: Sendable {
    private var atLineStart = true
    private var afterCR = false

    package init() {}

    /// Appends `bytes`, stuffed, to `output`.
    package mutating func append(_ bytes: Span<UInt8>, to output: inout [UInt8]) {
        let count = bytes.count
        guard count > 0 else { return }
        if atLineStart, bytes[0] == ASCII.dot { output.append(ASCII.dot) }
        var start = 0
        var i = 0
        while let lf = ByteScan.firstIndex(of: ASCII.lf, in: bytes, from: i) {
            i = lf + 1
            guard i < count, bytes[i] == ASCII.dot else { continue }
            guard lf > 0 ? bytes[lf - 1] == ASCII.cr : afterCR else { continue }
            output.append(bytes.extracting(start..<i))
            output.append(ASCII.dot)
            start = i
        }
        output.append(bytes.extracting(start..<count))
        atLineStart = bytes[count - 1] == ASCII.lf && (count > 1 ? bytes[count - 2] == ASCII.cr : afterCR)
        afterCR = bytes[count - 1] == ASCII.cr
    }

    /// Appends the end of the message to `output`; a last line without its CRLF gets one.
    package mutating func finish(to output: inout [UInt8]) {
        if !atLineStart { output.append(ascii: "\r\n") }
        output.append(ascii: ".\r\n")
        self = DotStuffer()
    }
}
