import Base

extension SMTPSession {
    mutating func data<Sink: BodySink>(_ line: Span<UInt8>, body: inout Sink) {
        guard greeted else { return reply(needsHello) }
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
        // RFC 5321 §3.3: 554 when all were refused, 503 when none was named. RFC 2033 §4.2: 503 in LMTP.
        return !configuration.isLMTP && transaction.refusedRecipients > 0
            ? StandardReplies.noValidRecipients : StandardReplies.needsRecipient
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
            let others = repliesToMessage(transaction) - 1
            if others > 0 {
                let told = explained(StandardReplies.bareInData, to: running)
                for _ in 0..<others { passAgain(told) }
            }
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
            return replyToMessage(refusal, repliesToMessage(transaction))
        }
        transaction.envelope.actualSize = transaction.octets
        transaction.envelope.helo = helo
        transaction.envelope.isESMTP = isESMTP
        transaction.envelope.isLMTP = configuration.isLMTP
        transaction.envelope.tls = tls
        transaction.envelope.identity = identity
        self.transaction = nil
        repliesOwed = repliesToMessage(transaction)
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
        case .stored(let id): replyToMessage(StandardReplies.queued(id), repliesOwed)
        case .refused(let refusal): passToMessage(refusal, repliesOwed)
        case .accepted, .challenge, .authenticated: replyToMessage(StandardReplies.localError, repliesOwed)
        }
    }

    /// RFC 2033 §4.2: LMTP answers for each recipient that was accepted, in the order of RCPT.
    private func repliesToMessage(_ transaction: Transaction) -> Int {
        configuration.isLMTP ? transaction.envelope.recipients.count : 1
    }

    /// In the session's own words.
    private mutating func replyToMessage(_ common: Reply, _ count: Int) {
        guard configuration.isLMTP else { return reply(common) }
        guard count > 0 else { return }
        passToMessage(common.isPositive ? common : explained(common, to: running), count)
    }

    /// In the driver's.
    private mutating func passToMessage(_ common: Reply, _ count: Int) {
        guard configuration.isLMTP else { return pass(common) }
        let own = ownReplies
        ownReplies = []
        // After a 421 nothing more is said.
        for i in 0..<max(count, 0) {
            let one = i < own.count ? own[i] ?? common : common
            if i == 0 { pass(one) } else { passAgain(one) }
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
        guard greeted else { return needsHello }
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
        if let refusal = done.refusal {
            // RFC 2033 §4.3: LAST is answered for each recipient, and not at all when there is none.
            if done.isLast, let transaction { return replyToMessage(refusal, repliesToMessage(transaction)) }
            return reply(refusal)
        }
        guard let transaction else { return close(.outOfSync) }
        if done.isLast {
            endOfMessage(transaction, body: &body)
        } else {
            reply(StandardReplies.chunkReceived(done.size))
        }
    }
}
