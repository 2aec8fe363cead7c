import Base

/// `AuthResults` as the text of an Authentication-Results field (RFC 8601 §2.2): folded at 78 where it can be, no line
/// longer than 998, every value a token, an address or a quoted string, so that nothing a peer sent can end a value,
/// a line or the field. The same text, without the field name, follows `i=N;` in an ARC-Authentication-Results field.
package struct AuthenticationResults {
    /// Octets of one value; more is cut.
    private static let valueMax = 320
    /// Signatures told of; more are left out.
    private static let signaturesMax = 10

    private var out: [UInt8]
    private var column: Int

    /// The whole field with its last CRLF.
    package static func field(_ results: AuthResults, servedBy id: [UInt8]) -> [UInt8] {
        var text = AuthenticationResults(after: Array("Authentication-Results: ".utf8))
        text.write(results, id)
        return text.out + [ASCII.cr, ASCII.lf]
    }

    /// From the authserv-id on, folds inside, without a line ending; `column` octets stand before it on its line.
    package static func body(_ results: AuthResults, servedBy id: [UInt8], column: Int = 0) -> [UInt8] {
        var text = AuthenticationResults(after: [])
        text.column = column
        text.write(results, id)
        return text.out
    }

    private init(after start: [UInt8]) {
        out = start
        column = start.count
    }

    // MARK: The methods, in the order they are evaluated

    private mutating func write(_ results: AuthResults, _ id: [UInt8]) {
        put(Self.value(id))
        let before = out.count
        if let iprev = results.iprev { write(iprev) }
        if let auth = results.auth {
            method("auth", "pass", reason: [])
            property("smtp.auth", Self.address(auth))
        }
        // RFC 8601 §2.7.2: the HELO name itself, without the postmaster that SPF puts before it.
        if let helo = results.helo { write(helo, "smtp.helo", Self.value(helo.domain)) }
        if let spf = results.spf { write(spf, "smtp.mailfrom", Self.address(spf.identity)) }
        write(results.dkim)
        // DMARC rests on the signatures: where it was evaluated, they were looked for.
        if results.dkim.isEmpty, results.dmarc != nil { method("dkim", "none", reason: []) }
        if let arc = results.arc { write(arc) }
        if let dmarc = results.dmarc { write(dmarc) }
        if let bimi = results.bimi { write(bimi) }
        // RFC 8601 §2.2: no-result
        if out.count == before { out.append(ascii: "; none") }
    }

    private mutating func write(_ iprev: AuthResults.IPRev) {
        // RFC 8601 §2.7.3 knows no "none".
        method("iprev", iprev.result == .absent ? "permerror" : iprev.result.rawValue, reason: iprev.reason)
        property("policy.iprev", Self.value(iprev.address))
        if !iprev.name.isEmpty { comment(iprev.name) }
    }

    private mutating func write(_ spf: AuthResults.SPF, _ name: StaticString, _ identity: [UInt8]) {
        method("spf", spf.result.rawValue, reason: spf.reason)
        property(name, identity)
    }

    private mutating func write(_ signatures: [AuthResults.DKIM]) {
        for dkim in signatures.prefix(Self.signaturesMax) {
            method("dkim", dkim.result.rawValue, reason: dkim.reason)
            property("header.d", Self.value(dkim.domain))
            if !dkim.identity.isEmpty { property("header.i", Self.address(dkim.identity)) }
            if !dkim.selector.isEmpty { property("header.s", Self.value(dkim.selector)) }
            if !dkim.algorithm.isEmpty { property("header.a", Self.value(dkim.algorithm)) }
            if !dkim.signature.isEmpty { property("header.b", Self.value(Array(dkim.signature.prefix(8)))) }
        }
    }

    private mutating func write(_ arc: AuthResults.ARC) {
        // RFC 8617 §10.1 knows none, pass and fail.
        method("arc", arc.result == .temperror ? "fail" : arc.result.rawValue, reason: arc.reason)
        // RFC 8617 §10.2: header.oldest-pass is for what the checks measured; the newest sealer is what we know.
        if let last = arc.seals.last {
            property("header.d", Self.value(last.domain))
            comment(Array("i=\(last.instance)".utf8))
        }
    }

    private mutating func write(_ dmarc: AuthResults.DMARC) {
        method("dmarc", dmarc.result.rawValue, reason: dmarc.reason)
        if !dmarc.author.isEmpty { property("header.from", Self.value(dmarc.author)) }
        // RFC 9989 §9.1: policy.dmarc is the policy after its options have been processed.
        if dmarc.result == .pass || dmarc.result == .fail {
            property("policy.dmarc", Array(dmarc.applied.rawValue.utf8))
        }
    }

    // draft-brand-indicators-for-message-identification: header.selector and header.d name the record.
    private mutating func write(_ bimi: AuthResults.BIMI) {
        method("bimi", bimi.result.rawValue, reason: bimi.reason)
        if !bimi.domain.isEmpty { property("header.d", Self.value(bimi.domain)) }
        if !bimi.selector.isEmpty { property("header.selector", Self.value(bimi.selector)) }
    }

    // MARK: Pieces

    private mutating func method(_ name: StaticString, _ result: String, reason: [UInt8]) {
        out.append(ASCII.semicolon)
        fold()
        var text: [UInt8] = []
        text.append(ascii: name)
        text.append(ASCII.equals)
        text.append(contentsOf: result.utf8)
        put(text)
        guard !reason.isEmpty else { return }
        var value: [UInt8] = []
        value.append(ascii: "reason=")
        value.append(contentsOf: Self.quoted(Array(reason.prefix(AuthResults.reasonMax))))
        space(before: value)
    }

    private mutating func property(_ name: StaticString, _ value: [UInt8]) {
        var text: [UInt8] = []
        text.append(ascii: name)
        text.append(ASCII.equals)
        text.append(contentsOf: value)
        space(before: text)
    }

    private mutating func comment(_ value: [UInt8]) {
        var text: [UInt8] = [0x28]
        for c in value.prefix(Self.valueMax) {
            if c == 0x28 || c == 0x29 || c == ASCII.backslash { text.append(ASCII.backslash) }
            text.append(ASCII.isPrintable(c) ? c : 0x3F)
        }
        text.append(0x29)
        space(before: text)
    }

    private mutating func put(_ text: [UInt8]) {
        out.append(contentsOf: text)
        column += text.count
    }

    private mutating func fold() {
        out.append(ascii: "\r\n\t")
        column = 8
    }

    /// White space before `text`: a fold where the line would pass 78 (RFC 5322 §2.1.1).
    private mutating func space(before text: [UInt8]) {
        if column + 1 + text.count > 78 {
            fold()
        } else {
            out.append(ASCII.space)
            column += 1
        }
        put(text)
    }

    // MARK: Values

    /// A token of RFC 2045 §5.1 as it is, anything else quoted.
    static func value(_ text: [UInt8]) -> [UInt8] {
        !text.isEmpty && text.count <= valueMax && text.allSatisfy(isTokenOctet) ? text : quoted(text)
    }

    /// `local@domain` or `@domain` as it is when it cannot be misread, else as `value`.
    static func address(_ text: [UInt8]) -> [UInt8] {
        guard text.count <= valueMax, let at = text.lastIndex(of: ASCII.at) else { return value(text) }
        let local = text[..<at]
        let domain = text[(at + 1)...]
        let isPlain =
            local.allSatisfy { PathParser.isAtext($0) || $0 == ASCII.dot } && !domain.isEmpty
            && domain.allSatisfy { ASCII.isAlphanumeric($0) || $0 == ASCII.dot || $0 == ASCII.hyphen || $0 == 0x5F }
        return isPlain ? text : quoted(text)
    }

    /// Quoted, control characters and octets that are not UTF-8 as question marks.
    static func quoted(_ text: [UInt8]) -> [UInt8] {
        let cut = text.count > valueMax ? Array(text.prefix(valueMax)) : text
        let isUTF8 = UTF8Check.isValid(cut.span)
        var out: [UInt8] = [ASCII.quote]
        for c in cut {
            if c == ASCII.quote || c == ASCII.backslash { out.append(ASCII.backslash) }
            // RFC 8601 §2.2 with RFC 6532: UTF-8 may stand in a quoted string.
            out.append(ASCII.isPrintable(c) || (c >= 0x80 && isUTF8) ? c : 0x3F)
        }
        out.append(ASCII.quote)
        return out
    }

    /// RFC 2045 §5.1: any printable ASCII but tspecials.
    static func isTokenOctet(_ c: UInt8) -> Bool {
        guard c > ASCII.space, c < 0x7F else { return false }
        switch c {
        case 0x28, 0x29, ASCII.less, ASCII.greater, ASCII.at, ASCII.comma, ASCII.semicolon, ASCII.colon,
            ASCII.backslash, ASCII.quote, ASCII.slash, ASCII.leftBracket, 0x3F, ASCII.equals, ASCII.rightBracket:
            return false
        default: return true
        }
    }
}
