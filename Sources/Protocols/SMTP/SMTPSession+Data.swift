import Base

extension SMTPSession {
    mutating func data<Sink: BodySink>(_ line: Span<UInt8>, body: inout Sink) {
        guard greeted else { return reply(StandardReplies.needsHello) }
        guard let transaction else { return reply(StandardReplies.needsMail) }
        guard !transaction.bodyBegan else { return reply(StandardReplies.inChunks) }
        guard line.count == 4 else { return reply(StandardReplies.noArguments) }
        // RFC 3030 §3
        guard transaction.envelope.bodyType != .binaryMIME else { return reply(StandardReplies.binaryNeedsBDAT) }
        if let error = recipientsMissing(transaction) { return reply(error) }
        transaction.bodyBegan = true
        body.begin()
        reply(StandardReplies.startData)
        phase = .data
    }

    private func recipientsMissing(_ transaction: Transaction) -> Reply? {
        guard transaction.envelope.recipients.isEmpty else { return nil }
        // RFC 5321 §3.3: 554 when all were refused, 503 when none was named.
        return transaction.refusedRecipients > 0 ? StandardReplies.noValidRecipients : StandardReplies.needsRecipient
    }

    mutating func receiveData<Sink: BodySink>(_ bytes: Span<UInt8>, from i: inout Int, body: inout Sink) {
        guard let transaction else { return close(.outOfSync) }
        var ended = false
        while i < bytes.count, !ended {
            let step = transaction.unstuffer.next(in: bytes, from: &i)
            let run: Range<Int>
            switch step {
            case .run(let range): run = range
            case .end(let range):
                run = range
                ended = true
            }
            keep(bytes.extracting(run), of: transaction, countsLines: false, body: &body)
            if isPastDrain(transaction) { return drainedTooMuch(body: &body) }
        }
        if ended { endOfData(transaction, body: &body) }
    }

    /// Hands octets on, or only counts them once the message is lost.
    private func keep<Sink: BodySink>(
        _ run: Span<UInt8>, of transaction: Transaction, countsLines: Bool, body: inout Sink
    ) {
        guard run.count > 0 else { return }
        transaction.octets += UInt64(run.count)
        if transaction.octets > configuration.limits.messageOctets || transaction.unstuffer.sawBareLineEnding {
            discardBody(&body)
        }
        guard !transaction.bodyDiscarded else { return }
        transaction.scanner.append(run, countsLines: countsLines)
        body.append(run)
    }

    private func isPastDrain(_ transaction: Transaction) -> Bool {
        let limits = configuration.limits
        let (most, overflow) = limits.messageOctets.addingReportingOverflow(limits.drainOctets)
        return !overflow && transaction.octets > most
    }

    private mutating func drainedTooMuch<Sink: BodySink>(body: inout Sink) {
        discardBody(&body)
        effects.append(.note(.drainLimit))
        end(StandardReplies.drainLimit, .drainLimit)
    }

    private mutating func endOfData<Sink: BodySink>(_ transaction: Transaction, body: inout Sink) {
        phase = .command
        if transaction.unstuffer.sawBareLineEnding {
            // What the sender's side took for the end of the message is not known, so nothing after it can be trusted.
            discardBody(&body)
            effects.append(.note(.bareLineEnding))
            return end(StandardReplies.bareInData, .bareLineEnding)
        }
        transaction.scanner.setLongestLine(transaction.unstuffer.longestLine)
        endOfMessage(transaction, body: &body)
    }

    /// The body is complete, by DATA or BDAT: check what could not be checked before, then ask for it to be stored.
    private mutating func endOfMessage<Sink: BodySink>(_ transaction: Transaction, body: inout Sink) {
        transaction.envelope.facts = transaction.scanner.facts
        if let refusal = refusal(of: transaction) {
            abortTransaction(body: &body)
            return reply(refusal)
        }
        transaction.envelope.actualSize = transaction.octets
        transaction.envelope.helo = helo
        transaction.envelope.isESMTP = isESMTP
        transaction.envelope.tls = tls
        transaction.envelope.identity = identity
        self.transaction = nil
        waiting = .submit(ask(.submit(transaction.envelope)))
    }

