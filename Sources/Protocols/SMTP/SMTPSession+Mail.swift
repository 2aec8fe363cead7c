import Base

extension SMTPSession {
    mutating func mail(_ line: Span<UInt8>) {
        guard greeted else { return reply(needsHello) }
        guard transaction == nil else {
            return reply(transaction?.bodyBegan == true ? StandardReplies.inChunks : StandardReplies.nestedMail)
        }
        // RFC 6409 §4.3
        guard !configuration.requiresAuth || identity != nil else { return reply(StandardReplies.needsAuth) }
        let limits = configuration.limits
        guard limits.messages == 0 || messageCount < limits.messages else {
            return reply(StandardReplies.tooManyMessages)
        }
        guard let start = pathStart(line, "from:") else { return reply(StandardReplies.syntax) }
        var parser = PathParser(at: start)
        guard let path = parser.path(in: line, allowsPostmaster: false) else {
            return reply(StandardReplies.senderSyntax)
        }
        var envelope = Envelope(sender: nil)
        let context = parameterContext(utf8: false)
        if let error = ParameterParser.mail(line, from: parser.index, into: &envelope, context) { return reply(error) }
        if case .mailbox(let mailbox) = path {
            switch mapped(mailbox, utf8: envelope.smtpUTF8) {
            case .address(let address): envelope.sender = address
            case .refused(let error):
                // RFC 6531 §3.5: 550 to MAIL, 553 to RCPT.
                return reply(error == StandardReplies.addressNeedsUTF8 ? StandardReplies.senderNeedsUTF8 : error)
            }
        }
        transaction = Transaction(envelope)
        waiting = .sender(ask(.sender(envelope.sender)))
    }

    mutating func answeredSender(_ answer: Answer) {
        waiting = .nothing
        if case .accepted = answer {
            effects.append(.transactionStarted)
            return reply(StandardReplies.senderOk)
        }
        transaction = nil
        mailRefused = true
        if case .refused(let refusal) = answer { pass(refusal) } else { reply(StandardReplies.localError) }
    }

    mutating func recipient(_ line: Span<UInt8>) {
        guard greeted else { return reply(needsHello) }
        guard let transaction else { return reply(StandardReplies.needsMail) }
        guard !transaction.bodyBegan else { return reply(StandardReplies.inChunks) }
        guard let start = pathStart(line, "to:") else { return refuseRecipient(StandardReplies.syntax) }
        var parser = PathParser(at: start)
        guard case .mailbox(let mailbox)? = parser.path(in: line, allowsPostmaster: true) else {
            return refuseRecipient(StandardReplies.recipientSyntax)
        }
        let utf8 = transaction.envelope.smtpUTF8
        var recipient: EnvelopeRecipient
        switch mapped(mailbox, utf8: utf8) {
        case .address(let address): recipient = EnvelopeRecipient(address: address)
        case .refused(let error): return refuseRecipient(error)
        }
        if let error = ParameterParser.rcpt(
            line, from: parser.index, into: &recipient, parameterContext(utf8: utf8))
        {
            return refuseRecipient(error)
        }
        // RFC 5321 §4.5.3.1.10
        guard transaction.envelope.recipients.count < configuration.limits.recipients else {
            return reply(StandardReplies.tooManyRecipients)
        }
        let index = transaction.recipientCommands
        transaction.recipientCommands += 1
        let ticket = ask(.recipient(recipient.address, index))
        queue.wait(for: ticket, recipient: recipient)
    }

    private mutating func refuseRecipient(_ error: Reply) {
        transaction?.refusedRecipients += 1
        reply(error)
    }

    mutating func answeredRecipient(_ ticket: Ticket, _ answer: Answer) {
        let refusal: Reply?
        switch answer {
        case .accepted: refusal = nil
        case .refused(let reply): refusal = reply
        case .challenge, .authenticated, .stored: refusal = explained(StandardReplies.localError, to: .rcpt)
        }
        guard queue.fill(ticket, refusal: refusal) else { return }
        outcomes.note(.rcpt, refusal ?? StandardReplies.recipientOk)
        if refusal != nil { transaction?.refusedRecipients += 1 }
        flushQueue()
    }

    private func parameterContext(utf8: Bool) -> ParameterParser.Context {
        ParameterParser.Context(
            underTLS: tls != nil, offersAuth: configuration.offersAuth && tls != nil,
            sizeMax: configuration.limits.messageOctets, utf8: utf8)
    }

    /// The index of the path after `FROM:` or `TO:`, spaces before it tolerated.
    private func pathStart(_ line: Span<UInt8>, _ keyword: StaticString) -> Int? {
        var i = 4
        while i < line.count, line[i] == ASCII.space { i += 1 }
        let end = i + keyword.utf8CodeUnitCount
        guard i > 4, end <= line.count, ASCII.equalIgnoringCase(line.extracting(i..<end), keyword) else { return nil }
        i = end
        while i < line.count, line[i] == ASCII.space { i += 1 }
        return i < line.count ? i : nil
    }

    private enum Mapped {
        case address(MailAddress)
        case refused(Reply)
    }

    /// RFC 6531 §3.4: non-ASCII only under SMTPUTF8; the domain is kept as A-labels.
    private func mapped(_ mailbox: PathParser.Mailbox, utf8: Bool) -> Mapped {
        guard mailbox.isUTF8 else { return .address(mailbox.address) }
        guard utf8 else { return .refused(StandardReplies.addressNeedsUTF8) }
        guard mailbox.domainIsUTF8 else { return .address(mailbox.address) }
        guard let domain = configuration.domainToASCII(mailbox.address.domain),
            domain.count <= PathParser.domainOctetsMax, !domain.isEmpty
        else { return .refused(StandardReplies.badUTF8Domain) }
        return .address(MailAddress(localpart: mailbox.address.localpart, domain: domain))
    }
}
