import Base
import Handoff
import Ledger
import Policy
import Protocols
import Reactor
import Store
import Telemetry

/// The end of data of a message that must not be looked at.
extension SMTPConnection {
    /// Puts it away as it is and answers when it is on disk. Nothing of it is parsed, checked or filtered.
    func setAside(_ envelope: Envelope, _ ticket: Ticket) {
        tally.messages += 1
        let recipients = resolved
        resolved = []
        inquiry = nil
        preparedHeader = nil
        guard let poison = body.poison, let taken = body.takeSetAside() else {
            return refuseMessage(ticket, .store, StoreReplies.storeFailed, because: "it could not be set aside")
        }
        // Filters have seen the envelope, and see no more.
        chain?.abort()
        let id = ownID ?? filterID ?? loop.ids.next(at: loop.reactor.wall)
        filterID = nil
        let report = loop.ids.next(at: loop.reactor.wall)
        let message = poisoned(envelope, recipients, id, taken)
        let services = loop.services
        let handle = loop.reactor.handle
        let (token, began, facts) = (self.token, loop.reactor.now, sessionFacts)
        let (label, events) = (listener.label, defense.events)
        let posted = poison.intake.finish(taken.body, message) { isKept in
            var record = poison.settled(message, isKept, facts, services, report)
            record.events = events.prefix(DefenseEvent.eventsMax - 1) + record.events
            let delivered = handle.post { [record] reactor in
                services.metrics.messages.add(label, isKept ? .accepted : .deferred)
                services.record(record, began: began, now: reactor.now)
                SMTPConnection.on(reactor, token)?.answered(
                    ticket, isKept ? .stored(id) : .refused(record.reply))
            }
            if !delivered { services.metrics.mailboxFull.add(.reactor) }
        }
        if !posted {
            poison.metrics.failures.add()
            refuseMessage(ticket, .store, StoreReplies.storeBusy, because: "it could not be set aside")
        }
    }

    private func poisoned(
        _ envelope: Envelope, _ recipients: [ResolvedRecipient], _ id: MessageID, _ taken: InboundBody.SetAside
    ) -> PoisonedMessage {
        let wall = loop.reactor.wall
        var trace: [UInt8] = []
        Received(
            peer: session.peer, reverseName: nil, hostname: loop.services.hostname,
            software: settings.session(of: listener).software, id: id, date: wall
        ).append(for: envelope, to: &trace)
        var origin = EnvelopeRecord(envelope, peer: peer)
        origin.isSenderProven = isOwnMail
        let to = envelope.recipients.enumerated().map { index, recipient in
            PoisonedMessage.Recipient(
                address: recipient.address.wire, notify: recipient.notify.rawValue,
                originalRecipient: recipient.orcpt ?? [],
                bouncesTo: index < recipients.count ? recipients[index].bouncesTo : nil)
        }
        return PoisonedMessage(
            id: id, received: wall, sender: envelope.sender?.wire ?? [], recipients: to,
            octets: taken.body.octets, peer: peer, helo: envelope.helo, fingerprint: taken.entry.fingerprint,
            deaths: taken.entry.deaths, signal: taken.entry.signal, trace: trace, envelope: origin.encoded())
    }
}

extension PoisonService {
    /// On the intake's thread: the log and postmaster are told, and the ledger's record is made.
    fileprivate func settled(
        _ message: PoisonedMessage, _ isKept: Bool, _ session: SessionFacts, _ services: ServerServices,
        _ report: MessageID
    ) -> DecisionRecord {
        let reply = isKept ? StandardReplies.queued(message.id) : PoisonReplies.notKept(message.id)
        var record = DecisionRecord(
            id: message.id, time: message.received, session: session, action: isKept ? .quarantine : .postpone,
            reply: reply)
        record.sender = message.sender
        record.size = message.octets
        record.recipientCount = message.recipients.count
        record.recipients = message.recipients.prefix(DecisionRecord.recipientsMax).map {
            DecisionRecord.Recipient(
                address: $0.address, domain: DirectoryRules.domain(of: $0.address).map(ASCII.lowercased) ?? [],
                action: record.action)
        }
        record.cause = Array("the process died of a message like this \(message.deaths) times".utf8)
        record.events = [
            DefenseEvent(
                .poison, isKept ? .quarantined : .deferred, subject: message.sender,
                detail:
                    "\(SignalName.of(message.signal)) in \(message.deaths) runs while a message with this sender and "
                    + "header was worked on; "
                    + (isKept ? "set aside whole, unread" : "it could not be set aside"), reply: reply)
        ]
        guard isKept else {
            metrics.failures.add()
            services.log.error("poison_not_kept") { $0.add("id", message.id.text) }
            return record
        }
        metrics.setAside.add(.inbound)
        services.log.error("poison_set_aside") {
            $0.add("id", message.id.text)
            $0.add("from", message.sender)
            $0.add("peer", message.peer)
            $0.add("size", message.octets)
            $0.add("deaths", message.deaths)
        }
        tell(
            .setAside(message), as: report, hostname: services.hostname, directory: services.directory.current,
            gateway: services.gateway, now: message.received)
        return record
    }
}

enum PoisonReplies {
    /// To MAIL. RFC 3463 §3.4: X.3.0, other or undefined mail system status.
    static let envelope = Reply(
        451, EnhancedStatus(4, 3, 0),
        "Mail like this ended the server before, it waits for the operator; try again later")

    static func envelopeEvent(_ entry: DeathRegister.Entry) -> DefenseEvent {
        DefenseEvent(
            .poison, .deferred, subject: entry.label,
            detail:
                "\(SignalName.of(entry.signal)) in \(entry.deaths) runs while a transaction of this sender from this "
                + "network was begun; `martlet poison forget "
                + "\(String(decoding: entry.envelopeID?.text ?? [], as: UTF8.self))` lets it in again")
    }

    /// RFC 3463 §3.4: X.3.0, other or undefined mail system status.
    static func notKept(_ id: MessageID) -> Reply {
        Reply(
            451, EnhancedStatus(4, 3, 0),
            "The message could not be kept, try again later (\(String(decoding: id.text, as: UTF8.self)))")
    }
}
