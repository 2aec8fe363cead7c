import Base

/// One mailbox of a header field: what a reader is shown and where it leads.
package struct HeaderMailbox: Sendable, Hashable {
    /// The phrase before the angle brackets, quotes resolved, white space folded; encoded words as they stand.
    package let displayName: [UInt8]
    /// Quotes resolved, case kept.
    package let localpart: [UInt8]
    /// As written, without comments and white space; a literal with its brackets. Empty: no domain was there.
    package let domain: [UInt8]

    package init(displayName: [UInt8], localpart: [UInt8], domain: [UInt8]) {
        self.displayName = displayName
        self.localpart = localpart
        self.domain = domain
    }
}

/// Why a list of addresses could not be read, and where.
package enum AddressListError: Error, Sendable, Hashable {
    case syntax(at: Int)
    case tooMany
    case tooLong
}

/// Reads the address lists of From, To, Cc … (RFC 5322 §3.4), obsolete forms included (§4.4): routes, empty list elements,
/// white space and comments around dots, dots in phrases. UTF-8 is taken where text is (RFC 6532 §3.2). Lenient where
/// the domain stays beyond doubt (a phrase without quotes, dots side by side in a local part); what two readers could
/// take for different domains is an error, never a guess.
/// Bounds: `octetsMax` of input, `limit` mailboxes, comments nested `commentDepthMax` deep.
package struct AddressParser {
    package static let octetsMax = 65_536
    package static let mailboxesMax = 1_000
    package static let commentDepthMax = 32

    private let text: [UInt8]
    private var index = 0
    private let limit: Int
    private var found: [HeaderMailbox] = []

    private init(_ text: [UInt8], limit: Int) {
        self.text = text
        self.limit = limit
    }

    /// The mailboxes of a field's value (folds may still be in it), those of groups among them. A phrase that leads
    /// nowhere is a mailbox without a domain.
    package static func mailboxes(
        in value: Span<UInt8>, limit: Int = mailboxesMax
    ) throws(AddressListError) -> [HeaderMailbox] {
        guard value.count <= octetsMax else { throw .tooLong }
        var parser = AddressParser(Array(value), limit: limit)
        try parser.list(inGroup: false)
        return parser.found
    }

    private var here: UInt8? { index < text.count ? text[index] : nil }

    // MARK: Lists

    private mutating func list(inGroup: Bool) throws(AddressListError) {
        while true {
            try skipCFWS()
            guard let c = here else { return }
            if c == ASCII.comma {
                index += 1
                continue
            }
            if c == ASCII.semicolon {
                guard inGroup else { throw .syntax(at: index) }
                index += 1
                return
            }
            try address(inGroup: inGroup)
            try skipCFWS()
            guard let end = here else { return }
            guard end == ASCII.comma || (inGroup && end == ASCII.semicolon) else { throw .syntax(at: index) }
        }
    }

    private mutating func address(inGroup: Bool) throws(AddressListError) {
        let start = index
        let words = try words()
        switch here {
        case ASCII.less:
            try append(try angle(name: phrase(words)))
        case ASCII.colon where !inGroup:
            index += 1
            try list(inGroup: true)
        case ASCII.at:
            index += 1
            let local = try localpart(words, at: start)
            let domain = try domain()
            try skipCFWS()
            if here == ASCII.less {
                // `a@example.com <a@example.com>` is not RFC 5322, but common, and beyond doubt when the domains agree.
                let mailbox = try angle(name: local + [ASCII.at] + domain)
                guard ASCII.equalIgnoringCase(mailbox.domain, domain) else { throw .syntax(at: start) }
                return try append(mailbox)
            }
            try append(HeaderMailbox(displayName: [], localpart: local, domain: domain))
        default:
            guard !words.isEmpty else { throw .syntax(at: index) }
            let isLocal = words.allSatisfy { $0.kind == .atom || $0.kind == .dot } && !hasNeighbours(words)
            let text = phrase(words)
            try append(HeaderMailbox(displayName: isLocal ? [] : text, localpart: isLocal ? text : [], domain: []))
        }
    }

    private mutating func append(_ mailbox: HeaderMailbox) throws(AddressListError) {
        guard found.count < limit else { throw .tooMany }
        found.append(mailbox)
    }

    /// `<…>` with the route of RFC 5322 §4.4 before the address, if there is one.
    private mutating func angle(name: [UInt8]) throws(AddressListError) -> HeaderMailbox {
        index += 1
        try skipCFWS()
        if here == ASCII.at || here == ASCII.comma { try route() }
        let start = index
        let words = try words()
        let local = try localpart(words, at: start)
        var domain: [UInt8] = []
        if here == ASCII.at {
            index += 1
            domain = try self.domain()
            try skipCFWS()
        }
        guard here == ASCII.greater else { throw .syntax(at: index) }
        index += 1
        return HeaderMailbox(displayName: name, localpart: local, domain: domain)
    }

    private mutating func route() throws(AddressListError) {
        while let c = here {
            switch c {
            case ASCII.comma: index += 1
            case ASCII.at:
                index += 1
                _ = try domain()
            case ASCII.colon:
                index += 1
                return
            default: throw .syntax(at: index)
            }
            try skipCFWS()
        }
        throw .syntax(at: index)
    }

    // MARK: Words

    private struct Word {
        enum Kind {
            case atom, quoted, dot
            /// Text that only a phrase may hold.
            case loose
        }
        let kind: Kind
        let text: [UInt8]
        let spaceBefore: Bool
    }

    private mutating func words() throws(AddressListError) -> [Word] {
        var out: [Word] = []
        while true {
            let before = index
            try skipCFWS()
            let space = index > before
            guard let c = here else { return out }
            if c == ASCII.quote {
                out.append(Word(kind: .quoted, text: try quoted(), spaceBefore: space))
            } else if c == ASCII.dot {
                index += 1
                out.append(Word(kind: .dot, text: [c], spaceBefore: space))
            } else if c == ASCII.leftBracket || c == ASCII.rightBracket {
                index += 1
                out.append(Word(kind: .loose, text: [c], spaceBefore: space))
            } else if Self.isText(c) {
                out.append(Word(kind: .atom, text: try atom(), spaceBefore: space))
            } else {
                return out
            }
        }
    }

    private static func isText(_ c: UInt8) -> Bool { PathParser.isAtext(c) || c >= 0x80 }

    private mutating func atom() throws(AddressListError) -> [UInt8] {
        let start = index
        while let c = here, Self.isText(c) { index += 1 }
        let out = Array(text[start..<index])
        guard UTF8Check.isValid(out.span) else { throw .syntax(at: start) }
        return out
    }

    private mutating func quoted() throws(AddressListError) -> [UInt8] {
        let start = index
        var out: [UInt8] = []
        index += 1
        while let c = here {
            index += 1
            switch c {
            case ASCII.quote:
                guard UTF8Check.isValid(out.span) else { throw .syntax(at: start) }
                return out
            case ASCII.backslash:
                guard let next = here, next == ASCII.tab || next >= ASCII.space, next != 0x7F else {
                    throw .syntax(at: index)
                }
                out.append(next)
                index += 1
            case ASCII.cr:
                guard here == ASCII.lf else { throw .syntax(at: index) }
            case ASCII.lf: break
            default:
                guard c == ASCII.tab || c >= ASCII.space, c != 0x7F else { throw .syntax(at: index - 1) }
                out.append(c)
            }
        }
        throw .syntax(at: start)
    }

    /// Whether two words stand side by side without a dot: a phrase, not a local part.
    private func hasNeighbours(_ words: [Word]) -> Bool {
        var last: Word.Kind = .dot
        for word in words {
            if word.kind != .dot, last != .dot { return true }
            last = word.kind
        }
        return false
    }

    private func localpart(_ words: [Word], at start: Int) throws(AddressListError) -> [UInt8] {
        guard !words.isEmpty, !hasNeighbours(words), words.allSatisfy({ $0.kind != .loose }) else {
            throw .syntax(at: start)
        }
        return words.flatMap(\.text)
    }

    private func phrase(_ words: [Word]) -> [UInt8] {
        var out: [UInt8] = []
        for word in words {
            if word.spaceBefore, !out.isEmpty { out.append(ASCII.space) }
            out.append(contentsOf: word.text)
        }
        return out
    }

    private mutating func domain() throws(AddressListError) -> [UInt8] {
        try skipCFWS()
        if here == ASCII.leftBracket { return try literal() }
        var out: [UInt8] = []
        while true {
            try skipCFWS()
            guard let c = here, Self.isText(c) else { throw .syntax(at: index) }
            out.append(contentsOf: try atom())
            let end = index
            try skipCFWS()
            guard here == ASCII.dot else {
                index = end
                return out
            }
            index += 1
            out.append(ASCII.dot)
        }
    }

    private mutating func literal() throws(AddressListError) -> [UInt8] {
        var out: [UInt8] = [ASCII.leftBracket]
        index += 1
        while let c = here {
            index += 1
            switch c {
            case ASCII.rightBracket: return out + [c]
            case ASCII.space, ASCII.tab, ASCII.cr, ASCII.lf: continue
            default:
                guard ASCII.isPrintable(c), c != ASCII.leftBracket, c != ASCII.backslash else {
                    throw .syntax(at: index - 1)
                }
                out.append(c)
            }
        }
        throw .syntax(at: index)
    }

    // MARK: White space and comments (RFC 5322 §3.2.2)

    private mutating func skipCFWS() throws(AddressListError) {
        while let c = here {
            switch c {
            case ASCII.space, ASCII.tab, ASCII.lf: index += 1
            case ASCII.cr:
                guard index + 1 < text.count, text[index + 1] == ASCII.lf else { throw .syntax(at: index) }
                index += 2
            case 0x28: try skipComment()
            default: return
            }
        }
    }

    private mutating func skipComment() throws(AddressListError) {
        let start = index
        var depth = 0
        while let c = here {
            index += 1
            switch c {
            case 0x28:
                depth += 1
                guard depth <= Self.commentDepthMax else { throw .syntax(at: index) }
            case 0x29:
                depth -= 1
                if depth == 0 { return }
            case ASCII.backslash: index += 1
            case ASCII.nul: throw .syntax(at: index - 1)
            default: break
            }
        }
        throw .syntax(at: start)
    }
}
