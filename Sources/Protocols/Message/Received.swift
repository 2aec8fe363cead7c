package import Base

/// The trace fields of RFC 5321 §4.4, made from an envelope. Pure; appends to the caller's buffer.
package struct Received {
    package var peer: SMTPPeer
    /// The name the address was resolved to and back, nil when that failed.
    package var reverseName: [UInt8]?
    package var hostname: [UInt8]
    package var software: [UInt8]
    package var id: MessageID
    package var date: WallTime

    package init(
        peer: SMTPPeer, reverseName: [UInt8]?, hostname: [UInt8], software: [UInt8], id: MessageID, date: WallTime
    ) {
        self.peer = peer
        self.reverseName = reverseName
        self.hostname = hostname
        self.software = software
        self.id = id
        self.date = date
    }

    /// `Received:`, folded, with its CRLF.
    package func append(for envelope: Envelope, to out: inout [UInt8]) {
        out.append(ascii: "Received: from ")
        Self.appendName(envelope.helo, to: &out)
        appendPeer(to: &out)
        out.append(ascii: "\r\n\tby ")
        out.append(contentsOf: hostname)
        out.append(ascii: " (")
        out.append(contentsOf: software)
        out.append(ascii: ") with ")
        Self.appendProtocol(envelope, to: &out)
        out.append(ascii: "\r\n\tid ")
        out.append(contentsOf: id.text)
        appendTLS(envelope.tls, to: &out)
        appendFor(envelope, to: &out)
        out.append(ascii: ";\r\n\t")
        DateTime(date).append(to: &out)
        out.append(ascii: "\r\n")
    }

    /// `Return-Path:`, written at final delivery (RFC 5321 §4.4).
    package static func appendReturnPath(_ sender: MailAddress?, to out: inout [UInt8]) {
        out.append(ascii: "Return-Path: <")
        sender?.append(to: &out)
        out.append(ascii: ">\r\n")
    }

    /// Nothing for a Unix socket, which has no address.
    private func appendPeer(to out: inout [UInt8]) {
        guard !peer.address.isEmpty else { return }
        out.append(ascii: " (")
        if let reverseName, !reverseName.isEmpty {
            Self.appendName(reverseName, to: &out)
            out.append(ASCII.space)
        }
        appendAddress(to: &out)
        out.append(ascii: ")")
    }

    private func appendAddress(to out: inout [UInt8]) {
        out.append(ASCII.leftBracket)
        if peer.address.contains(ASCII.colon) { out.append(ascii: "IPv6:") }
        for c in peer.address where ASCII.isAlphanumeric(c) || c == ASCII.colon || c == ASCII.dot { out.append(c) }
        out.append(ASCII.rightBracket)
    }

    private func appendTLS(_ tls: TLSFacts?, to out: inout [UInt8]) {
        guard let tls else { return }
        out.append(ascii: "\r\n\t(version=")
        Self.appendName(tls.version, to: &out)
        out.append(ascii: " cipher=")
        Self.appendName(tls.cipher, to: &out)
        out.append(ascii: ")")
    }

    /// Only for a single recipient: with more, the field would tell each of the others (RFC 5321 §7.2).
    private func appendFor(_ envelope: Envelope, to out: inout [UInt8]) {
        guard envelope.recipients.count == 1, let only = envelope.recipients.first?.address, !only.domain.isEmpty,
            envelope.smtpUTF8 || !only.needsUTF8
        else { return }
        out.append(ascii: "\r\n\tfor <")
        only.append(to: &out)
        out.append(ascii: ">")
    }

    /// RFC 3848 §1; RFC 6531 §4.3 has the UTF8 names.
    private static func appendProtocol(_ envelope: Envelope, to out: inout [UInt8]) {
        guard envelope.isESMTP else { return out.append(ascii: "SMTP") }
        if envelope.isLMTP {
            out.append(ascii: envelope.smtpUTF8 ? "UTF8LMTP" : "LMTP")
        } else {
            out.append(ascii: envelope.smtpUTF8 ? "UTF8SMTP" : "ESMTP")
        }
        if envelope.tls != nil { out.append(0x53) }
        if envelope.identity != nil { out.append(0x41) }
    }

    /// A peer's text inside a field: only what a domain, a literal or a cipher name is made of.
    private static func appendName(_ name: [UInt8], to out: inout [UInt8]) {
        if name.isEmpty { return out.append(ascii: "unknown") }
        for c in name.prefix(255) {
            switch c {
            case ASCII.dot, ASCII.hyphen, ASCII.colon, ASCII.leftBracket, ASCII.rightBracket, 0x5F: out.append(c)
            default: out.append(ASCII.isAlphanumeric(c) ? c : 0x3F)
            }
        }
    }
}
