import Base
import Ledger
import MailAuth
import Policy
import Protocols
import Reactor
import Store
import Telemetry

/// What the session tells its filters, and what it does with their answers.
extension SMTPConnection {
    /// Made at the first MAIL of a session whose listener has filters.
    private func filterChain() -> MilterChain? {
        if let chain { return chain }
        let servers = filterServers
        guard !servers.isEmpty else { return nil }
        startNaming()
        let made = MilterChain(servers: servers, context: loop.filters, facts: filterFacts)
        made.onDrain = { [weak self] in self?.filtersDrained() }
        chain = made
        return made
    }

    var filterServers: [MilterServer] { loop.services.defense.settings.current.milters[listener.kind] ?? [] }

    var filterFacts: MilterConnectFacts {
        var out = MilterConnectFacts()
        out.hostname = loop.services.hostname
        out.daemonName = Array(listener.label.text.utf8)
        out.clientAddress = client
        out.helo = session.heloName
        out.began = tally.began
        out.isNamed = clientName?.isAsking != true
        if let reverse = clientName?.result { out.tell(reverse) }
        guard let c = loop.reactor.connection(for: token) else { return out }
        // Behind a proxy the connection's ends are not the client's.
        if client?.bytes == c.peer.addressBytes {
            out.clientPort = c.peer.port
            let local = c.local
            out.localAddress = IPAddress(bytes: local.addressBytes)
            out.localPort = local.port
        }
        if let tls = c.tlsInfo {
            out.tlsVersion = Array(tls.version.utf8)
            out.cipher = Array(tls.cipher.utf8)
            out.cipherBits = tls.cipherBits
            out.certificateSubject = Array((tls.peerCertificate?.subject ?? "").utf8)
            out.certificateIssuer = Array((tls.peerCertificate?.issuer ?? "").utf8)
        }
        return out
    }

    // MARK: The envelope

    /// MAIL is answered as the filters say.
    func askFilters(ofSender address: MailAddress?, _ ticket: Ticket) {
        body.filter = nil
        guard let chain = filterChain() else { return answer(ticket, .accepted) }
        // HELO and TLS may have come since.
        chain.facts = filterFacts
        var mail = MilterMail(sender: sender)
        mail.parameters = session.mailParameters
        mail.authenticated = session.authenticatedIdentity ?? []
        mail.mechanism = mechanism
        mail.author = session.author
        mail.route = address.map(route) ?? MilterRoute(loop.services.hostname, isLocal: true)
        let id = loop.ids.next(at: loop.reactor.wall)
        filterID = id
        mail.id = id.text
        body.filter = chain
        chain.mail(mail) { [weak self] verdict in
            guard let self else { return }
            guard case .refuse(let reply) = verdict else { return self.give(ticket, .accepted) }
            let told = self.filtered(reply, self.sender)
            self.chain?.abort()
            self.give(ticket, .refused(told))
        }
    }

    private func route(of address: MailAddress) -> MilterRoute {
        MilterRoute(address.domain, isLocal: directory.rules(ofDomain: address.domain) != nil)
    }

    /// A command that is none is refused, in the words of a filter that has any.
    func askFilters(ofUnknown line: [UInt8], _ ticket: Ticket) {
        guard let chain = filterChain() else { return answer(ticket, .accepted) }
        chain.facts = filterFacts
        chain.unknown(line) { [weak self] reply in
            guard let self else { return }
            give(ticket, reply.map { .refused(self.filtered($0, [])) } ?? .accepted)
        }
    }

    /// RCPT likewise.
    func askFilters(
        of address: MailAddress, _ ticket: Ticket, then proceed: @escaping (SMTPConnection, MilterVerdict) -> Void
    ) {
        guard let chain else { return proceed(self, .proceed) }
        let wanted = directory.rules(ofDomain: address.domain)?.policy.defense.milters ?? .all
        chain.recipient(
            address.wire, parameters: session.recipientParameters(ticket), route: route(of: address), filters: wanted
        ) { [weak self] verdict in
            guard let self else { return }
            proceed(self, verdict)
            self.pumpUnlessInTurn()
        }
    }

    /// A refusal in a filter's words, with the id that explains it.
    func filtered(_ reply: Reply, _ subject: [UInt8]) -> Reply {
        var events = chain?.takeEvents() ?? []
        let last = events.popLast()
        for event in events { note(event) }
        events = last.map { [$0] } ?? []
        return refusing(
            DefenseEvent(.milter, Self.effect(of: reply), subject: subject, detail: Self.words(of: events)), reply)
    }

    private static func effect(of reply: Reply) -> DefenseEvent.Effect {
        reply.code == 421 ? .closed : reply.code >= 500 ? .refused : .deferred
    }

    private static func words(of events: [DefenseEvent]) -> String {
        events.last.map { String(decoding: $0.detail, as: UTF8.self) } ?? "a filter refused"
    }

    /// In the midst of a read it ends with a look at what is full anyway.
    private func filtersDrained() { pumpUnlessInTurn() }

    // MARK: The message

