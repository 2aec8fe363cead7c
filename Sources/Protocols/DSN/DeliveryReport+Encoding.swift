import Base

extension DeliveryReport {
    /// Whether parts and fields are in the forms of RFC 6533.
    var usesUTF8: Bool {
        allowsUTF8
            && (!SafeText.isASCII(sender) || original.isInternational
                || recipients.contains { !SafeText.isASCII($0.address) })
    }

    /// The whole message.
    // RFC 3461 §6.2, RFC 6522 §3: multipart/report of three parts.
    package func encoded() -> Encoded {
        let parts = [textPart(), statusPart(), OriginalPart(self).part]
        let boundary = Self.boundary(token: safeToken, avoiding: parts)
        var out: [UInt8] = []
        out.reserveCapacity(2_048 + parts.reduce(0) { $0 + $1.content.count + 200 })
        appendHeader(boundary: boundary, to: &out)
        for part in parts {
            out.append(ascii: "\r\n--")
            out.append(contentsOf: boundary)
            out.append(ascii: "\r\nContent-Type: ")
            out.append(contentsOf: part.type)
            out.append(ascii: "\r\nContent-Description: ")
            out.append(contentsOf: part.title)
            out.append(ascii: "\r\nContent-Transfer-Encoding: ")
            out.append(contentsOf: part.encoding.rawValue.utf8)
            out.append(ascii: "\r\n\r\n")
            out.append(contentsOf: part.content)
        }
        out.append(ascii: "\r\n--")
        out.append(contentsOf: boundary)
        out.append(ascii: "--\r\n")
        let has8bit = ByteScan.containsNonASCII(out.span)
        return Encoded(bytes: out, has8bit: has8bit, needsUTF8: usesUTF8 && has8bit)
    }

    /// A body part with its content already in its transfer encoding.
    struct Part {
        enum Encoding: String {
            case sevenBit = "7bit"
            case eightBit = "8bit"
            case quotedPrintable = "quoted-printable"
        }
        var type: [UInt8]
        var title: [UInt8]
        var encoding: Encoding
        var content: [UInt8]
    }

    // MARK: Header

    private var kind: Action { recipients.first?.action ?? .failed }

    private var safeToken: [UInt8] {
        let kept = token.prefix(40).filter {
            ASCII.isAlphanumeric($0) || $0 == ASCII.dot || $0 == ASCII.hyphen || $0 == 0x5F
        }
        return kept.isEmpty ? Array("report".utf8) : kept
    }

    private func appendHeader(boundary: [UInt8], to out: inout [UInt8]) {
        out.append(ascii: "Date: ")
        DateTime(now).append(to: &out)
        // RFC 3464 §2: from a person who answers for the reporting system.
        out.append(ascii: "\r\nFrom: Mail Delivery System <postmaster@")
        out.append(contentsOf: safeHost(hostname))
        out.append(ascii: ">\r\nTo: <")
        out.append(contentsOf: SafeText.word(sender, octetsMax: 500, allowsUTF8: allowsUTF8))
        out.append(ascii: ">\r\nSubject: ")
        switch kind {
        case .failed: out.append(ascii: "Undelivered mail: your message could not be delivered")
        case .delayed: out.append(ascii: "Delayed mail: your message is still being tried")
        case .delivered, .relayed, .expanded: out.append(ascii: "Delivery confirmation: your message was delivered")
        }
        out.append(ascii: "\r\nMessage-ID: <dsn.")
        out.append(contentsOf: safeToken)
        out.append(ASCII.at)
        out.append(contentsOf: safeHost(hostname))
        out.append(ascii: ">\r\n")
        if let id = OriginalPart.messageID(of: original.bytes) {
            out.append(ascii: "In-Reply-To: ")
            out.append(contentsOf: id)
            out.append(ascii: "\r\nReferences: ")
            out.append(contentsOf: id)
            out.append(ascii: "\r\n")
        }
        // RFC 3834 §5
        out.append(ascii: "Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n")
        out.append(ascii: "Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"")
        out.append(contentsOf: boundary)
        out.append(ascii: "\"\r\n\r\nThis is a delivery status notification in MIME format.\r\n")
    }

    /// A text that none of the parts contains: the token, with a number behind it that never follows it there. One pass,
    /// though the parts may have been written with the token in mind.
    private static func boundary(token: [UInt8], avoiding parts: [Part]) -> [UInt8] {
        let base = Array("=_".utf8) + token
        var isTaken = false
        var numbers: Set<Int> = []
        for part in parts { note(base, in: part.content, &isTaken, &numbers) }
        guard isTaken else { return base }
        var n = 1
        while numbers.contains(n) { n += 1 }
        return base + Array("_\(n)".utf8)
    }

    /// Notes whether `base` occurs, and every number that could be read behind it.
    private static func note(_ base: [UInt8], in content: [UInt8], _ isTaken: inout Bool, _ numbers: inout Set<Int>) {
        var i = 0
        while let j = ByteScan.firstIndex(of: ASCII.equals, in: content.span, from: i), j + base.count <= content.count
        {
            i = j + 1
            guard content[j..<j + base.count].elementsEqual(base) else { continue }
            isTaken = true
            var number = 0
            var k = j + base.count + 1
            while k < content.count, k < j + base.count + 9, ASCII.isDigit(content[k]) {
                number = number * 10 + Int(content[k] &- 0x30)
                numbers.insert(number)
                k += 1
            }
        }
    }

    /// What a domain name or an address literal is made of.
    func safeHost(_ name: [UInt8]) -> [UInt8] {
        let kept = name.prefix(255).map { c in
            ASCII.isAlphanumeric(c) || c == ASCII.dot || c == ASCII.hyphen || c == ASCII.colon || c == 0x5F
                || c == ASCII.leftBracket || c == ASCII.rightBracket ? c : 0x3F
        }
        return kept.isEmpty ? Array("unknown".utf8) : kept
    }

    // MARK: Text

    private func textPart() -> Part {
        let text = ReportText(self).bytes
        let isASCII = SafeText.isASCII(text)
        let title = Array("Notification".utf8)
        if isASCII {
            return Part(
                type: Array("text/plain; charset=us-ascii".utf8), title: title, encoding: .sevenBit, content: text)
        }
        return Part(
            type: Array("text/plain; charset=utf-8".utf8), title: title,
            encoding: usesUTF8 ? .eightBit : .quotedPrintable,
            content: usesUTF8 ? text : QuotedPrintable.encode(text.span))
    }
}
