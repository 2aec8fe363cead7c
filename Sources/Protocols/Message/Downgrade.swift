import Base

/// Makes an 8-bit or binary MIME message one of 7-bit lines, for a host without 8BITMIME or BINARYMIME: leaf parts are put
/// into quoted-printable or base64, labels corrected, nothing else changed. Pure; bounded by the constants below.
// RFC 6152 §3
package struct Downgrade {
    package static let octetsMax = 33_554_432
    package static let depthMax = 20
    // RFC 5321 §4.5.3.1.6
    private static let lineOctetsMax = 998

    private let message: [UInt8]
    private var out: [UInt8] = []
    private var parts = 0

    private init(_ message: [UInt8]) { self.message = message }

    /// nil when it cannot be done without breaking the message (a signed part would change, a header is not ASCII, the
    /// structure is not MIME): the answer is 5.6.3. Unchanged when there is nothing to do.
    package static func sevenBit(_ message: [UInt8]) -> [UInt8]? {
        guard message.count <= octetsMax else { return nil }
        guard !Self.isClean(message[...]) || hasLabels(message) else { return message }
        var work = Downgrade(message)
        work.out.reserveCapacity(message.count + message.count / 3)
        guard work.convert(0..<message.count, parent: nil, depth: 0) else { return nil }
        return work.out
    }

    /// Whether some label may say 8bit or binary, though the octets would pass.
    private static func hasLabels(_ message: [UInt8]) -> Bool {
        let name = Array("content-transfer-encoding".utf8)
        var i = 0
        while let j = ByteScan.firstIndex(of: 0x63, or: 0x43, in: message.span, from: i) {
            guard j + name.count <= message.count else { return false }
            if zip(name, message[j...]).allSatisfy({ $0 == ASCII.lowercased($1) }) { return true }
            i = j + 1
        }
        return false
    }

    // MARK: Entities

    private mutating func convert(_ range: Range<Int>, parent: ContentType?, depth: Int) -> Bool {
        guard depth <= Self.depthMax else { return false }
        let entity = MIMEEntity(in: message.span, range: range)
        guard entity.header.count < MIMEEntity.fieldsMax,
            !ByteScan.containsNonASCII(message.span.extracting(range.lowerBound..<entity.body.lowerBound))
        else { return false }
        if entity.hasContentType, entity.contentType == nil { return leaf(entity, .plainText, isTop: depth == 0) }
        let isDigest = parent?.is("multipart", "digest") == true
        let type = entity.contentType ?? (isDigest ? .message : .plainText)
        if type.isType("multipart") { return multipart(entity, type, depth: depth) }
        if type.is("message", "rfc822") { return wrapped(entity, depth: depth) }
        return leaf(entity, type, isTop: depth == 0)
    }

    private mutating func multipart(_ entity: MIMEEntity, _ type: ContentType, depth: Int) -> Bool {
        // RFC 1847 §2.1: what is signed or encrypted must not be touched.
        if type.is("multipart", "signed") || type.is("multipart", "encrypted") {
            guard isClean(entity.body) else { return false }
            copyHeader(entity, encoding: entity.transfer == .sevenBit ? nil : "7bit")
            copy(entity.body)
            return true
        }
        // RFC 2045 §6.4: a multipart is never encoded itself.
        guard !entity.transfer.isEncoded, let boundary = type.boundary else { return false }
        let split = MIMEParts(in: message.span, body: entity.body, boundary: boundary)
        guard !split.parts.isEmpty, !split.isTooMany else { return false }
        parts += split.parts.count
        guard parts <= MIMEParts.partsMax else { return false }
        copyHeader(entity, encoding: entity.transfer == .sevenBit ? nil : "7bit")
        // RFC 2046 §5.1.1: preamble and epilogue are to be ignored, so they may go.
        if isClean(split.preamble) { copy(split.preamble) }
        for (i, part) in split.parts.enumerated() {
            copy(split.delimiters[i])
            guard convert(part, parent: type, depth: depth + 1) else { return false }
        }
        if split.isClosed, let last = split.delimiters.last { copy(last) }
        if isClean(split.epilogue) { copy(split.epilogue) }
        return true
    }

    /// A message within the message.
    // RFC 2046 §5.2.1
    private mutating func wrapped(_ entity: MIMEEntity, depth: Int) -> Bool {
        guard !entity.transfer.isEncoded else {
            guard isClean(entity.body) else { return false }
            copy(entity.range)
            return true
        }
        copyHeader(entity, encoding: entity.transfer == .sevenBit ? nil : "7bit")
        return convert(entity.body, parent: nil, depth: depth + 1)
    }

    private mutating func leaf(_ entity: MIMEEntity, _ type: ContentType, isTop: Bool) -> Bool {
        if isClean(entity.body) {
            let isMislabelled = entity.transfer == .eightBit || entity.transfer == .binary
            copyHeader(entity, encoding: isMislabelled ? "7bit" : nil)
            copy(entity.body)
            return true
        }
        guard !entity.transfer.isEncoded, entity.transfer != .unknown, mayBeEncoded(type) else { return false }
        let source = message
        let body = source.span.extracting(entity.body)
        let isText = type.isType("text") || type.isType("message")
        if isText, body.count <= 76 || Self.quotedOctets(body) <= body.count * 2 {
            copyHeader(entity, encoding: "quoted-printable", isTop: isTop)
            QuotedPrintable.append(body, to: &out)
        } else {
            copyHeader(entity, encoding: "base64", isTop: isTop)
            appendBase64(body)
        }
        return true
    }

    /// RFC 2046 §5.2, RFC 3464 §2.1: most subtypes of message are 7-bit by definition; those of RFC 6532 and RFC 6533 are
    /// not.
    private func mayBeEncoded(_ type: ContentType) -> Bool {
        guard type.isType("message") else { return true }
        return type.subtype.starts(with: Array("global".utf8))
    }

    // MARK: Writing

    private mutating func copy(_ range: Range<Int>) { out.append(contentsOf: message[range]) }

    /// The header section and its empty line; with an encoding, that one instead of any there was.
    private mutating func copyHeader(_ entity: MIMEEntity, encoding: StaticString?, isTop: Bool = false) {
        guard let encoding else { return copy(entity.range.lowerBound..<entity.body.lowerBound) }
        var hasVersion = false
        let source = message
        for field in entity.header {
            if field.isNamed("mime-version", in: source.span) { hasVersion = true }
            if field.isNamed("content-transfer-encoding", in: source.span) { continue }
            copy(field.range)
            if out.last != ASCII.lf { out.append(ascii: "\r\n") }
        }
        // RFC 2045 §4
        if isTop, !hasVersion { out.append(ascii: "MIME-Version: 1.0\r\n") }
        if !entity.hasContentType, encoding.utf8CodeUnitCount != 4 {
            // RFC 1428 §3: text whose character set nobody named.
            out.append(ascii: "Content-Type: text/plain; charset=unknown-8bit\r\n")
        }
        out.append(ascii: "Content-Transfer-Encoding: ")
        out.append(ascii: encoding)
        out.append(ascii: "\r\n\r\n")
    }

    // RFC 2045 §6.8
    private mutating func appendBase64(_ body: Span<UInt8>) {
        var i = 0
        while i < body.count {
            let end = min(i + 57, body.count)
            out.append(contentsOf: Base64.encode(Array(body.extracting(i..<end))))
            if end < body.count { out.append(ascii: "\r\n") }
            i = end
        }
        // The line end of a body that is the whole message.
        if body.count > 0 { out.append(ascii: "\r\n") }
    }

    // MARK: Looking

    private func isClean(_ range: Range<Int>) -> Bool { Self.isClean(message[range]) }

    /// 7-bit lines of at most 998 octets that end with CRLF, without NUL.
    private static func isClean(_ bytes: ArraySlice<UInt8>) -> Bool {
        var length = 0
        var previous: UInt8 = 0
        for c in bytes {
            if c == ASCII.lf {
                guard previous == ASCII.cr else { return false }
                length = 0
            } else {
                guard previous != ASCII.cr, c < 0x80, c != ASCII.nul else { return false }
                if c != ASCII.cr { length += 1 }
                guard length <= lineOctetsMax else { return false }
            }
            previous = c
        }
        return previous != ASCII.cr
    }

    /// About as many octets as quoted-printable takes, soft line breaks aside.
    private static func quotedOctets(_ body: Span<UInt8>) -> Int {
        var n = 0
        for i in 0..<body.count {
            let c = body[i]
            n += c >= 0x7F || c == ASCII.equals || c < ASCII.tab ? 3 : 1
        }
        return n
    }
}
