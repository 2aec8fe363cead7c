import Base

/// JSON as commands print it: keys in the order given, one line, no Foundation.
package indirect enum JSONValue: Sendable, Equatable {
    case null
    case boolean(Bool)
    case integer(Int)
    /// A number with one digit after the point.
    case tenths(Int)
    case text(String)
    case array([JSONValue])
    case object([JSONMember])

    package var bytes: [UInt8] {
        var out: [UInt8] = []
        write(to: &out)
        return out
    }

    private func write(to out: inout [UInt8]) {
        switch self {
        case .null: out.append(ascii: "null")
        case .boolean(let b): out.append(ascii: b ? "true" : "false")
        case .integer(let n): out.append(decimal: n)
        case .tenths(let n): out += Array(Self.tenths(n).utf8)
        case .text(let s): Self.write(s, to: &out)
        case .array(let values):
            out.append(0x5B)
            for (i, value) in values.enumerated() {
                if i > 0 { out.append(ASCII.comma) }
                value.write(to: &out)
            }
            out.append(0x5D)
        case .object(let members):
            out.append(0x7B)
            for (i, member) in members.enumerated() {
                if i > 0 { out.append(ASCII.comma) }
                Self.write(member.name, to: &out)
                out.append(ASCII.colon)
                member.value.write(to: &out)
            }
            out.append(0x7D)
        }
    }

    static func tenths(_ n: Int) -> String {
        let size = n.magnitude
        return (n < 0 ? "-" : "") + "\(size / 10).\(size % 10)"
    }

    // RFC 8259 §7
    private static func write(_ text: String, to out: inout [UInt8]) {
        out.append(ASCII.quote)
        for c in text.utf8 {
            switch c {
            case ASCII.quote, ASCII.backslash:
                out.append(ASCII.backslash)
                out.append(c)
            case ASCII.lf: out.append(ascii: "\\n")
            case ASCII.cr: out.append(ascii: "\\r")
            case ASCII.tab: out.append(ascii: "\\t")
            case 0..<0x20, 0x7F:
                out.append(ascii: "\\u00")
                out += Array(Hex.encode(byte: c).utf8)
            default: out.append(c)
            }
        }
        out.append(ASCII.quote)
    }
}

package struct JSONMember: Sendable, Equatable {
    package let name: String
    package let value: JSONValue

    package init(_ name: String, _ value: JSONValue) {
        self.name = name
        self.value = value
    }
}
