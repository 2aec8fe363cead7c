import Base

/// One `method=result` of an Authentication-Results field.
package struct AuthStatement: Sendable, Hashable {
    /// Lower case.
    package let method: [UInt8]
    /// Lower case, as written; may be a word of no RFC.
    package let result: [UInt8]
    /// `ptype.property` (lower case) and its value, quotes resolved.
    package internal(set) var properties: [Property] = []

    package struct Property: Sendable, Hashable {
        package let name: [UInt8]
        package let value: [UInt8]
    }

    /// The value of `ptype.property`, given in lower case.
    package func property(_ name: StaticString) -> [UInt8]? {
        properties.first { ASCII.equalIgnoringCase($0.name.span, name) }?.value
    }
}

/// What somebody's Authentication-Results (or what follows `i=N;` of an ARC-Authentication-Results) says. Only ever
/// evidence: whoever reads it decides whose word counts.
package struct AuthStatements: Sendable, Hashable {
    /// The authserv-id, quotes resolved, as written.
    package let server: [UInt8]
    /// 1 when not given.
    package let version: Int
    package let statements: [AuthStatement]

    package func first(_ method: StaticString) -> AuthStatement? {
        statements.first { ASCII.equalIgnoringCase($0.method.span, method) }
    }
}

/// Reads the value of an Authentication-Results field (RFC 8601 §2.2) with folds, comments and quoted strings anywhere
/// the grammar has CFWS. Bounds: `octetsMax`, `statementsMax`, comments nested 32 deep.
package struct AuthenticationResultsParser {
    package static let octetsMax = 65_536
    package static let statementsMax = 100
    private static let propertiesMax = 32
    private static let commentDepthMax = 32

    private let text: [UInt8]
    private var index = 0

    private init(_ text: [UInt8]) { self.text = text }

    /// Nil when the text is not well formed.
    package static func parse(_ value: Span<UInt8>) -> AuthStatements? {
        guard value.count <= octetsMax else { return nil }
        var parser = AuthenticationResultsParser(Array(value))
        guard let head = parser.head() else { return nil }
        var statements: [AuthStatement] = []
        while parser.take(ASCII.semicolon) {
            guard parser.skipCFWS() else { return nil }
            if parser.here == nil { break }
            guard statements.count < statementsMax else { return nil }
            guard let statement = parser.statement() else { return nil }
            if let statement { statements.append(statement) }
        }
        guard parser.here == nil else { return nil }
        return AuthStatements(server: head.server, version: head.version, statements: statements)
    }

    /// Whether a field with this value has to go before ours is added: it claims to come from one of `ids`, or has a
    /// version we do not know (RFC 8601 §5). One whose head cannot be read goes when `ids` occur anywhere in it: another
    /// reader might see the claim that we do not.
    package static func mustRemove(_ value: Span<UInt8>, claiming ids: [[UInt8]]) -> Bool {
        guard value.count <= octetsMax else { return true }
        var parser = AuthenticationResultsParser(Array(value))
        guard let head = parser.head() else { return parser.mentions(ids) }
        if head.version != 1 { return true }
        // `id/1` or `id,`: a lenient reader would still see the id.
        let server = head.server.prefix { ASCII.isAlphanumeric($0) || "-._".utf8.contains($0) || $0 >= 0x80 }
        return ids.contains { equal(Array(server), $0) || equal(head.server, $0) }
    }

    /// The fields of a message that have to go (RFC 8601 §5), whole, in order.
    package static func fieldsToRemove(in message: Span<UInt8>, claiming ids: [[UInt8]]) -> [Range<Int>] {
        var parser = HeaderParser()
        var out: [Range<Int>] = []
        while let field = parser.next(in: message) {
            if field.isNamed("authentication-results", in: message),
                mustRemove(message.extracting(field.value), claiming: ids)
            {
                out.append(field.range)
            }
        }
        return out
    }

    /// But for case and a last dot.
    private static func equal(_ a: [UInt8], _ b: [UInt8]) -> Bool {
        var a = a
        if a.last == ASCII.dot { a.removeLast() }
        return ASCII.equalIgnoringCase(a, b)
    }

    private func mentions(_ ids: [[UInt8]]) -> Bool {
        let visible = ASCII.lowercased(text.filter { $0 > ASCII.space && $0 != ASCII.backslash })
        for id in ids where !id.isEmpty && id.count <= visible.count {
            let needle = ASCII.lowercased(id)
            for start in 0...(visible.count - needle.count) where visible[start] == needle[0] {
                if visible[start..<(start + needle.count)].elementsEqual(needle) { return true }
            }
        }
        return false
    }

    // MARK: Grammar

    private var here: UInt8? { index < text.count ? text[index] : nil }

    /// authserv-id and version, up to the first `;` or the end.
    private mutating func head() -> (server: [UInt8], version: Int)? {
        guard skipCFWS(), let server = word(), skipCFWS() else { return nil }
        guard let c = here, c != ASCII.semicolon else { return (server, 1) }
        guard let digits = word(), digits.count <= 4, digits.allSatisfy(ASCII.isDigit), skipCFWS() else {
            return nil
        }
        guard here == nil || here == ASCII.semicolon else { return nil }
        return (server, digits.reduce(0) { $0 * 10 + Int($1 - 0x30) })
    }

    /// resinfo; `.some(nil)` for "none", nil when malformed.
    private mutating func statement() -> AuthStatement?? {
        guard let method = keyword(), skipCFWS() else { return nil }
        if here == nil || here == ASCII.semicolon {
            let isNone = ASCII.equalIgnoringCase(method.span, "none")
            return isNone ? .some(nil) : nil
        }
        if take(ASCII.slash) {
            guard skipCFWS(), keyword() != nil, skipCFWS() else { return nil }
        }
        guard take(ASCII.equals), skipCFWS(), let result = keyword(), skipCFWS() else { return nil }
        var out = AuthStatement(method: method, result: result)
        while let c = here, c != ASCII.semicolon {
            guard let property = property() else { return nil }
            if out.properties.count < Self.propertiesMax { out.properties.append(property) }
            guard skipCFWS() else { return nil }
        }
        return .some(out)
    }

    /// `ptype.property=value` or `reason=value`.
    private mutating func property() -> AuthStatement.Property? {
        guard var name = keyword(), skipCFWS() else { return nil }
        if take(ASCII.dot) {
            guard skipCFWS(), let second = keyword(), skipCFWS() else { return nil }
            name.append(ASCII.dot)
            name.append(contentsOf: second)
        }
        guard take(ASCII.equals), skipCFWS(), let value = word() else { return nil }
        return AuthStatement.Property(name: name, value: value)
    }

    private mutating func take(_ c: UInt8) -> Bool {
        guard here == c else { return false }
        index += 1
        return true
    }

    /// Lower case; letters, digits, hyphens and underscores.
    private mutating func keyword() -> [UInt8]? {
        let start = index
        while let c = here, ASCII.isAlphanumeric(c) || c == ASCII.hyphen || c == 0x5F { index += 1 }
        return index > start ? ASCII.lowercased(Array(text[start..<index])) : nil
    }

    /// A quoted string, an address, or any run of octets that ends at white space, a comment or `;`. Pieces that touch
    /// belong together: `"a b"@example.com`.
    private mutating func word() -> [UInt8]? {
        var out: [UInt8] = []
        let start = index
        while let c = here {
            if c == ASCII.quote {
                guard let piece = quoted() else { return nil }
                out.append(contentsOf: piece)
            } else if c > ASCII.space, c != 0x7F, c != ASCII.semicolon, c != 0x28, c != 0x29 {
                out.append(c)
                index += 1
            } else {
                break
            }
        }
        return index > start ? out : nil
    }

    private mutating func quoted() -> [UInt8]? {
        index += 1
        var out: [UInt8] = []
        while let c = here {
            index += 1
            switch c {
            case ASCII.quote: return out
            case ASCII.backslash:
                guard let next = here else { return nil }
                out.append(next)
                index += 1
            case ASCII.cr, ASCII.lf: continue
            default: out.append(c)
            }
        }
        return nil
    }

    /// False when a comment does not end.
    private mutating func skipCFWS() -> Bool {
        var depth = 0
        while let c = here {
            switch c {
            case 0x28:
                depth += 1
                guard depth <= Self.commentDepthMax else { return false }
            case 0x29 where depth > 0: depth -= 1
            case ASCII.backslash where depth > 0: index += 1
            case ASCII.space, ASCII.tab, ASCII.cr, ASCII.lf: break
            default: if depth == 0 { return true }
            }
            index += 1
        }
        return depth == 0
    }
}
