import Base
import Ledger
import MailAuth
import Policy
import Protocols
import Reactor
import Store
import Telemetry

/// The end of data: verdict, decision, store.
extension SMTPConnection {
    func submit(_ envelope: Envelope, _ ticket: Ticket) {
        if body.endsAside() { return setAside(envelope, ticket) }
        markInProgress()
        tally.messages += 1
        var envelope = envelope
        var recipients = resolved
        resolved = []
        let size = Int(clamping: envelope.actualSize)
        let taken = body.take()
        if let header = body.takeHeader() { preparedHeader = header }
        guard !taken.isSpoilt else {
            return refuseMessage(ticket, .protocol, StoreReplies.headerUnreadable, because: "the header cannot be read")
        }
        guard case .body(let content) = taken.outcome else {
            return refuseMessage(ticket, .store, StoreReplies.storeBusy, because: "no room to keep the body")
        }
        if isFrontEnd, let refusal = settleEach(&envelope, &recipients, size: size) {
            discard(content)
            return refuseMessage(ticket, .directory, refusal, because: "it fits no recipient's mailbox or domain")
        }
        // A domain's own limit counts what really came, not what was announced.
        if let most = smallestLimit(envelope), size > most {
            discard(content)
            return refuseMessage(
                ticket, .directory, StoreReplies.tooLargeForRecipient,
                because: "\(size) octets came, max_message_size of a recipient's domain is \(most)",
                subject: largestRefused(envelope, size))
        }
        loop.services.metrics.bytesReceived.add(size)
        let message = PendingMessage(
            id: ownID ?? filterID ?? loop.ids.next(at: loop.reactor.wall), ticket: ticket, envelope: envelope,
            recipients: recipients,
            content: content, size: size, began: loop.reactor.now, check: finalCheck(hashes: taken.hashes),
            messageID: preparedHeader?.messageID ?? [], removedClaims: preparedHeader?.forged.count ?? 0,
            header: wantsDeliveredReport(envelope) ? preparedHeader?.index.bytes ?? [] : [],
            signing: signing(envelope, recipients, taken.hashes), filteredHeader: taken.filteredHeader)
        filterID = nil
        message.junk = defense.junk
        guard message.check != nil else { return conclude(message, AuthResults()) }
        inquiry?.renewDeadline()
        pending = message
        pursueVerdict()
    }

    private func smallestLimit(_ envelope: Envelope) -> Int? {
        envelope.recipients.compactMap { directory.rules(ofDomain: $0.address.domain)?.policy.maxMessageSize }.min()
    }

    /// The first recipient that takes no message of `size`.
    private func largestRefused(_ envelope: Envelope, _ size: Int) -> [UInt8] {
        envelope.recipients.first {
            (directory.policy(ofDomain: $0.address.domain)?.maxMessageSize).map { size > $0 } ?? false
        }?.address.wire ?? []
    }

    /// Decides by what the checks came to. nil: they came to no end, which only a fault of ours explains.
    func conclude(_ message: PendingMessage, _ results: AuthResults?) {
        let asked = inquiry
        inquiry = nil
        preparedHeader = nil
        guard let results else {
            return refuseMessage(
                message.ticket, .store, StoreReplies.checksFailed, because: "the checks of the message came to no end")
        }
        let decision = MessageDecision.decide(
            results, domains: message.domains, facts: Disposition.Facts(clientIsTrusted: message.check == nil),
            policy: policy)
        if message.check != nil { count(message, results, decision, questions: asked?.gatherer.facts.count ?? 0) }
        let judged = JudgedMessage(
            message: message, results: results, decision: decision, record: record(message, results, decision, asked))
        if let reply = decision.reply(id: message.id) { return refuse(judged, reply, cause: "") }
        if let deferral = deferralOfReport(message, results) {
            return refuse(judged, deferral, cause: "greylisted: the null sender is, at the end of data")
        }
        finishFiltering(judged)
    }

    /// A domain's rules; in a network where DNS has never answered none of them puts mail off for want of an answer, or
    /// a server without DNS would take no mail at all.
    func policy(_ domain: [UInt8]) -> DomainPolicy? {
        let own = directory.policy(ofDomain: domain)
        guard settings.auth.isEnabled, !loop.services.dnsHasAnswered() else { return own }
        var relaxed = own ?? DomainPolicy()
        relaxed.dmarcTemporary = .accept
        return relaxed
    }

    private func count(_ message: PendingMessage, _ results: AuthResults, _ decision: MessageDecision, questions: Int) {
        let metrics = loop.services.metrics.auth
        metrics.count(results)
        metrics.verdictDuration.observe(seconds: loop.reactor.now.seconds(since: message.began))
        metrics.questions.observe(UInt64(questions))
        if let rule = decision.deciding?.rule { metrics.decisions.add(ActionLabel(decision.action), RuleLabel(rule)) }
    }

    // MARK: Refused

    /// `cause`: why, when no rule of authentication decided.
    func refuse(_ judged: JudgedMessage, _ reply: Reply, cause: String) {
        let message = judged.message
        let decision = judged.decision
        if !message.isLost { discard(message.content) }
        if underFilter == nil { chain?.abort() }
        loop.services.metrics.messages.add(listener.label, reply.code >= 500 ? .rejected : .deferred)
        loop.services.log.info("refused") {
            $0.add("id", message.id.text)
            $0.add("peer", peer)
            $0.add("from", message.envelope.sender?.wire ?? [])
            $0.add("rule", cause.isEmpty ? decision.deciding?.rule.rawValue ?? "" : cause)
            $0.add("reply", Int(reply.code))
            $0.add("reason", cause.isEmpty ? decision.deciding?.reason ?? [] : reply.text)
        }
        if var record = judged.record {
            if !cause.isEmpty { record.action = reply.code >= 500 ? .reject : .postpone }
            record.cause = Array(cause.utf8)
            record.reply = reply
            record.events = defense.transaction
            loop.services.record(record, began: message.began, now: loop.reactor.now)
        }
        give(message.ticket, .refused(reply))
    }

