import Base

/// Line and column of a value, both from 1; columns count characters (Unicode scalars).
package struct ConfigPosition: Sendable, Hashable {
    package var line: Int
    package var column: Int
    package init(line: Int, column: Int) {
        self.line = line
        self.column = column
    }
}

/// A parsed value and where it stands.
package struct ConfigNode: Sendable, Equatable {
    package let position: ConfigPosition
    package let value: Value

    package indirect enum Value: Sendable, Equatable {
        case null
        case boolean(Bool)
        case integer(Int)
        /// A number that is not a whole one of 64 bits, as written.
        case number(String)
        case text(String)
        case array([ConfigNode])
        case object([Member])
    }

    package struct Member: Sendable, Equatable {
        package let key: String
        package let position: ConfigPosition
        package let node: ConfigNode
    }

    package init(position: ConfigPosition, value: Value) {
        self.position = position
        self.value = value
    }

    package var kindName: String {
        switch value {
        case .null: "null"
        case .boolean: "true or false"
        case .integer: "a whole number"
        case .number: "a number"
        case .text: "a text"
        case .array: "a list"
        case .object: "an object"
        }
    }
}

package struct ConfigSyntaxError: Error, Sendable, Equatable {
    package let position: ConfigPosition
    package let message: String
}

/// Strict JSON (RFC 8259) with `//` and `/* */` comments, and with an error for a repeated key. Trailing commas, single
/// quotes and bare words are errors. Bounds: `bytesMax` of input, `depthMax` of nesting.
package struct ConfigParser {
    package static let bytesMax = 4 << 20
    package static let depthMax = 32

    private let bytes: [UInt8]
    private var index = 0
    private var line = 1
    /// Of the octet at `index`: counted on the way, or each value of a long line would count the line again.
    private var column = 1
    /// Octets looked at to know where values stand.
    private var steps = 0

    private init(_ bytes: [UInt8]) { self.bytes = bytes }

    package static func parse(_ bytes: [UInt8]) throws(ConfigSyntaxError) -> ConfigNode { try counted(bytes).node }

    /// As `parse`, with the steps it took: one for each octet.
    package static func counted(_ bytes: [UInt8]) throws(ConfigSyntaxError) -> (node: ConfigNode, steps: Int) {
        var parser = ConfigParser(bytes)
        guard bytes.count <= bytesMax else {
            throw parser.error("the file is larger than \(ConfigText.sizeText(bytesMax))")
        }
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) {
            throw parser.error("the file starts with a byte-order mark; remove it")
        }
        try parser.checkUTF8()
        try parser.skipSpace()
        let node = try parser.value(depth: 0)
        try parser.skipSpace()
        guard parser.peek == nil else { throw parser.error("something follows the end of the configuration") }
        return (node, parser.steps)
    }

    private var peek: UInt8? { index < bytes.count ? bytes[index] : nil }

    private var position: ConfigPosition { ConfigPosition(line: line, column: column) }

    private func error(_ message: String, at position: ConfigPosition? = nil) -> ConfigSyntaxError {
        ConfigSyntaxError(position: position ?? self.position, message: message)
    }

    private mutating func step() {
        let c = bytes[index]
        if c == ASCII.lf {
            line += 1
            column = 1
        } else if c & 0xC0 != 0x80 {
            column += 1
        }
        index += 1
        steps += 1
    }

    private mutating func checkUTF8() throws(ConfigSyntaxError) {
        if String(validating: bytes, as: UTF8.self) != nil { return }
        // No character holds a line end: the first line that is wrong by itself is the one.
        while index < bytes.count {
            let end = bytes[index...].firstIndex(of: ASCII.lf).map { $0 + 1 } ?? bytes.count
            if String(validating: bytes[index..<end], as: UTF8.self) == nil { break }
            while index < end { step() }
        }
        throw error("this line is not UTF-8")
    }

    private mutating func skipSpace() throws(ConfigSyntaxError) {
        while let c = peek {
            switch c {
            case ASCII.space, ASCII.tab, ASCII.cr, ASCII.lf: step()
            case ASCII.slash: try skipComment()
            default: return
            }
        }
    }

    private mutating func skipComment() throws(ConfigSyntaxError) {
        let start = position
        step()
        if peek == ASCII.slash {
            while let c = peek, c != ASCII.lf { step() }
        } else if peek == 0x2A {
            step()
            while true {
                guard let c = peek else { throw error("this comment is never closed", at: start) }
                step()
                if c == 0x2A, peek == ASCII.slash { return step() }
            }
        } else {
            throw error("a comment is // or /* */", at: start)
        }
    }

    private mutating func value(depth: Int) throws(ConfigSyntaxError) -> ConfigNode {
        let start = position
        guard depth < Self.depthMax else { throw error("nested deeper than \(Self.depthMax) levels") }
        guard let c = peek else { throw error("the file ends where a value should be") }
        let value: ConfigNode.Value
        switch c {
        case 0x7B: value = try object(depth: depth)
        case 0x5B: value = try array(depth: depth)
        case ASCII.quote: value = .text(try text())
        case ASCII.hyphen, 0x30...0x39: value = try number()
        default: value = try word()
        }
        return ConfigNode(position: start, value: value)
    }

    private mutating func object(depth: Int) throws(ConfigSyntaxError) -> ConfigNode.Value {
        step()
        var members: [ConfigNode.Member] = []
        var seen: [String: ConfigPosition] = [:]
        try skipSpace()
        if peek == 0x7D {
            step()
            return .object([])
        }
        while true {
            let start = position
            guard peek == ASCII.quote else {
                throw error(peek == 0x7D ? "a comma before } is not allowed" : "expected a key in double quotes")
            }
            let key = try text()
            if let first = seen[key] {
                throw error("\"\(key)\" is set twice; the first is on line \(first.line)", at: start)
            }
            seen[key] = start
            try skipSpace()
            guard peek == ASCII.colon else { throw error("expected : after the key \"\(key)\"") }
            step()
            try skipSpace()
            members.append(ConfigNode.Member(key: key, position: start, node: try value(depth: depth + 1)))
            if try !more(closing: 0x7D, "}") { return .object(members) }
        }
    }

    private mutating func array(depth: Int) throws(ConfigSyntaxError) -> ConfigNode.Value {
        step()
        var nodes: [ConfigNode] = []
        try skipSpace()
        if peek == 0x5D {
            step()
            return .array([])
        }
        while true {
            if peek == 0x5D { throw error("a comma before ] is not allowed") }
            nodes.append(try value(depth: depth + 1))
            if try !more(closing: 0x5D, "]") { return .array(nodes) }
        }
    }

    /// After an element: true at a comma, false at the closing bracket.
    private mutating func more(closing: UInt8, _ name: String) throws(ConfigSyntaxError) -> Bool {
        try skipSpace()
        if peek == closing {
            step()
            return false
        }
        guard peek == ASCII.comma else { throw error("expected a comma or \(name)") }
        step()
        try skipSpace()
        return true
    }

    private mutating func number() throws(ConfigSyntaxError) -> ConfigNode.Value {
        let start = position
        let from = index
        while let c = peek, ASCII.isAlphanumeric(c) || c == ASCII.dot || c == ASCII.plus || c == ASCII.hyphen { step() }
        let text = String(decoding: bytes[from..<index], as: UTF8.self)
        guard Self.isNumber(Array(bytes[from..<index])) else {
            throw error("\(text) is not a number; a value with a unit goes in double quotes", at: start)
        }
        return Int(text).map { .integer($0) } ?? .number(text)
    }

    /// RFC 8259 §6
    private static func isNumber(_ c: [UInt8]) -> Bool {
        var i = 0
        func digits() -> Bool {
            let from = i
            while i < c.count, ASCII.isDigit(c[i]) { i += 1 }
            return i > from
        }
        if i < c.count, c[i] == ASCII.hyphen { i += 1 }
        if i < c.count, c[i] == 0x30 { i += 1 } else if !digits() { return false }
        if i < c.count, c[i] == ASCII.dot {
            i += 1
            if !digits() { return false }
        }
        if i < c.count, c[i] | 0x20 == 0x65 {
            i += 1
            if i < c.count, c[i] == ASCII.plus || c[i] == ASCII.hyphen { i += 1 }
            if !digits() { return false }
        }
        return i == c.count
    }

    private mutating func word() throws(ConfigSyntaxError) -> ConfigNode.Value {
        let start = position
        let from = index
        while let c = peek, ASCII.isAlphanumeric(c) || c == 0x5F { step() }
        let text = String(decoding: bytes[from..<index], as: UTF8.self)
        switch text {
        case "true": return .boolean(true)
        case "false": return .boolean(false)
        case "null": return .null
        case "": throw error("expected a value", at: start)
        default: throw error("\(text) is not a value; texts go in double quotes", at: start)
        }
    }

    private mutating func text() throws(ConfigSyntaxError) -> String {
        let start = position
        step()
        var out: [UInt8] = []
        while true {
            guard let c = peek, c != ASCII.lf else { throw error("this text has no closing quote", at: start) }
            if c == ASCII.quote { break }
            guard c >= 0x20 else { throw error("a control character in a text is written \\u00\(Hex.encode(byte: c))") }
            if c == ASCII.backslash {
                try escape(into: &out)
            } else {
                out.append(c)
                step()
            }
        }
        step()
        return String(decoding: out, as: UTF8.self)
    }

    private mutating func escape(into out: inout [UInt8]) throws(ConfigSyntaxError) {
        let start = position
        step()
        guard let c = peek else { throw error("the file ends inside a text") }
        step()
        switch c {
        case ASCII.quote, ASCII.backslash, ASCII.slash: out.append(c)
        case 0x62: out.append(0x08)
        case 0x66: out.append(0x0C)
        case 0x6E: out.append(ASCII.lf)
        case 0x72: out.append(ASCII.cr)
        case 0x74: out.append(ASCII.tab)
        case 0x75:
            guard var code = hex4() else { throw error("\\u needs four hex digits", at: start) }
            if code & 0xFC00 == 0xD800, peek == ASCII.backslash {
                step()
                guard peek == 0x75 else { throw error("half a surrogate pair", at: start) }
                step()
                guard let low = hex4(), low & 0xFC00 == 0xDC00 else { throw error("half a surrogate pair", at: start) }
                code = 0x10000 + (code & 0x3FF) << 10 + low & 0x3FF
            }
            guard let scalar = Unicode.Scalar(code) else { throw error("half a surrogate pair", at: start) }
            out.append(contentsOf: Array(String(Character(scalar)).utf8))
        default: throw error("unknown escape in a text", at: start)
        }
    }

    private mutating func hex4() -> UInt32? {
        var code: UInt32 = 0
        for _ in 0..<4 {
            guard let c = peek, let digit = Hex.value(c) else { return nil }
            code = code << 4 | UInt32(digit)
            step()
        }
        return code
    }
}
