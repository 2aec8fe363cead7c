import Base

/// A delivery status notification that came from elsewhere, as data. Only a real report is one: multipart/report of type
/// delivery-status with a status part that names a recipient. Hostile input: bounded by the constants below.
// RFC 3464 §2
package struct ReceivedReport: Sendable, Hashable {
    /// Octets of the message that are looked at.
    package static let octetsMax = 1_048_576
    package static let recipientsMax = 100
    /// Octets of one value that are kept.
    package static let valueOctetsMax = 1_000

    package struct Recipient: Sendable, Hashable {
        /// Without its type; octets as they came.
        package var address: [UInt8] = []
        /// Original-Recipient without its type; empty: none.
        package var original: [UInt8] = []
        package var action: DeliveryReport.Action?
        package var status: EnhancedStatus?
        package var remote: [UInt8] = []
        package var diagnostic: [UInt8] = []

        package init() {}
    }

    /// Empty: none.
    package private(set) var envelopeID: [UInt8] = []
    package private(set) var reportingMTA: [UInt8] = []
    package private(set) var recipients: [Recipient] = []

    /// nil: no such report.
    package init?(_ message: [UInt8]) {
        let bytes = Array(message.prefix(Self.octetsMax))
        let top = MIMEEntity(in: bytes.span, range: 0..<bytes.count)
        guard let type = top.contentType, type.is("multipart", "report"), let boundary = type.boundary,
            let kind = type.parameter("report-type"), ASCII.equalIgnoringCase(kind.span, "delivery-status")
        else { return nil }
        // RFC 6522 §3: the second part; some put more text before it.
        let split = MIMEParts(in: bytes.span, body: top.body, boundary: boundary, limit: 10)
        for range in split.parts {
            let part = MIMEEntity(in: bytes.span, range: range)
            guard let type = part.contentType,
                type.is("message", "delivery-status") || type.is("message", "global-delivery-status")
            else { continue }
            read(MIMEBody.decoded(part, in: bytes.span))
            break
        }
        guard !recipients.isEmpty else { return nil }
    }

    /// Groups of fields, parted by empty lines.
    private mutating func read(_ status: [UInt8]) {
        let bytes = status.span
        var at = 0
        while at < bytes.count, recipients.count < Self.recipientsMax {
            var parser = HeaderParser(at: at)
            var recipient = Recipient()
            while let field = parser.next(in: bytes) { read(field, bytes, &recipient) }
            if !recipient.address.isEmpty || !recipient.original.isEmpty { recipients.append(recipient) }
            at = max(parser.bodyStart ?? bytes.count, at + 1)
        }
    }

    private mutating func read(_ field: HeaderField, _ bytes: Span<UInt8>, _ recipient: inout Recipient) {
        if field.isNamed("final-recipient", in: bytes) {
            recipient.address = Self.typed(field, bytes)
        } else if field.isNamed("original-recipient", in: bytes) {
            recipient.original = Self.typed(field, bytes)
        } else if field.isNamed("action", in: bytes) {
            recipient.action = Self.action(field.unfolded(in: bytes))
        } else if field.isNamed("status", in: bytes) {
            recipient.status = Self.status(field.unfolded(in: bytes))
        } else if field.isNamed("remote-mta", in: bytes) {
            recipient.remote = Self.typed(field, bytes)
        } else if field.isNamed("diagnostic-code", in: bytes) {
            recipient.diagnostic = Self.typed(field, bytes)
        } else if field.isNamed("original-envelope-id", in: bytes) {
            envelopeID = Array(field.unfolded(in: bytes).prefix(Self.valueOctetsMax))
        } else if field.isNamed("reporting-mta", in: bytes) {
            reportingMTA = Self.typed(field, bytes)
        }
    }

    /// What follows `type;`.
    private static func typed(_ field: HeaderField, _ bytes: Span<UInt8>) -> [UInt8] {
        let value = field.unfolded(in: bytes)
        guard let semicolon = value.firstIndex(of: ASCII.semicolon) else { return [] }
        let rest = value[(semicolon + 1)...].drop { $0 == ASCII.space || $0 == ASCII.tab }
        return Array(rest.prefix(valueOctetsMax))
    }

    private static func action(_ value: [UInt8]) -> DeliveryReport.Action? {
        let word = Array(value.prefix { ASCII.isAlpha($0) })
        return DeliveryReport.Action.allCases.first { Array($0.rawValue.utf8) == ASCII.lowercased(word) }
    }

    // RFC 3464 §2.3.4: a comment may follow.
    private static func status(_ value: [UInt8]) -> EnhancedStatus? {
        let digits = Array(value.prefix { ASCII.isDigit($0) || $0 == ASCII.dot })
        guard let found = EnhancedStatusValue(prefixOf: digits) else { return nil }
        return EnhancedStatus(found.statusClass, found.subject, found.detail)
    }
}

/// The octets a part stands for.
enum MIMEBody {
    static func decoded(_ part: MIMEEntity, in message: Span<UInt8>) -> [UInt8] {
        let body = message.extracting(part.body)
        switch part.transfer {
        case .sevenBit, .eightBit, .binary, .unknown: return Array(body)
        case .quotedPrintable: return QuotedPrintable.decode(body)
        case .base64: return base64(body)
        }
    }

    // RFC 2045 §6.8: line ends and other strangers are ignored, padding ends it.
    private static func base64(_ text: Span<UInt8>) -> [UInt8] {
        var kept: [UInt8] = []
        kept.reserveCapacity(text.count)
        for i in 0..<text.count {
            let c = text[i]
            if ASCII.isAlphanumeric(c) || c == ASCII.plus || c == ASCII.slash { kept.append(c) }
            if c == ASCII.equals { break }
        }
        if kept.count % 4 == 1 { kept.removeLast() }
        // Stray bits of a last group that was cut are nothing.
        let whole = kept.count / 4 * 4
        var out = Base64.decode(kept.span.extracting(0..<whole)) ?? []
        switch kept.count - whole {
        case 2: out.append(contentsOf: tail(Array(kept[whole...]) + [0x41, 0x41]).prefix(1))
        case 3: out.append(contentsOf: tail(Array(kept[whole...]) + [0x41]).prefix(2))
        default: break
        }
        return out
    }

    private static func tail(_ group: [UInt8]) -> [UInt8] { Base64.decode(group.span) ?? [] }
}
