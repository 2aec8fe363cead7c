import Base

extension DeliveryReport {
    /// The part that programs read.
    // RFC 3464 §2.1, RFC 6533 §4.1
    func statusPart() -> Part {
        var out: [UInt8] = []
        out.reserveCapacity(200 + recipients.count * 300)
        appendMessageFields(to: &out)
        for recipient in recipients.prefix(Self.recipientsMax) {
            // RFC 3464 §2.1: an empty line before each group.
            out.append(ascii: "\r\n")
            append(recipient, to: &out)
        }
        // RFC 6533 §4.4: the traditional type where nothing is lost by it; more programs read that.
        let isGlobal = !SafeText.isASCII(out)
        let type = isGlobal ? "message/global-delivery-status" : "message/delivery-status"
        return Part(
            type: Array(type.utf8), title: Array("Delivery report".utf8), encoding: isGlobal ? .eightBit : .sevenBit,
            content: out)
    }

    private func appendMessageFields(to out: inout [UInt8]) {
        if !envelopeID.isEmpty {
            // RFC 3461 §6.3 (a): decoded.
            out.append(ascii: "Original-Envelope-Id: ")
            out.append(contentsOf: Self.decodedXText(envelopeID))
            out.append(ascii: "\r\n")
        }
        // RFC 3461 §6.3 (b)
        out.append(ascii: "Reporting-MTA: dns; ")
        out.append(contentsOf: safeHost(hostname))
        out.append(ascii: "\r\n")
        if !receivedFrom.isEmpty {
            out.append(ascii: "Received-From-MTA: dns; ")
            out.append(contentsOf: safeHost(receivedFrom))
            out.append(ascii: "\r\n")
        }
        Self.append(date: arrival, named: "Arrival-Date: ", to: &out)
    }

    // RFC 3464 §2.3
    private func append(_ recipient: Recipient, to out: inout [UInt8]) {
        if !recipient.original.isEmpty {
            // RFC 3461 §6.3 (d)
            out.append(ascii: "Original-Recipient: ")
            out.append(contentsOf: originalRecipient(recipient.original))
            out.append(ascii: "\r\n")
        }
        out.append(ascii: "Final-Recipient: ")
        out.append(contentsOf: finalRecipient(recipient.address))
        out.append(ascii: "\r\nAction: ")
        out.append(contentsOf: recipient.action.rawValue.utf8)
        out.append(ascii: "\r\nStatus: ")
        out.append(decimal: recipient.status.category)
        out.append(ASCII.dot)
        out.append(decimal: recipient.status.subject)
        out.append(ASCII.dot)
        out.append(decimal: recipient.status.detail)
        out.append(ascii: "\r\n")
        if !recipient.remote.isEmpty {
            // RFC 3461 §6.3 (h)
            out.append(ascii: "Remote-MTA: dns; ")
            out.append(contentsOf: safeHost(recipient.remote))
            out.append(ascii: "\r\n")
        }
        appendDiagnostic(recipient, to: &out)
        if let last = recipient.lastAttempt { Self.append(date: last, named: "Last-Attempt-Date: ", to: &out) }
        // RFC 3464 §2.3.9: for delayed recipients only.
        if recipient.action == .delayed, let until = recipient.retryUntil {
            Self.append(date: until, named: "Will-Retry-Until: ", to: &out)
        }
    }

    private func finalRecipient(_ address: [UInt8]) -> [UInt8] {
        if SafeText.isASCII(address) {
            return Array("rfc822; ".utf8) + SafeText.word(address, octetsMax: 500, allowsUTF8: false)
        }
        // RFC 6533 §3: the 7-bit form outside message/global-delivery-status.
        let text =
            usesUTF8
            ? SafeText.word(address, octetsMax: 500, allowsUTF8: true) : Unitext.encode(Array(address.prefix(100)))
        return Array("utf-8; ".utf8) + text
    }

    /// `type;address` with the address decoded; as it came where decoding would not give a clean text.
    private func originalRecipient(_ orcpt: [UInt8]) -> [UInt8] {
        guard let semicolon = orcpt.firstIndex(of: ASCII.semicolon) else {
            return SafeText.word(orcpt, octetsMax: 500, allowsUTF8: usesUTF8)
        }
        let type = SafeText.word(Array(orcpt[..<semicolon]), octetsMax: 60, allowsUTF8: false)
        let address = Array(orcpt[(semicolon + 1)...].prefix(500))
        guard ASCII.equalIgnoringCase(type.span, "utf-8") else {
            return type + [ASCII.semicolon] + Self.decodedXText(address)
        }
        // RFC 6533 §4.1: up-converted where UTF-8 may stand, 7-bit elsewhere.
        let plain = Unitext.decode(address)
        let text: [UInt8]
        if usesUTF8 {
            text = SafeText.word(plain ?? address, octetsMax: 500, allowsUTF8: true)
        } else {
            text = SafeText.isASCII(address) ? address : Unitext.encode(plain ?? address)
        }
        return type + [ASCII.semicolon] + SafeText.word(text, octetsMax: 900, allowsUTF8: usesUTF8)
    }

    /// The octets an xtext stands for; the xtext itself when they are no printable ASCII (a line end must not get in).
    private static func decodedXText(_ text: [UInt8]) -> [UInt8] {
        if let plain = XText.decode(text.span), plain.allSatisfy(ASCII.isPrintable) { return Array(plain.prefix(500)) }
        return SafeText.word(text, octetsMax: 500, allowsUTF8: false)
    }

    /// RFC 3461 §9.2: the code on each line of the reply; what no server said is not of type smtp.
    private func appendDiagnostic(_ recipient: Recipient, to out: inout [UInt8]) {
        guard recipient.code != nil || !recipient.text.isEmpty else { return }
        out.append(ascii: recipient.code == nil ? "Diagnostic-Code: X-Martlet; " : "Diagnostic-Code: smtp; ")
        let lines = ReportText.replyLines(code: recipient.code, text: recipient.text, allowsUTF8: usesUTF8)
        for (i, line) in lines.enumerated() {
            if i > 0 { out.append(ascii: "\r\n\t") }
            ReportText.appendWrapped(line, column: i == 0 ? 24 : 8, separator: "\r\n\t", to: &out)
        }
        out.append(ascii: "\r\n")
    }

    private static func append(date: WallTime, named name: StaticString, to out: inout [UInt8]) {
        out.append(ascii: name)
        DateTime(date).append(to: &out)
        out.append(ascii: "\r\n")
    }
}
