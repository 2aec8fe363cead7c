import Base

/// What a driver may want to know of the transaction to answer a question about it.
extension SMTPSession {
    /// MAIL's SIZE parameter; nil when it was not given or no transaction is open.
    package var declaredSize: UInt64? { transaction?.envelope.declaredSize }

    /// MAIL's AUTH parameter (RFC 4954 §5), decoded; empty: none, `<>`, or nobody logged in.
    package var author: [UInt8] {
        guard identity != nil, let author = transaction?.envelope.author else { return [] }
        // The null mailbox is valid xtext too.
        return author.elementsEqual([ASCII.less, ASCII.greater]) ? [] : XText.decode(author.span) ?? []
    }

    /// MAIL's parameters that mean something, each as a client writes it.
    package var mailParameters: [[UInt8]] {
        guard let envelope = transaction?.envelope else { return [] }
        var out: [[UInt8]] = []
        func put(_ text: String, _ value: [UInt8] = []) { out.append(Array(text.utf8) + value) }
        if let size = envelope.declaredSize { put("SIZE=\(size)") }
        switch envelope.bodyType {
        case .sevenBit: break
        case .eightBitMIME: put("BODY=8BITMIME")
        case .binaryMIME: put("BODY=BINARYMIME")
        }
        if envelope.smtpUTF8 { put("SMTPUTF8") }
        if envelope.requireTLS { put("REQUIRETLS") }
        if let ret = envelope.ret { put(ret == .full ? "RET=FULL" : "RET=HDRS") }
        if let envid = envelope.envid { put("ENVID=", envid) }
        if let author = envelope.author { put("AUTH=", author) }
        return out
    }

    /// RCPT's parameters, while its question is open, each as a client writes it.
    package func recipientParameters(_ ticket: Ticket) -> [[UInt8]] {
        guard let recipient = queue.recipient(of: ticket) else { return [] }
        var out: [[UInt8]] = []
        if !recipient.notify.isEmpty { out.append(Array("NOTIFY=\(recipient.notify.text)".utf8)) }
        if let orcpt = recipient.orcpt { out.append(Array("ORCPT=".utf8) + orcpt) }
        return out
    }
}
