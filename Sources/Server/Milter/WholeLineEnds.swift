import Base

/// Makes CRLF of every line end of a body that a filter made, in whatever pieces it comes: what is stored and signed is
/// what will be sent. Holds one flag and no octets.
struct WholeLineEnds {
    private var afterCR = false

    /// Appends `bytes` to `output`, at most twice as many.
    mutating func append(_ bytes: Span<UInt8>, to output: inout [UInt8]) {
        let count = bytes.count
        guard count > 0 else { return }
        var i = 0
        var start = 0
        if afterCR {
            if bytes[0] == ASCII.lf { i = 1 } else { output.append(ASCII.lf) }
            afterCR = false
        }
        while let end = ByteScan.firstIndex(of: ASCII.cr, or: ASCII.lf, in: bytes, from: i) {
            i = end + 1
            // RFC 5321 §2.3.8: CR and LF only together; one that is alone is taken for both.
            if bytes[end] == ASCII.lf {
                output.append(bytes.extracting(start..<end))
                output.append(ASCII.cr)
                start = end
            } else if i == count {
                afterCR = true
            } else if bytes[i] == ASCII.lf {
                i += 1
            } else {
                output.append(bytes.extracting(start..<i))
                output.append(ASCII.lf)
                start = i
            }
        }
        output.append(bytes.extracting(start..<count))
    }

    mutating func finish(_ output: inout [UInt8]) {
        if afterCR { output.append(ASCII.lf) }
        afterCR = false
    }
}