    private mutating func refusal(of transaction: Transaction) -> Reply? {
        let limits = configuration.limits
        if transaction.octets > limits.messageOctets {
            effects.append(.note(.messageTooLarge))
            return StandardReplies.messageTooBig  // RFC 1870 §6.3
        }
        if transaction.unstuffer.longestLine > limits.textLineOctets { return StandardReplies.textLineTooLong }
        if transaction.envelope.facts.headerOctets > limits.headerOctets { return StandardReplies.headerTooBig }
        if transaction.envelope.facts.receivedCount >= limits.receivedFields {
            effects.append(.note(.hopLimit))
            return StandardReplies.hopLimit  // RFC 5321 §6.3
        }
        return nil
    }

    mutating func answeredSubmit(_ answer: Answer) {
        waiting = .nothing
        messageCount += 1
        switch answer {
        case .stored(let id): reply(StandardReplies.queued(id))
        case .refused(let refusal): pass(refusal)
        case .accepted, .challenge, .authenticated: reply(StandardReplies.localError)
        }
    }

    mutating func bdat<Sink: BodySink>(_ line: Span<UInt8>, body: inout Sink) {
        guard var next = BDATCounter(line) else {
            // Octets of unknown number follow; reading them as commands would be worse than hanging up.
            discardBody(&body)
            return end(StandardReplies.bdatSyntax, .outOfSync)
        }
        next.refusal = chunkRefusal(next)
        if next.refusal == nil, let transaction, !transaction.bodyBegan {
            transaction.bodyBegan = true
            body.begin()
        }
        if next.refusal == StandardReplies.messageTooBig, let transaction {
            transaction.chunkFailed = true
            // A sink that was never told of a body has none to throw away.
            discardBody(&body)
            transaction.bodyBegan = true
            transaction.bodyDiscarded = true
            effects.append(.note(.messageTooLarge))
        }
        if next.refusal != nil, next.size > configuration.limits.drainOctets {
            discardBody(&body)
            return end(next.refusal ?? StandardReplies.messageTooBig, .drainLimit)
        }
        chunk = next
        phase = .chunk
    }

    /// RFC 3030 §2: judged by its length before an octet of it is kept; refused chunks are still read.
    private func chunkRefusal(_ chunk: BDATCounter) -> Reply? {
        if needsTLS { return StandardReplies.needsTLS }
        guard greeted else { return StandardReplies.needsHello }
        guard let transaction else { return StandardReplies.needsMail }
        if transaction.chunkFailed { return StandardReplies.chunkFailed }
        if let error = recipientsMissing(transaction) { return error }
        let (total, overflow) = transaction.octets.addingReportingOverflow(chunk.size)
        return overflow || total > configuration.limits.messageOctets ? StandardReplies.messageTooBig : nil
    }

    mutating func receiveChunk<Sink: BodySink>(_ bytes: Span<UInt8>, from i: inout Int, body: inout Sink) {
        let n = Int(min(UInt64(bytes.count - i), chunk.remaining))
        if chunk.refusal == nil, let transaction {
            keep(bytes.extracting(i..<i + n), of: transaction, countsLines: true, body: &body)
        }
        i += n
        chunk.remaining -= UInt64(n)
        guard chunk.remaining == 0 else { return }
        phase = .command
        let done = chunk
        chunk = BDATCounter()
        if let refusal = done.refusal { return reply(refusal) }
        guard let transaction else { return close(.outOfSync) }
        if done.isLast {
            endOfMessage(transaction, body: &body)
        } else {
            reply(StandardReplies.chunkReceived(done.size))
        }
    }
}
