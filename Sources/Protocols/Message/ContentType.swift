import Base

/// A `Content-Type:` as far as taking messages apart needs it. Type and subtype are in lower case.
// RFC 2045 §5.1
package struct ContentType: Sendable, Hashable {
    package let type: [UInt8]
    package let subtype: [UInt8]
    package let parameters: [Parameter]

    package struct Parameter: Sendable, Hashable {
        /// Lower case.
        package let name: [UInt8]
        /// Quotes resolved.
        package let value: [UInt8]
    }

    /// Parameters that are read; more are ignored.
    package static let parametersMax = 32

    /// Without the field.
    // RFC 2045 §5.2
    package static let plainText = ContentType(
        type: Array("text".utf8), subtype: Array("plain".utf8), parameters: [])
    // RFC 2046 §5.1.5: the default within multipart/digest.
    package static let message = ContentType(
        type: Array("message".utf8), subtype: Array("rfc822".utf8), parameters: [])

    private init(type: [UInt8], subtype: [UInt8], parameters: [Parameter]) {
        self.type = type
        self.subtype = subtype
        self.parameters = parameters
    }

    /// nil when the value (unfolded or not) does not begin with a type and a subtype.
    package init?(_ value: Span<UInt8>) {
        var scanner = ParameterScanner(value)
        guard let type = scanner.token(), scanner.take(ASCII.slash), let subtype = scanner.token() else { return nil }
        var parameters: [Parameter] = []
        while scanner.take(ASCII.semicolon), parameters.count < Self.parametersMax {
            guard let name = scanner.token() else { continue }
            guard scanner.take(ASCII.equals), let value = scanner.value() else { break }
            parameters.append(Parameter(name: ASCII.lowercased(name), value: value))
        }
        self.init(type: ASCII.lowercased(type), subtype: ASCII.lowercased(subtype), parameters: parameters)
    }

    /// Both in lower case.
    package func `is`(_ type: StaticString, _ subtype: StaticString) -> Bool {
        isType(type) && ASCII.equalIgnoringCase(self.subtype.span, subtype)
    }

    package func isType(_ type: StaticString) -> Bool { ASCII.equalIgnoringCase(self.type.span, type) }

    /// The value of the first parameter of this name, given in lower case.
    package func parameter(_ name: StaticString) -> [UInt8]? {
        parameters.first { ASCII.equalIgnoringCase($0.name.span, name) }?.value
    }

    /// What ends the parts of a multipart; nil when it is none or the parameter is missing or no boundary.
    // RFC 2046 §5.1.1: 1 to 70 characters.
    package var boundary: [UInt8]? {
        guard isType("multipart"), let value = parameter("boundary"), !value.isEmpty, value.count <= 200,
            value.last != ASCII.space
        else { return nil }
        return value
    }
}

/// Walks `token / quoted-string` values between separators, white space and comments skipped. Bounded by its input.
private struct ParameterScanner: ~Copyable {
    private let text: [UInt8]
    private var index = 0

    init(_ text: Span<UInt8>) { self.text = Array(text) }

    mutating func take(_ c: UInt8) -> Bool {
        skip()
        guard index < text.count, text[index] == c else { return false }
        index += 1
        return true
    }

    mutating func token() -> [UInt8]? {
        skip()
        let start = index
        while index < text.count, Self.isToken(text[index]) { index += 1 }
        return index > start ? Array(text[start..<index]) : nil
    }

    mutating func value() -> [UInt8]? {
        skip()
        guard index < text.count, text[index] == ASCII.quote else {
            // Lenient: unquoted values hold whatever is no separator of parameters.
            let start = index
            while index < text.count, text[index] > 0x20, text[index] != ASCII.semicolon { index += 1 }
            return index > start ? Array(text[start..<index]) : nil
        }
        index += 1
        var out: [UInt8] = []
        while index < text.count {
            let c = text[index]
            index += 1
            if c == ASCII.quote { return out }
            if c == ASCII.backslash, index < text.count {
                out.append(text[index])
                index += 1
            } else if c != ASCII.cr, c != ASCII.lf {
                out.append(c)
            }
        }
        return nil
    }

    private mutating func skip() {
        var depth = 0
        while index < text.count {
            switch text[index] {
            case ASCII.space, ASCII.tab, ASCII.cr, ASCII.lf: break
            case 0x28: depth += 1
            case 0x29 where depth > 0: depth -= 1
            case ASCII.backslash where depth > 0: index += 1
            default: if depth == 0 { return }
            }
            index += 1
        }
    }

    // RFC 2045 §5.1
    private static func isToken(_ c: UInt8) -> Bool {
        guard c > 0x20, c < 0x7F else { return false }
        switch c {
        case 0x28, 0x29, ASCII.less, ASCII.greater, ASCII.at, ASCII.comma, ASCII.semicolon, ASCII.colon,
            ASCII.backslash, ASCII.quote, ASCII.slash, ASCII.leftBracket, ASCII.rightBracket, 0x3F, ASCII.equals:
            return false
        default: return true
        }
    }
}
