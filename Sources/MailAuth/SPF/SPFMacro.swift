import Base

/// `"%{" macro-letter transformers *delimiter "}"`
struct SPFMacro: Sendable, Equatable {
    /// Lower case.
    var letter: UInt8
    /// Written in upper case: the value is URL-escaped.
    var isEscaped: Bool
    /// How many right-hand parts; nil is all of them.
    var parts: Int?
    var isReversed: Bool
    /// Empty: dots, when there is a transformer at all.
    var delimiters: [UInt8]
}

/// A `macro-string` (RFC 7208 §7.1), parsed; what it expands to depends on the message.
struct SPFMacroString: Sendable, Equatable {
    enum Segment: Sendable, Equatable {
        case literal([UInt8])
        /// `%%`, `%_` and `%-`: fixed text, but to the grammar a macro-expand.
        case fixed([UInt8])
        case macro(SPFMacro)
    }

    private(set) var segments: [Segment] = []

    /// Letters that are known in `exp` text but not in terms (RFC 7208 §7.2): c, r and t.
    enum Letters {
        case term, explanation
    }

    /// `text` as a macro-string; with spaces allowed it is an `explain-string`.
    init(_ text: ArraySlice<UInt8>, letters: Letters, allowsSpace: Bool = false) throws(SPFSyntaxError) {
        var i = text.startIndex
        var literal: [UInt8] = []
        while i < text.endIndex {
            let c = text[i]
            if c != UInt8(ascii: "%") {
                // RFC 7208 §3.1: records are US-ASCII.
                guard c > ASCII.space && c < 0x7F || (allowsSpace && c == ASCII.space) else {
                    throw SPFSyntaxError("a character that is not visible US-ASCII", in: text)
                }
                literal.append(c)
                i += 1
                continue
            }
            if !literal.isEmpty { segments.append(.literal(literal)) }
            literal = []
            i += 1
            switch i < text.endIndex ? text[i] : 0 {
            case UInt8(ascii: "%"): segments.append(.fixed([UInt8(ascii: "%")]))
            case UInt8(ascii: "_"): segments.append(.fixed([ASCII.space]))
            case ASCII.hyphen: segments.append(.fixed(Array("%20".utf8)))
            case UInt8(ascii: "{"):
                guard let end = text[i...].firstIndex(of: UInt8(ascii: "}")) else {
                    throw SPFSyntaxError("a macro without its closing brace", in: text)
                }
                segments.append(.macro(try Self.macro(text[(i + 1)..<end], letters, text)))
                i = end
            default:
                // RFC 7208 §7.3
                throw SPFSyntaxError("a '%' that begins no macro", in: text)
            }
            i += 1
        }
        if !literal.isEmpty { segments.append(.literal(literal)) }
    }

    /// `text` as a `domain-spec`: a macro-string that ends in a macro or in a dot and a top label.
    static func domainSpec(_ text: ArraySlice<UInt8>) throws(SPFSyntaxError) -> SPFMacroString {
        let spec = try SPFMacroString(text, letters: .term)
        guard let last = spec.segments.last else { throw SPFSyntaxError("an empty domain", in: text) }
        guard case .literal(let tail) = last else { return spec }
        guard isDomainEnd(tail) else {
            throw SPFSyntaxError("a domain that ends in neither a macro nor a top-level name", in: text)
        }
        return spec
    }

    /// Without macros: the text it always stands for.
    var constant: [UInt8]? {
        var out: [UInt8] = []
        for segment in segments {
            switch segment {
            case .literal(let text), .fixed(let text): out += text
            case .macro: return nil
            }
        }
        return out
    }

    // MARK: Parsing

