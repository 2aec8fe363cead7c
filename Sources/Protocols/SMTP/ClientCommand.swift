import Base

/// Writes client commands. The envelope was checked by `isWritable`.
enum ClientCommand {
    static func mail(_ envelope: OutgoingEnvelope, _ peer: PeerCapabilities, to output: inout [UInt8]) {
        output.append(ascii: "MAIL FROM:<")
        output.append(contentsOf: envelope.sender)
        output.append(ASCII.greater)
        if peer.size {
            output.append(ascii: " SIZE=")
            output.append(decimal: envelope.size)
        }
        switch envelope.body {
        case .sevenBit: break
        case .eightBit: output.append(ascii: " BODY=8BITMIME")
        case .binary: output.append(ascii: " BODY=BINARYMIME")
        }
        if envelope.smtpUTF8 { output.append(ascii: " SMTPUTF8") }
        if envelope.requireTLS { output.append(ascii: " REQUIRETLS") }
        if peer.dsn { output.append(contentsOf: envelope.senderParameters) }
        output.append(ascii: "\r\n")
    }

    static func recipient(
        _ index: Int, _ envelope: OutgoingEnvelope, _ peer: PeerCapabilities, to output: inout [UInt8]
    ) {
        output.append(ascii: "RCPT TO:<")
        output.append(contentsOf: envelope.recipients[index])
        output.append(ASCII.greater)
        if peer.dsn, index < envelope.recipientParameters.count {
            output.append(contentsOf: envelope.recipientParameters[index])
        }
        output.append(ascii: "\r\n")
    }

    static func chunk(_ length: Int, isLast: Bool, to output: inout [UInt8]) {
        output.append(ascii: "BDAT ")
        output.append(decimal: length)
        output.append(ascii: isLast ? " LAST\r\n" : "\r\n")
    }

    static func hello(_ verb: StaticString, _ name: [UInt8], to output: inout [UInt8]) {
        output.append(ascii: verb)
        output.append(ASCII.space)
        output.append(contentsOf: name)
        output.append(ascii: "\r\n")
    }
}
