import Base

/// The third part of a report: the message it is about, or its header, without the fields nobody but its sender may see.
struct OriginalPart {
    let part: DeliveryReport.Part
    // RFC 5322 §2.1.1
    private static let lineOctetsMax = 998

    init(_ report: DeliveryReport) {
        let original = report.original
        let (header, bodyStart) = Self.header(of: original)
        let isASCII = SafeText.isASCII(header)
        // RFC 6532 §3.7: message/global is UTF-8.
        let isGlobal = !isASCII && original.isInternational && UTF8Check.isValid(header.span)
        let body = original.bytes[min(bodyStart, original.bytes.count)...]
        if report.returnsBody, original.isWhole, isASCII || isGlobal, Self.areLines(header), Self.areLines(Array(body))
        {
            part = Self.whole(header + Array("\r\n".utf8) + body, isGlobal: isGlobal, report)
        } else {
            part = Self.headerOnly(header, isGlobal: isGlobal, report)
        }
    }

    private static func whole(
        _ message: [UInt8], isGlobal: Bool, _ report: DeliveryReport
    ) -> DeliveryReport.Part {
        let title = Array("Your message".utf8)
        let is8bit = !SafeText.isASCII(message)
        guard isGlobal else {
            // RFC 2046 §5.2.1: never encoded. Where 8 bits cannot pass, the whole report is converted on its way.
            return DeliveryReport.Part(
                type: Array("message/rfc822".utf8), title: title, encoding: is8bit ? .eightBit : .sevenBit,
                content: message)
        }
        // RFC 6533 §4.5: 7-bit unless the way back is known to take UTF-8.
        return DeliveryReport.Part(
            type: Array("message/global".utf8), title: title,
            encoding: report.allowsUTF8 ? .eightBit : .quotedPrintable,
            content: report.allowsUTF8 ? message : QuotedPrintable.encode(message.span))
    }

    private static func headerOnly(
        _ header: [UInt8], isGlobal: Bool, _ report: DeliveryReport
    ) -> DeliveryReport.Part {
        let title = Array("Header of your message".utf8)
        let isPlain = SafeText.isASCII(header) && areLines(header)
        if isGlobal {
            let isRaw = report.allowsUTF8 && areLines(header)
            return DeliveryReport.Part(
                type: Array("message/global-headers".utf8), title: title,
                encoding: isRaw ? .eightBit : .quotedPrintable,
                content: isRaw ? header : QuotedPrintable.encode(header.span))
        }
        // RFC 6522 §4: headers that are not 7-bit lines may be in quoted-printable.
        return DeliveryReport.Part(
            type: Array("text/rfc822-headers".utf8), title: title, encoding: isPlain ? .sevenBit : .quotedPrintable,
            content: isPlain ? header : QuotedPrintable.encode(header.span))
    }

    /// The well-formed fields with CRLF line ends, and where the body begins. Of a header that was cut the last field is
    /// left out.
    private static func header(of original: DeliveryReport.Original) -> ([UInt8], Int) {
        let bytes = original.bytes.span
        var parser = HeaderParser()
        var out: [UInt8] = []
        out.reserveCapacity(min(bytes.count, 65_536))
        var lastStart = 0
        var lastEnd = 0
        while let field = parser.next(in: bytes) {
            // RFC 5321 §7.2: blind copies stay blind.
            if field.isNamed("bcc", in: bytes) || field.isNamed("resent-bcc", in: bytes) { continue }
            lastStart = out.count
            lastEnd = field.range.upperBound
            appendLines(bytes.extracting(field.range), to: &out)
        }
        let bodyStart = parser.bodyStart ?? bytes.count
        if !original.isWhole, lastEnd == bytes.count { out.removeSubrange(lastStart...) }
        return (out, bodyStart)
    }

    /// Line ends become CRLF; NUL goes.
    private static func appendLines(_ field: Span<UInt8>, to out: inout [UInt8]) {
        for i in 0..<field.count {
            let c = field[i]
            switch c {
            case ASCII.nul: break
            case ASCII.cr: if i + 1 == field.count || field[i + 1] != ASCII.lf { out.append(ASCII.space) }
            case ASCII.lf:
                out.append(ASCII.cr)
                out.append(ASCII.lf)
            default: out.append(c)
            }
        }
        if out.last != ASCII.lf { out.append(ascii: "\r\n") }
    }

    /// Whether every line ends with CRLF and is short enough, with no stray CR, LF or NUL.
    static func areLines(_ bytes: [UInt8]) -> Bool {
        var length = 0
        var i = 0
        while i < bytes.count {
            let c = bytes[i]
            if c == ASCII.cr {
                guard i + 1 < bytes.count, bytes[i + 1] == ASCII.lf else { return false }
                length = 0
                i += 2
                continue
            }
            guard c != ASCII.lf, c != ASCII.nul else { return false }
            length += 1
            guard length <= lineOctetsMax else { return false }
            i += 1
        }
        return true
    }

    /// The message's Message-ID, if it is one that can stand in a field of ours.
    static func messageID(of message: [UInt8]) -> [UInt8]? {
        let bytes = message.span
        var parser = HeaderParser()
        while let field = parser.next(in: bytes) {
            guard field.isNamed("message-id", in: bytes) else { continue }
            let value = field.unfolded(in: bytes)
            guard value.count >= 5, value.count <= 500, value.first == ASCII.less, value.last == ASCII.greater,
                value.contains(ASCII.at), value.dropFirst().dropLast().allSatisfy(isIDCharacter)
            else { return nil }
            return value
        }
        return nil
    }

    private static func isIDCharacter(_ c: UInt8) -> Bool {
        c > 0x20 && c < 0x7F && c != ASCII.less && c != ASCII.greater
    }
}