    /// The end of a message that nothing else speaks against: the filters' last word.
    func finishFiltering(_ judged: JudgedMessage) {
        guard judged.message.filteredHeader != nil, let chain else { return store(judged) }
        underFilter = judged.message
        chain.endOfMessage { [weak self] outcome in
            guard let self, let waiting = self.underFilter, waiting.id == judged.message.id else { return }
            self.underFilter = nil
            self.filtered(judged, outcome)
            self.pumpUnlessInTurn()
        }
    }

    private func filtered(_ judged: JudgedMessage, _ outcome: MilterOutcome) {
        markInProgress()
        // What the session itself tells of is not told twice.
        let told: Set<DefenseEvent.Effect> = [.refused, .deferred, .closed]
        for event in outcome.events where !told.contains(event.effect) || event.reply == nil { note(event) }
        switch outcome.verdict {
        case .refuse(let reply):
            let event = DefenseEvent(
                .milter, Self.effect(of: reply), subject: sender, detail: Self.words(of: outcome.events))
            let told = refusing(event, reply, message: judged.message.id)
            refuse(judged, told, cause: "a filter refused it")
        case .discard:
            discard(judged)
        case .proceed, .accept:
            judged.record?.changes = outcome.changes
            judged.record?.changeCount = outcome.changeCount
            if let failure = applyRecipients(outcome.modifications, to: judged.message) {
                return refuse(judged, failure)
            }
            guard !judged.message.envelope.recipients.isEmpty else { return discard(judged) }
            apply(outcome.modifications, to: judged.message)
            guard let body = outcome.modifications.body else { return store(judged) }
            replaceBody(of: judged, with: body)
        }
    }

    /// Nothing of a message may be taken that would be lost where a filter sends it.
    private func refuse(_ judged: JudgedMessage, _ failure: FilteredRecipients.Failure) {
        let event = DefenseEvent(
            .milter, Self.effect(of: failure.reply), subject: failure.address,
            detail: "a filter added a recipient that cannot be had: \(failure.why)")
        let told = refusing(event, failure.reply, message: judged.message.id)
        refuse(judged, told, cause: "a filter added a recipient that cannot be had")
    }

    private func applyRecipients(
        _ changes: MilterModifications, to message: PendingMessage
    ) -> FilteredRecipients.Failure? {
        guard !changes.addedRecipients.isEmpty || !changes.removedRecipients.isEmpty else { return nil }
        var made = FilteredRecipients(message.envelope.recipients, message.recipients)
        made.apply(changes, directory, isFrontEnd: isFrontEnd, size: message.size)
        if let failure = made.failure { return failure }
        message.envelope.recipients = made.envelope
        message.recipients = made.resolved
        return nil
    }

    private func apply(_ changes: MilterModifications, to message: PendingMessage) {
        guard !changes.isEmpty else { return }
        if let header = changes.header { message.filteredHeader = header }
        message.quarantine = changes.quarantine
        message.quarantineSpares = changes.quarantineSpares
        if let other = changes.sender {
            other.apply(to: &message.envelope)
            sender = other.address?.wire ?? []
            message.hasOtherSender = true
        }
        // Our own signatures cover what leaves, not what came.
        if let header = changes.header { message.signing?.header = InboundHeader(own: header).index }
    }

    // MARK: A new body

    private func replaceBody(of judged: JudgedMessage, with bytes: [UInt8]) {
        discard(judged.message.content)
        body.store.begin()
        let wanted = judged.message.signing.map { Array($0.hashes.keys) }
        underReplacement = (judged, ReplacedBody(bytes, hashing: wanted, loop.filters))
        continueReplacing()
    }

    /// As far as the spool takes it; called again when it has written a chunk.
    func continueReplacing() {
        guard let (judged, replacement) = underReplacement else { return }
        markInProgress()
        guard replacement.advance(into: &body.store, chunksMax: Self.chunksUnderWayMax) else { return }
        underReplacement = nil
        if case .body(let content) = body.store.take() {
            judged.message.content = content
            if let hashes = replacement.hashes() { judged.message.signing?.hashes = hashes }
            store(judged)
        } else {
            judged.message.isLost = true
            let reply = StoreReplies.storeBusy.explained(by: judged.message.id)
            refuse(judged, reply, cause: "no room for the body a filter made")
        }
        pumpUnlessInTurn()
    }

    // MARK: Discarded

    /// Taken and thrown away, because a filter said so: told as what it is.
    private func discard(_ judged: JudgedMessage) {
        let message = judged.message
        discard(message.content)
        loop.services.metrics.messages.add(listener.label, .discarded)
        let reply = Reply(250, EnhancedStatus(2, 0, 0), "Ok: discarded as a filter asked").explained(by: message.id)
        if var record = judged.record {
            record.cause = Array("discarded as a filter asked".utf8)
            record.reply = reply
            record.events = defense.transaction
            loop.services.record(record, began: message.began, now: loop.reactor.now)
        }
        give(message.ticket, .refused(reply))
    }
}

extension MilterConnectFacts {
    /// What reverse DNS came to.
    fileprivate mutating func tell(_ reverse: AuthResults.IPRev) {
        switch reverse.result {
        case .pass:
            clientName = reverse.name
            clientPointer = reverse.name
            resolved = .ok
        case .fail:
            clientPointer = reverse.name
            resolved = .forged
        case .temperror: resolved = .temporary
        case .permerror, .absent, .softfail, .neutral, .policy: resolved = .fail
        }
    }
}
