import Base
import Policy
import Protocols
import Reactor
import Store
import Telemetry

/// A recipient the directory knows, as RCPT found it.
struct ResolvedRecipient {
    let accounts: [AccountID]
}

/// What a message was when it was handed to the store, for the log line and the metrics after the answer.
struct AcceptedMessage: Sendable {
    let sender: [UInt8]
    let recipients: Int
    let size: Int
    let began: Instant
}

extension SMTPConnection {
    func ask(_ question: Question, _ ticket: Ticket) {
        switch question {
        case .sender(let address): answer(ticket, sender(address))
        case .recipient(let address, _): answer(ticket, recipient(address))
        // RFC 5321 §3.5.3: 252 tells nothing and is a right answer.
        case .verify: answer(ticket, .refused(StoreReplies.verifyNotTold))
        case .authenticate(let request): authenticate(request, ticket)
        case .submit(let envelope): submit(envelope, ticket)
        }
    }

    private func sender(_ address: MailAddress?) -> Answer {
        // The directory of the moment counts for the whole transaction.
        directory = loop.services.directory.current
        guard let identity = session.authenticatedIdentity else { return .accepted }
        // RFC 6409 §6.1: a user sends as himself, or as an alias that is his.
        guard let address, maySend(as: address, identity) else { return .refused(StoreReplies.senderNotOwned) }
        return .accepted
    }

    private func maySend(as address: MailAddress, _ identity: [UInt8]) -> Bool {
        guard let account = directory.account(identity) else { return false }
        let resolution = directory.resolve(localpart: address.localpart, domain: address.domain, declaredSize: 0)
        switch resolution {
        case .deliver(let accounts, _): return accounts.contains(account.id)
        case .overQuota: return ASCII.lowercased(address.wire) == account.address
        case .notLocal, .unknown, .disabled, .aliasLoop: return false
        }
    }

    private func recipient(_ address: MailAddress) -> Answer {
        let metrics = loop.services.metrics
        let declared = Int(clamping: session.declaredSize ?? 0)
        switch directory.resolve(localpart: address.localpart, domain: address.domain, declaredSize: declared) {
        case .deliver(let accounts, let forwards):
            if !forwards.isEmpty { return refuse(.deferred, StoreReplies.noOutboundDelivery) }
            if let most = directory.policy(ofDomain: address.domain)?.maxMessageSize, declared > most {
                return refuse(.rejected, StoreReplies.tooLargeForRecipient)
            }
            resolved.append(ResolvedRecipient(accounts: accounts))
            metrics.recipients.add(.accepted)
            return .accepted
        case .notLocal:
            let mayRelay =
                session.authenticatedIdentity != nil
                || loop.services.relayNetworks.contains { $0.contains(peerAddress) }
            return mayRelay
                ? refuse(.deferred, StoreReplies.noOutboundDelivery) : refuse(.relayDenied, StoreReplies.relayDenied)
        case .unknown: return refuse(.unknown, StoreReplies.unknownRecipient)
        case .disabled: return refuse(.rejected, StoreReplies.disabledRecipient)
        case .overQuota(let how): return refuse(how == .temporary ? .deferred : .rejected, StoreReplies.overQuota(how))
        case .aliasLoop: return refuse(.deferred, StoreReplies.aliasLoop)
        }
    }

    private func refuse(_ result: RecipientResult, _ reply: Reply) -> Answer {
        loop.services.metrics.recipients.add(result)
        loop.services.log.info("recipient_refused") {
            $0.add("peer", peer)
            $0.add("reply", Int(reply.code))
            $0.add("reason", reply.text)
        }
        return .refused(reply)
    }

    // MARK: The end of data

    private func submit(_ envelope: Envelope, _ ticket: Ticket) {
        let size = body.octets
        let recipients = resolved
        resolved = []
        guard case .body(let content) = body.take() else {
            return refuseMessage(ticket, StoreReplies.storeBusy)
        }
        // A domain's own limit counts what really came, not what was announced.
        if let most = smallestLimit(envelope), size > most {
            return refuseMessage(ticket, StoreReplies.tooLargeForRecipient)
        }
        let wall = loop.reactor.wall
        let id = loop.ids.next(at: wall)
        let request = AcceptRequest(
            id: id, received: wall, sender: envelope.sender?.wire ?? [], trace: trace(envelope, id, wall),
            body: content, envelope: EnvelopeRecord(envelope, peer: peer).encoded(),
            local: deliveries(envelope, recipients))
        let message = AcceptedMessage(
            sender: request.sender, recipients: envelope.recipients.count, size: size, began: loop.reactor.now)
        loop.services.metrics.bytesReceived.add(size)
        let handle = loop.reactor.handle
        let token = self.token
        let metrics = loop.services.metrics
        let posted = loop.services.gateway.accept(request) { result in
            // One slot is free for each session's only question to the store: the mailbox outnumbers the connections.
            let delivered = handle.post { SMTPConnection.on($0, token)?.stored(ticket, message, result) }
            if !delivered { metrics.mailboxFull.add(.reactor) }
        }
        if !posted { refuseMessage(ticket, StoreReplies.storeBusy) }
    }

    private func smallestLimit(_ envelope: Envelope) -> Int? {
        envelope.recipients.compactMap { directory.policy(ofDomain: $0.address.domain)?.maxMessageSize }.min()
    }

    private func refuseMessage(_ ticket: Ticket, _ reply: Reply) {
        loop.services.metrics.messages.add(listener.label, .deferred)
        loop.services.log.warning("message_refused") {
            $0.add("peer", peer)
            $0.add("reply", Int(reply.code))
            $0.add("reason", reply.text)
        }
        answer(ticket, .refused(reply))
    }

    /// One row a mailbox: an account two recipients lead to gets the message once.
    private func deliveries(_ envelope: Envelope, _ recipients: [ResolvedRecipient]) -> [LocalDelivery] {
        if recipients.count == 1, recipients[0].accounts.count == 1 {
            return [LocalDelivery(account: recipients[0].accounts[0], recipient: envelope.recipients[0].address.wire)]
        }
        var seen: Set<AccountID> = []
        var out: [LocalDelivery] = []
        for (index, recipient) in recipients.enumerated() where index < envelope.recipients.count {
            let wire = envelope.recipients[index].address.wire
            for account in recipient.accounts where seen.insert(account).inserted {
                out.append(LocalDelivery(account: account, recipient: wire))
            }
        }
        return out
    }

    private func trace(_ envelope: Envelope, _ id: MessageID, _ wall: WallTime) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(384)
        Received(
            peer: session.peer, reverseName: nil, hostname: loop.services.hostname, software: listener.session.software,
            id: id, date: wall
        ).append(for: envelope, to: &out)
        return out
    }

    /// Counts and logs what became of the message.
    func settle(_ message: AcceptedMessage, _ result: Result<MessageID, StoreError>) {
        let elapsed = loop.reactor.now.seconds(since: message.began)
        loop.services.metrics.acceptDuration.observe(seconds: elapsed)
        switch result {
        case .success(let id):
            loop.services.metrics.messages.add(listener.label, .accepted)
            loop.services.log.info("received") {
                $0.add("id", id.text)
                $0.add("peer", peer)
                $0.add("from", message.sender)
                $0.add("recipients", message.recipients)
                $0.add("size", message.size)
                $0.add("duration", seconds: elapsed)
            }
        case .failure(let error):
            loop.services.metrics.messages.add(listener.label, .deferred)
            loop.services.log.error("not_stored") {
                $0.add("peer", peer)
                $0.add("from", message.sender)
                $0.add("error", "\(error)")
            }
        }
    }
}
