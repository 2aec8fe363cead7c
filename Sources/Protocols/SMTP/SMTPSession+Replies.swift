import Base

extension SMTPSession {
    /// A reply in the session's own words; a refusal ends with the id that explains it.
    mutating func reply(_ reply: Reply) {
        pass(reply.isPositive ? reply : explained(reply, to: running))
    }

    /// A reply in the words of the driver, who explains its refusals itself. Every reply passes here, so order and the
    /// error count do not depend on when answers come.
    mutating func pass(_ reply: Reply) {
        guard phase != .closed else { return }
        outcomes.note(running, reply)
        if queue.isEmpty { emit(reply) } else { queue.hold(reply) }
    }

    /// One of several to the same command: its error has been counted. No recipient is in question any more.
    mutating func passAgain(_ reply: Reply) {
        guard phase != .closed else { return }
        outcomes.note(running, reply)
        emit(reply, weighs: false)
    }

    private mutating func emit(_ reply: Reply, weighs: Bool = true) {
        reply.append(to: &output)
        hadCommand = hadCommand || reply.isPositive
        // RFC 5321 §3.8: 421 says that the channel closes, so it does.
        if reply.code == 421 { return close(.refused) }
        guard reply.code >= 500, phase != .closed else { return }
        let isClientsFault = reply.code < 550 || reply.code == 555
        // A front end passes on what it was given: what is wrong with the mail says nothing of it.
        guard weighs, isClientsFault || !configuration.isLMTP else { return }
        errorWeight += isClientsFault ? 5 : 1
        if errorWeight >= configuration.limits.errorWeight {
            effects.append(.note(.tooManyErrors))
            explained(StandardReplies.tooManyErrors, to: nil).append(to: &output)
            close(.tooManyErrors)
        }
    }

    /// Writes the ready prefix and lets accepted recipients into the envelope, in the order of their commands.
    mutating func flushQueue() {
        for slot in queue.takeReady() where phase != .closed {
            switch slot {
            case .ready(let reply): emit(reply)
            case .accepted(let recipient):
                transaction?.envelope.recipients.append(recipient)
                emit(StandardReplies.recipientOk)
            case .waiting: break
            }
        }
        if queue.isEmpty { blockedOnRecipients = false }
    }

    /// With the id of the session's refusals, if it was given one, and kept for the driver's record.
    mutating func explained(_ refusal: Reply, to verb: Verb?) -> Reply {
        guard let refusalID, phase != .closed else { return refusal }
        let told = refusal.explained(by: refusalID)
        refusals.note(verb, told)
        if isFault(refusal, to: verb) { refusals.noteFault() }
        return told
    }

    var needsHello: Reply { configuration.isLMTP ? StandardReplies.needsLHLO : StandardReplies.needsHello }

    mutating func ask(_ question: Question) -> Ticket {
        lastTicket += 1
        let ticket = Ticket(value: lastTicket)
        effects.append(.ask(question, ticket))
        return ticket
    }

    /// A last reply, then the close.
    mutating func end(_ last: Reply, _ reason: SessionClose) {
        guard phase != .closed else { return }
        // That the server stops is all there is to say of it; a refusal of the driver's has its id.
        let isToldAlready = last.isPositive || reason == .shutdown || reason == .refused
        // A 421 to what was no command at all.
        if reason == .foreignProtocol || reason == .lineTooLong { refusals.noteFault() }
        let last = isToldAlready ? last : explained(last, to: running)
        outcomes.note(running, last)
        // Replies that wait for answers will not come; the 421 speaks for them all (RFC 5321 §3.8).
        last.append(to: &output)
        close(reason)
    }

    mutating func close(_ reason: SessionClose) {
        guard phase != .closed else { return }
        abortTransaction()
        queue.removeAll()
        waiting = .nothing
        blockedOnRecipients = false
        phase = .closed
        effects.append(.close(reason))
    }

    /// Forgets the transaction where no sink is at hand; the effect tells the driver.
    mutating func abortTransaction() {
        guard transaction != nil else { return }
        transaction = nil
        effects.append(.transactionAborted)
    }

    mutating func abortTransaction<Sink: BodySink>(body: inout Sink) {
        discardBody(&body)
        abortTransaction()
    }

    func discardBody<Sink: BodySink>(_ body: inout Sink) {
        guard let transaction, transaction.bodyBegan, !transaction.bodyDiscarded else { return }
        transaction.bodyDiscarded = true
        body.discard()
    }
}
