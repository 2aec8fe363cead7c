import Base

/// How untrusted bytes are written inside a log value.
enum LogEscape {
    /// Printable ASCII that needs neither quotes nor escapes in either format.
    @inline(__always)
    static func isPlain(_ c: UInt8) -> Bool {
        c > ASCII.space && c < 0x7F && c != ASCII.quote && c != ASCII.backslash && c != ASCII.equals
    }

    /// ASCII only: everything else as `\xNN`, so no byte can move a terminal's cursor.
    static func appendText(_ value: UnsafeBufferPointer<UInt8>, to out: inout [UInt8]) {
        for c in value {
            if c == ASCII.quote || c == ASCII.backslash {
                out.append(ASCII.backslash)
                out.append(c)
            } else if ASCII.isPrintable(c) {
                out.append(c)
            } else {
                appendHex(c, prefix: "\\x", to: &out)
            }
        }
    }

    /// A JSON string's inside. UTF-8 stays; a value that is not UTF-8 shows each odd byte as the text `\xNN`.
    static func appendJSON(_ value: UnsafeBufferPointer<UInt8>, to out: inout [UInt8]) {
        let isUTF8 = String(validating: value, as: UTF8.self) != nil
        for c in value {
            if c == ASCII.quote || c == ASCII.backslash {
                out.append(ASCII.backslash)
                out.append(c)
            } else if ASCII.isPrintable(c) || (c >= 0x80 && isUTF8) {
                out.append(c)
            } else {
                appendHex(c, prefix: c >= 0x80 ? "\\\\x" : "\\u00", to: &out)
            }
        }
    }

    private static func appendHex(_ c: UInt8, prefix: StaticString, to out: inout [UInt8]) {
        out.append(ascii: prefix)
        for nibble in [c >> 4, c & 15] { out.append(nibble < 10 ? 0x30 + nibble : 0x57 + nibble) }
    }
}
