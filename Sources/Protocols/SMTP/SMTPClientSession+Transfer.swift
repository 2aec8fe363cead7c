import Base

extension SMTPClientSession {
    /// The message under way.
    struct Transfer {
        let envelope: OutgoingEnvelope
        var replies: [ServerReply?]
        var accepted = 0
        /// The reply that refused MAIL, DATA or a chunk.
        var refusal: (stage: ClientStage, reply: ServerReply)?
        var usesChunks = false
        /// Body bytes asked for by `.writeChunk` so far.
        var chunked = 0
        /// Between `.writeStuffedBody` or `.writeChunk` and `bodyWritten()`.
        var isWriting = false
        /// Pipelined DATA or BDAT went out with the recipients.
        var bodyIsOffered = false
    }

    /// Offers a message. Call once for each `.ready`; ends in exactly one `.finished`.
    package mutating func submit(_ envelope: OutgoingEnvelope) {
        guard phase == .ready else {
            return emit(.finished(Self.unsent(envelope, .interrupted(.lost(stage)))))
        }
        if let verdict = refusedLocally(envelope) {
            emit(.finished(Self.unsent(envelope, verdict)))
            return emit(.ready)
        }
        phase = .transferring
        messages += 1
        var new = Transfer(envelope: envelope, replies: Array(repeating: nil, count: envelope.recipients.count))
        // RFC 3030 §3: a binary message goes by BDAT or not at all.
        new.usesChunks = capabilities.chunking && !options.isLMTP && (options.usesChunking || envelope.body == .binary)
        ClientCommand.mail(envelope, capabilities, to: &output)
        expect(.sender)
        transfer = new
        if options.usesPipelining, capabilities.pipelining { pipelineRest(new) }
    }

    /// RFC 2920 §3.1: MAIL, RCPT and DATA as one group. A large first chunk waits for the recipients' replies instead.
    private mutating func pipelineRest(_ new: Transfer) {
        for i in new.envelope.recipients.indices {
            ClientCommand.recipient(i, new.envelope, capabilities, to: &output)
            expect(.recipient(i))
        }
        if !new.usesChunks {
            offerData()
        } else if new.envelope.size <= 65_536 {
            offerChunk()
        }
    }

    private static func unsent(_ envelope: OutgoingEnvelope, _ verdict: TransferOutcome.Verdict) -> TransferOutcome {
        TransferOutcome(verdict: verdict, recipients: Array(repeating: nil, count: envelope.recipients.count))
    }

    private func refusedLocally(_ envelope: OutgoingEnvelope) -> TransferOutcome.Verdict? {
        guard envelope.isWritable, envelope.size >= 0 else { return .invalidEnvelope }
        if let most = capabilities.sizeMaximum, UInt64(envelope.size) > most { return .unsupported(.size) }
        if envelope.body == .eightBit, !capabilities.eightBitMIME { return .unsupported(.eightBitMIME) }
        if envelope.body == .binary, !(capabilities.binaryMIME && capabilities.chunking && !options.isLMTP) {
            return .unsupported(.binaryMIME)
        }
        // RFC 6531 §3.2: no SMTPUTF8 message to a server that does not offer it.
        if envelope.smtpUTF8, !capabilities.smtpUTF8 { return .unsupported(.smtpUTF8) }
        // RFC 8689 §4.2.1: only over TLS, only to a server that offers it.
        if envelope.requireTLS, !(isSecure && capabilities.requireTLS) { return .unsupported(.requireTLS) }
        return nil
    }

    /// The body, or the chunk, that an effect asked for is in the transport's queue.
    package mutating func bodyWritten() {
        guard let current = transfer, current.isWriting else { return }
        transfer?.isWriting = false
        if current.usesChunks, current.refusal == nil, current.chunked < current.envelope.size { return nextChunk() }
        settleWhenAnswered()
    }

    private mutating func offerData() {
        transfer?.bodyIsOffered = true
        output.append(ascii: "DATA\r\n")
        expect(.data)
    }

    private mutating func offerChunk() {
        transfer?.bodyIsOffered = true
        nextChunk()
    }

    private mutating func nextChunk() {
        guard let current = transfer else { return }
        let length = min(current.envelope.size - current.chunked, max(1, options.chunkBytesMaximum))
        let isLast = current.chunked + length == current.envelope.size
        ClientCommand.chunk(length, isLast: isLast, to: &output)
        expect(.chunk(isLast: isLast))
        transfer?.chunked += length
        transfer?.isWriting = true
        emit(.writeChunk(current.chunked..<current.chunked + length))
    }

    mutating func takeTransfer(_ reply: ServerReply, _ question: Expected) {
        guard transfer != nil else { return fail(.unsolicited(reply)) }
        switch question {
        case .sender: takeSender(reply)
        case .recipient(let index): takeRecipient(reply, index)
        case .data: takeData(reply)
        case .chunk(let isLast): takeChunk(reply, isLast)
        case .endOfMessage: takeEnd(reply)
        case .recipientResult(let index): takeResult(reply, index)
        default: settle(resets: false)
        }
    }