    func discard(_ content: AcceptRequest.Body) {
        if case .spooled(let spool, _) = content { spool.abandon() }
    }

    /// Refused before anything of it was decided.
    func refuseMessage(
        _ ticket: Ticket, _ control: DefenseEvent.Control, _ reply: Reply, because detail: String,
        subject: [UInt8] = []
    ) {
        let told = refusing(control, reply, subject: subject, because: detail)
        inquiry = nil
        preparedHeader = nil
        chain?.abort()
        loop.services.metrics.messages.add(listener.label, .deferred)
        loop.services.log.warning("message_refused") {
            $0.add("id", defense.id.text)
            $0.add("peer", peer)
            $0.add("reply", Int(reply.code))
            $0.add("reason", reply.text)
        }
        answer(ticket, .refused(told))
    }

    // MARK: Accepted

    func store(_ judged: JudgedMessage) {
        let wall = loop.reactor.wall
        let trace = trace(judged.message, judged.results, wall)
        guard let order = judged.message.signing else { return accept(judged, trace, [:], wall) }
        underSignature = SignedCase(judged: judged, trace: trace, wall: wall)
        sign(order, judged)
    }

    /// The signatures are made, on another thread.
    func signed(_ id: MessageID, _ made: SigningOrder.Signed) {
        guard let waiting = underSignature, waiting.judged.message.id == id else { return }
        underSignature = nil
        accept(waiting.judged, waiting.trace + made.signatures, made.seals, waiting.wall)
    }

    /// Hands the message to the store, and to the scheduler what goes elsewhere.
    private func accept(
        _ judged: JudgedMessage, _ trace: [UInt8], _ seals: [[UInt8]: [UInt8]], _ wall: WallTime
    ) {
        let message = judged.message
        let envelope = message.envelope
        var origin = EnvelopeRecord(envelope, peer: peer)
        origin.isSenderProven = !message.hasOtherSender && isSenderProven(judged.results)
        var request = AcceptRequest(
            id: message.id, received: wall, sender: envelope.sender?.wire ?? [],
            trace: trace + (message.filteredHeader ?? []), body: message.content,
            envelope: origin.encoded(), local: deliveries(judged),
            remote: remoteRecipients(judged, seals, wall))
        // What a filter wants kept back must not leave: an operator says when.
        if !request.remote.isEmpty { request.hold = message.quarantine }
        if let report = deliveredReport(message, request, wall) { request.reports = [report] }
        // Moved out, not copied: nobody asks for it again.
        var record: DecisionRecord?
        swap(&record, &judged.record)
        record?.events = defense.transaction
        if message.filteredHeader != nil { update(&record, judged) }
        if judged.message.junk.isEmpty, judged.message.quarantine == nil, judged.decision.action == .accept {
            loop.services.defense.clients.delivered(client, now: loop.reactor.now)
        }
        let delivery = loop.services.delivery
        let jobs = delivery.reserve(&request, now: wall)
        let accepted = AcceptedMessage(
            id: message.id, peer: peer, listener: listener.label, sender: request.sender,
            recipients: envelope.recipients.count, size: message.size, began: message.began,
            record: record.map { RecordDraft($0) })
        let services = loop.services
        let handle = loop.reactor.handle
        let token = self.token
        let ticket = message.ticket
        let posted = services.gateway.accept(request) { [request] result in
            let isStored = (try? result.get()) != nil
            delivery.accepted(request, jobs: jobs, isStored: isStored)
            if isStored, !request.reports.isEmpty { services.metrics.queue.notices.add(.delivered) }
            // One slot is free for each session's only question to the store: the mailbox outnumbers the connections.
            let delivered = handle.post { reactor in
                // The client first: what is told of its message can wait for the end of the turn.
                reactor.afterFlush { services.settle(accepted, result, now: $0.now) }
                SMTPConnection.on(reactor, token)?.stored(ticket, accepted.id, result)
            }
            if !delivered { services.metrics.mailboxFull.add(.reactor) }
        }
        if !posted {
            delivery.accepted(request, jobs: jobs, isStored: false)
            services.settle(accepted, .failure(.unavailable(.busy)), now: loop.reactor.now)
            answer(ticket, .refused(StoreReplies.storeBusy.explained(by: message.id)))
        }
    }

    /// One row a mailbox: an account two recipients lead to gets the message once.
    private func deliveries(_ judged: JudgedMessage) -> [LocalDelivery] {
        let message = judged.message
        var seen: Set<AccountID> = []
        var out: [LocalDelivery] = []
        for (index, recipient) in message.recipients.enumerated() where index < message.envelope.recipients.count {
            let address = message.envelope.recipients[index].address
            let folder: FolderID = judged.quarantines(address.domain) ? .junk : .inbox
            for account in recipient.accounts where seen.insert(account).inserted {
                out.append(LocalDelivery(account: account, folder: folder, recipient: address.wire))
            }
        }
        return out
    }

    /// Ours on top, the newest first.
    private func trace(_ message: PendingMessage, _ results: AuthResults, _ wall: WallTime) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(1_024)
        if message.check != nil {
            out += AuthenticationResults.field(results, servedBy: loop.services.hostname)
        }
        let reverse = results.iprev.flatMap { $0.result == .pass ? $0.name : nil }
        Received(
            peer: session.peer, reverseName: reverse, hostname: loop.services.hostname,
            software: settings.session(of: listener).software, id: message.id, date: wall
        ).append(for: message.envelope, to: &out)
        return out
    }
}
