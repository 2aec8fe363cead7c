import Base

/// ESMTP parameters of MAIL and RCPT, after the path. The result is applied to the values given; the reply is an error.
enum ParameterParser {
    private enum Keyword: UInt16 {
        case size = 1, body = 2, smtpUTF8 = 4, ret = 8, envid = 16, requireTLS = 32, auth = 64, notify = 128, orcpt =
            256
    }

    struct Context {
        var underTLS: Bool
        var offersAuth: Bool
        var sizeMax: UInt64
        var utf8: Bool
    }

    static func mail(_ line: Span<UInt8>, from start: Int, into envelope: inout Envelope, _ context: Context) -> Reply?
    {
        var seen: UInt16 = 0
        var i = start
        while let parameter = next(line, &i) {
            guard case .found(let key, let value) = parameter else { return StandardReplies.syntax }
            guard let keyword = mailKeyword(line.extracting(key), context) else {
                return StandardReplies.unknownParameter
            }
            // RFC 5321 §4.1.1.11; a parameter given twice is nowhere allowed.
            guard seen & keyword.rawValue == 0 else { return StandardReplies.duplicateParameter }
            seen |= keyword.rawValue
            if let error = apply(keyword, line.extracting(value ?? 0..<0), value != nil, to: &envelope, context) {
                return error
            }
        }
        return nil
    }

    static func rcpt(
        _ line: Span<UInt8>, from start: Int, into recipient: inout EnvelopeRecipient, _ context: Context
    ) -> Reply? {
        var seen: UInt16 = 0
        var i = start
        while let parameter = next(line, &i) {
            guard case .found(let key, let value) = parameter else { return StandardReplies.syntax }
            let name = line.extracting(key)
            let keyword: Keyword
            if ASCII.equalIgnoringCase(name, "notify") {
                keyword = .notify
            } else if ASCII.equalIgnoringCase(name, "orcpt") {
                keyword = .orcpt
            } else {
                return StandardReplies.unknownParameter
            }
            guard seen & keyword.rawValue == 0 else { return StandardReplies.duplicateParameter }
            seen |= keyword.rawValue
            guard let value else { return StandardReplies.badParameter }
            let text = line.extracting(value)
            if keyword == .notify {
                guard let notify = notify(text) else { return StandardReplies.badParameter }
                recipient.notify = notify
            } else {
                guard isORCPT(text, utf8: context.utf8) else { return StandardReplies.badParameter }
                recipient.orcpt = [UInt8](text)
            }
        }
        return nil
    }

    private enum Parameter {
        case found(Range<Int>, Range<Int>?)
        case malformed
    }

    /// The next `keyword[=value]`; nil at the end of the line.
    private static func next(_ line: Span<UInt8>, _ i: inout Int) -> Parameter? {
        guard i < line.count else { return nil }
        guard line[i] == ASCII.space else { return .malformed }
        while i < line.count, line[i] == ASCII.space { i += 1 }
        guard i < line.count else { return nil }
        let start = i
        while i < line.count, ASCII.isAlphanumeric(line[i]) || (line[i] == ASCII.hyphen && i > start) { i += 1 }
        let key = start..<i
        guard !key.isEmpty else { return .malformed }
        guard i < line.count, line[i] == ASCII.equals else { return .found(key, nil) }
        i += 1
        let valueStart = i
        // RFC 5321 §4.1.2: esmtp-value has no "=", space or control; RFC 6531 §3.3 adds non-ASCII. AUTH=<> is wider.
        while i < line.count, line[i] > 0x20, line[i] != 0x7F { i += 1 }
        guard i > valueStart else { return .malformed }
        return .found(key, valueStart..<i)
    }

    private static func mailKeyword(_ name: Span<UInt8>, _ context: Context) -> Keyword? {
        if ASCII.equalIgnoringCase(name, "size") { return .size }
        if ASCII.equalIgnoringCase(name, "body") { return .body }
        if ASCII.equalIgnoringCase(name, "smtputf8") { return .smtpUTF8 }
        if ASCII.equalIgnoringCase(name, "ret") { return .ret }
        if ASCII.equalIgnoringCase(name, "envid") { return .envid }
        // RFC 8689 §4.1: only over TLS; in the clear it was not offered.
        if context.underTLS, ASCII.equalIgnoringCase(name, "requiretls") { return .requireTLS }
        if context.offersAuth, ASCII.equalIgnoringCase(name, "auth") { return .auth }
        return nil
    }

