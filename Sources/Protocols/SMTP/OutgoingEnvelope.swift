/// What a client session needs to know of a message to offer it: neutral to where it comes from. The body stays with
/// the caller, who writes it when the session asks.
package struct OutgoingEnvelope: Sendable {
    package enum Body: Sendable {
        case sevenBit
        case eightBit
        case binary
    }

    /// The reverse path without angle brackets; empty for a bounce.
    package var sender: [UInt8]
    /// Forward paths without angle brackets. RFC 5321 §4.5.3.1.8: 100 are always taken; the caller bounds the rest.
    package var recipients: [[UInt8]]
    /// Bytes of the body before dot-stuffing. BDAT needs it exactly, SIZE declares it.
    package var size: Int
    package var body: Body = .sevenBit
    package var smtpUTF8 = false
    package var requireTLS = false
    /// ESMTP parameters for MAIL (RET, ENVID, AUTH…), space before each; written only to servers with DSN.
    package var senderParameters: [UInt8] = []
    /// NOTIFY and ORCPT for each recipient, by index, space before each; empty, or as long as `recipients`.
    package var recipientParameters: [[UInt8]] = []

    package init(sender: [UInt8], recipients: [[UInt8]], size: Int) {
        self.sender = sender
        self.recipients = recipients
        self.size = size
    }

    /// Whether every path and parameter can be written on a command line without ending it.
    var isWritable: Bool {
        recipients.count > 0 && Self.isLine(sender) && Self.isLine(senderParameters)
            && recipients.allSatisfy { !$0.isEmpty && Self.isLine($0) } && recipientParameters.allSatisfy(Self.isLine)
            && (recipientParameters.isEmpty || recipientParameters.count == recipients.count)
    }

    private static func isLine(_ bytes: [UInt8]) -> Bool {
        for c in bytes where c < 0x20 || c == 0x7F { return false }
        return true
    }
}
