/// Where a client conversation stands: names the command a reply answers.
package enum ClientStage: Sendable, Equatable {
    case greeting, hello, startTLS, authentication, ready, sender, recipient, data, chunk, endOfMessage, reset, quit
}

/// Why a client session cannot go on with its connection.
package enum ClientFailure: Error, Sendable, Equatable {
    /// The server's bytes are no reply.
    case badReply(ReplyError)
    /// RFC 5321 §3.8: 421, at any time.
    case closing(ClientStage, ServerReply)
    /// The connection cannot be used: greeting, EHLO, authentication or a needed STARTTLS was refused.
    case refused(ClientStage, ServerReply)
    /// A code that the command cannot have.
    case unexpected(ClientStage, ServerReply)
    /// A reply to nothing that was asked.
    case unsolicited(ServerReply)
    /// RFC 3207 §4: TLS is required and not offered.
    case noTLS
    /// Bytes behind the 220 to STARTTLS, in the clear: an injection.
    case bytesBehindStartTLS
    /// AUTH is required and no mechanism of ours is offered.
    case noMechanism
    /// The transport ended first.
    case lost(ClientStage)
}

/// How a message ended. Every `submit` ends in exactly one.
package struct TransferOutcome: Sendable, Equatable {
    package enum Verdict: Sendable, Equatable {
        /// The message is the server's now, for the recipients it accepted.
        case accepted(ServerReply)
        /// LMTP (RFC 2033 §4.2): each recipient's own reply holds the result.
        case perRecipient
        /// The command named refused it for all recipients.
        case rejected(ClientStage, ServerReply)
        /// No recipient was accepted; the replies are theirs.
        case noRecipients
        /// The server lacks an extension the message needs; nothing was sent.
        case unsupported(Need)
        /// The connection failed with the result unknown (or none).
        case interrupted(ClientFailure)
        /// A path or parameter cannot be written on a command line.
        case invalidEnvelope
    }
    package enum Need: Sendable, Equatable {
        case size, eightBitMIME, binaryMIME, smtpUTF8, requireTLS
    }

    package var verdict: Verdict
    /// By index of the envelope's recipients; nil where no reply came.
    package var recipients: [ServerReply?]

    package init(verdict: Verdict, recipients: [ServerReply?]) {
        self.verdict = verdict
        self.recipients = recipients
    }
}

/// What the session wants done, in order. Bytes in `SMTPClientSession.output` are written before an effect is acted on.
package enum ClientEffect: Sendable, Equatable {
    /// 220 came.
    case greeted
    /// Start the TLS handshake, then call `secured()`.
    case startTLS
    /// EHLO (or HELO) was accepted: `capabilities` holds.
    case introduced
    /// A message may be submitted.
    case ready
    /// The server answered MAIL with 2xx.
    case senderAccepted
    /// The server answered the last RCPT.
    case recipientsAnswered
    /// Write the whole body dot-stuffed and ended (`DotStuffer`), then call `bodyWritten()`.
    case writeStuffedBody
    /// Write this range of the body as it is, then call `bodyWritten()`.
    case writeChunk(Range<Int>)
    case finished(TransferOutcome)
    case failed(ClientFailure)
    /// Nothing more will be said: flush and close.
    case close
}