    private mutating func takeSender(_ reply: ServerReply) {
        guard !reply.isIntermediate else { return fail(.unexpected(.sender, reply)) }
        if reply.isPositive {
            emit(.senderAccepted)
        } else {
            transfer?.refusal = (.sender, reply)
        }
        guard expected.isEmpty, let current = transfer else { return }
        guard current.refusal == nil else { return settle(resets: false) }
        ClientCommand.recipient(0, current.envelope, capabilities, to: &output)
        expect(.recipient(0))
    }

    private mutating func takeRecipient(_ reply: ServerReply, _ index: Int) {
        guard !reply.isIntermediate else { return fail(.unexpected(.recipient, reply)) }
        transfer?.replies[index] = reply
        if reply.isPositive { transfer?.accepted += 1 }
        guard let current = transfer else { return }
        let isLast = index + 1 == current.envelope.recipients.count
        if isLast { emit(.recipientsAnswered) }
        guard expected.isEmpty, !current.bodyIsOffered else { return }
        if !isLast {
            ClientCommand.recipient(index + 1, current.envelope, capabilities, to: &output)
            expect(.recipient(index + 1))
        } else if current.accepted == 0 || current.refusal != nil {
            settle(resets: true)
        } else if current.usesChunks {
            offerChunk()
        } else {
            offerData()
        }
    }

    private mutating func takeData(_ reply: ServerReply) {
        guard let current = transfer, !reply.isPositive else { return fail(.unexpected(.data, reply)) }
        guard reply.isIntermediate else {
            if current.refusal == nil { transfer?.refusal = (.data, reply) }
            return settle(resets: true)
        }
        if current.accepted == 0 || current.refusal != nil {
            // RFC 2920 §3.1: 354 though nobody will get it: an empty message ends it.
            output.append(ascii: ".\r\n")
            return expect(.emptyEnd)
        }
        transfer?.isWriting = true
        emit(.writeStuffedBody)
        expectEnd(current)
    }

    private mutating func expectEnd(_ current: Transfer) {
        guard options.isLMTP else { return expect(.endOfMessage) }
        for (i, reply) in current.replies.enumerated() where reply?.isPositive == true { expect(.recipientResult(i)) }
    }

    private mutating func takeEnd(_ reply: ServerReply) {
        guard let current = transfer, !reply.isIntermediate else { return fail(.unexpected(.endOfMessage, reply)) }
        // The dot has not been written: what follows would be read as commands, so the connection is lost too.
        let isEarly = current.isWriting
        guard !isEarly || !reply.isPositive else { return fail(.unexpected(.endOfMessage, reply)) }
        if !reply.isPositive { transfer?.refusal = (.endOfMessage, reply) }
        guard isEarly else { return settle(resets: false, final: reply) }
        transfer = nil
        emit(.finished(TransferOutcome(verdict: .rejected(.endOfMessage, reply), recipients: current.replies)))
        fail(.unexpected(.data, reply))
    }

    private mutating func takeResult(_ reply: ServerReply, _ index: Int) {
        guard let current = transfer, !current.isWriting, !reply.isIntermediate else {
            return fail(.unexpected(.endOfMessage, reply))
        }
        transfer?.replies[index] = reply
        if expected.isEmpty { settle(resets: false, final: reply) }
    }

    private mutating func takeChunk(_ reply: ServerReply, _ isLast: Bool) {
        guard let current = transfer, !reply.isIntermediate else { return fail(.unexpected(.chunk, reply)) }
        if !reply.isPositive, current.refusal == nil { transfer?.refusal = (.chunk, reply) }
        if isLast, reply.isPositive {
            // RFC 3030 §2: the reply to the last chunk is the message's.
            guard !current.isWriting else { return fail(.unexpected(.chunk, reply)) }
            return settle(resets: current.accepted == 0, final: reply)
        }
        settleWhenAnswered()
    }

    /// A refused chunk ends the message once what was pipelined behind it is written and answered.
    private mutating func settleWhenAnswered() {
        guard let current = transfer, current.refusal != nil, !current.isWriting, expected.isEmpty else { return }
        settle(resets: true)
    }

    private mutating func settle(resets: Bool, final: ServerReply? = nil) {
        guard let done = transfer else { return }
        transfer = nil
        let verdict: TransferOutcome.Verdict
        if let refusal = done.refusal, refusal.stage == .sender || done.accepted > 0 {
            verdict = .rejected(refusal.stage, refusal.reply)
        } else if done.accepted == 0 {
            verdict = .noRecipients
        } else if let final {
            verdict = options.isLMTP ? .perRecipient : .accepted(final)
        } else {
            verdict = .noRecipients
        }
        emit(.finished(TransferOutcome(verdict: verdict, recipients: done.replies)))
        guard resets else { return becomeReady() }
        phase = .resetting
        output.append(ascii: "RSET\r\n")
        expect(.reset)
    }
}
