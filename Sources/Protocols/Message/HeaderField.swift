import Base

/// One header field as it stands in a message: places, not copies.
package struct HeaderField: Sendable, Hashable {
    /// The whole field with its folds and its last CRLF.
    package let range: Range<Int>
    /// The name, without white space before the colon.
    package let name: Range<Int>
    /// What follows the colon, up to and without the last CRLF.
    package let value: Range<Int>

    package init(range: Range<Int>, name: Range<Int>, value: Range<Int>) {
        self.range = range
        self.name = name
        self.value = value
    }

    /// Whether the field has this name, given in lower case.
    package func isNamed(_ text: StaticString, in message: Span<UInt8>) -> Bool {
        ASCII.equalIgnoringCase(message.extracting(name), text)
    }

    /// The value unfolded (RFC 5322 §2.2.3) and without white space around it.
    package func unfolded(in message: Span<UInt8>) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(value.count)
        for i in value where message[i] != ASCII.cr && message[i] != ASCII.lf {
            if out.isEmpty, message[i] == ASCII.space || message[i] == ASCII.tab { continue }
            out.append(message[i])
        }
        while let last = out.last, last == ASCII.space || last == ASCII.tab { out.removeLast() }
        return out
    }
}