    private static func apply(
        _ keyword: Keyword, _ value: Span<UInt8>, _ hasValue: Bool, to envelope: inout Envelope, _ context: Context
    ) -> Reply? {
        switch keyword {
        case .smtpUTF8:
            // RFC 6531 §3.4: the parameter takes no value.
            guard !hasValue else { return StandardReplies.badParameter }
            envelope.smtpUTF8 = true
            return nil
        case .requireTLS:
            guard !hasValue else { return StandardReplies.badParameter }
            envelope.requireTLS = true
            return nil
        case .size: return size(value, to: &envelope, context)
        case .body:
            guard let type = bodyType(value) else { return StandardReplies.badParameter }
            envelope.bodyType = type
            return nil
        case .ret:
            if ASCII.equalIgnoringCase(value, "full") {
                envelope.ret = .full
            } else if ASCII.equalIgnoringCase(value, "hdrs") {
                envelope.ret = .headers
            } else {
                return StandardReplies.badParameter
            }
            return nil
        case .envid:
            // RFC 3461 §4.4: at most 100 characters.
            guard value.count > 0, value.count <= 100, XText.isValid(value) else { return StandardReplies.badParameter }
            envelope.envid = [UInt8](value)
            return nil
        case .auth:
            // RFC 4954 §5: read, and not believed.
            let isNull = ASCII.equalIgnoringCase(value, "<>")
            guard value.count > 0, value.count <= 500, isNull || XText.isValid(value) else {
                return StandardReplies.badParameter
            }
            envelope.author = [UInt8](value)
            return nil
        case .notify, .orcpt: return StandardReplies.unknownParameter
        }
    }

    // RFC 1870 §6.1
    private static func size(_ value: Span<UInt8>, to envelope: inout Envelope, _ context: Context) -> Reply? {
        guard let size = Decimal.parse(value) else { return StandardReplies.badParameter }
        envelope.declaredSize = size
        return size > context.sizeMax ? StandardReplies.messageTooBig : nil
    }

    private static func bodyType(_ value: Span<UInt8>) -> BodyType? {
        if ASCII.equalIgnoringCase(value, "7bit") { return .sevenBit }
        if ASCII.equalIgnoringCase(value, "8bitmime") { return .eightBitMIME }
        if ASCII.equalIgnoringCase(value, "binarymime") { return .binaryMIME }
        return nil
    }

    // RFC 3461 §4.1: NEVER stands alone.
    private static func notify(_ value: Span<UInt8>) -> DSNNotify? {
        var out: DSNNotify = []
        var start = 0
        while true {
            var end = start
            while end < value.count, value[end] != ASCII.comma { end += 1 }
            let word = value.extracting(start..<end)
            if ASCII.equalIgnoringCase(word, "never") {
                return start == 0 && end == value.count ? .never : nil
            } else if ASCII.equalIgnoringCase(word, "success") {
                out.insert(.success)
            } else if ASCII.equalIgnoringCase(word, "failure") {
                out.insert(.failure)
            } else if ASCII.equalIgnoringCase(word, "delay") {
                out.insert(.delay)
            } else {
                return nil
            }
            guard end < value.count else { return out }
            start = end + 1
        }
    }

    // RFC 3461 §4.2: addr-type ";" xtext, at most 500 characters; RFC 6533 §3 adds the type utf-8 with its own escapes.
    private static func isORCPT(_ value: Span<UInt8>, utf8: Bool) -> Bool {
        guard value.count <= 500 else { return false }
        var i = 0
        while i < value.count, ASCII.isAlphanumeric(value[i]) || value[i] == ASCII.hyphen { i += 1 }
        guard i > 0, i + 1 < value.count, value[i] == ASCII.semicolon else { return false }
        let address = value.extracting(i + 1..<value.count)
        guard ASCII.equalIgnoringCase(value.extracting(0..<i), "utf-8") else { return XText.isValid(address) }
        return UTF8Check.isValid(address) && (utf8 || !ByteScan.containsNonASCII(address))
    }
}