    private static func macro(
        _ body: ArraySlice<UInt8>, _ letters: Letters, _ text: ArraySlice<UInt8>
    ) throws(SPFSyntaxError) -> SPFMacro {
        guard let first = body.first else { throw SPFSyntaxError("an empty macro", in: text) }
        let letter = ASCII.lowercased(first)
        guard isKnown(letter, letters) else { throw SPFSyntaxError("an unknown macro letter", in: text) }
        var rest = body.dropFirst()
        let digits = rest.prefix(while: ASCII.isDigit)
        rest = rest.dropFirst(digits.count)
        var macro = SPFMacro(
            letter: letter, isEscaped: letter != first, parts: nil, isReversed: false, delimiters: [])
        if !digits.isEmpty {
            // RFC 7208 §7.3: any value of 127 or more means every part, so saturate.
            let value = digits.reduce(0) { min($0 * 10 + Int($1 & 15), 1_000) }
            guard value > 0 else { throw SPFSyntaxError("a macro that asks for no parts", in: text) }
            macro.parts = value
        }
        if let next = rest.first, ASCII.lowercased(next) == UInt8(ascii: "r") {
            macro.isReversed = true
            rest = rest.dropFirst()
        }
        guard rest.allSatisfy(isDelimiter) else { throw SPFSyntaxError("a wrong macro delimiter", in: text) }
        macro.delimiters = Array(rest)
        return macro
    }

    private static func isKnown(_ letter: UInt8, _ letters: Letters) -> Bool {
        switch letter {
        case UInt8(ascii: "s"), UInt8(ascii: "l"), UInt8(ascii: "o"), UInt8(ascii: "d"), UInt8(ascii: "i"),
            UInt8(ascii: "p"), UInt8(ascii: "v"), UInt8(ascii: "h"):
            true
        case UInt8(ascii: "c"), UInt8(ascii: "r"), UInt8(ascii: "t"): letters == .explanation
        default: false
        }
    }

    private static func isDelimiter(_ c: UInt8) -> Bool {
        switch c {
        case ASCII.dot, ASCII.hyphen, ASCII.plus, ASCII.comma, ASCII.slash, 0x5F, ASCII.equals: true
        default: false
        }
    }

    /// Whether literal text ends in `"." toplabel [ "." ]`.
    private static func isDomainEnd(_ tail: [UInt8]) -> Bool {
        let body = tail.last == ASCII.dot ? tail.dropLast() : tail[...]
        guard let dot = body.lastIndex(of: ASCII.dot) else { return false }
        let label = body[(dot + 1)...]
        guard let first = label.first, let last = label.last, ASCII.isAlphanumeric(first), ASCII.isAlphanumeric(last),
            label.allSatisfy({ ASCII.isAlphanumeric($0) || $0 == ASCII.hyphen })
        else { return false }
        // Not all numeric: an address is no domain.
        return !label.allSatisfy(ASCII.isDigit)
    }
}

extension SPFMacro {
    /// The value cut, reversed, rejoined and escaped as this macro asks (RFC 7208 §7.3).
    func transform(_ value: [UInt8]) -> [UInt8] {
        var out = value
        if parts != nil || isReversed || !delimiters.isEmpty {
            let splitters = delimiters.isEmpty ? [ASCII.dot] : delimiters
            // No special treatment of leading, trailing or repeated delimiters: parts may be empty.
            var list = value.split(omittingEmptySubsequences: false) { splitters.contains($0) }
            if isReversed { list.reverse() }
            if let parts { list = list.suffix(parts) }
            out = Array(list.joined(separator: [ASCII.dot]))
        }
        return isEscaped ? Self.urlEscaped(out) : out
    }

    /// RFC 3986 §2.3: everything but the unreserved characters.
    private static func urlEscaped(_ value: [UInt8]) -> [UInt8] {
        var out: [UInt8] = []
        for c in value {
            if ASCII.isAlphanumeric(c) || c == ASCII.hyphen || c == ASCII.dot || c == 0x5F || c == 0x7E {
                out.append(c)
            } else {
                out.append(UInt8(ascii: "%"))
                out += Hex.encode(byte: c).utf8.map { ASCII.uppercased($0) }
            }
        }
        return out
    }
}
