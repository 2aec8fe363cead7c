import Base
import Ledger
import MailAuth
import Policy
import Protocols
import Reactor
import Store
import Telemetry

/// What the ledger is told.
extension SMTPConnection {
    /// nil when nothing is recorded.
    func record(
        _ message: PendingMessage, _ results: AuthResults, _ decision: MessageDecision, _ asked: Inquiry?
    ) -> DecisionRecord? {
        guard loop.services.ledger != nil else { return nil }
        var out = DecisionRecord(
            id: message.id, time: loop.reactor.wall, session: sessionFacts, action: decision.action,
            reply: StandardReplies.queued(message.id))
        out.sender = sender
        out.size = message.size
        out.messageID = message.messageID
        out.removedClaims = message.removedClaims
        out.recipients = recipients(message, decision)
        out.recipientCount = message.envelope.recipients.count
        out.results = results
        out.evidence = knownOfClient
        out.failures = defense.takeFailures()
        out.policyFacts = Disposition.Facts(clientIsTrusted: message.check == nil)
        out.dmarcMode = Array(settings.auth.mode.rawValue.utf8)
        out.verdicts = decision.entries.map { entry in
            DecisionRecord.Verdict(
                domain: entry.domain, policy: policy(entry.domain) ?? DomainPolicy(), entry.disposition)
        }
        out.timing.recipients = defense.recipientWait
        guard let asked else { return out }
        out.facts = asked.gatherer.facts
        out.dice = asked.dice
        out.timing.verdict = UInt64(loop.reactor.now.seconds(since: message.began) * 1e6)
        out.timing.dns = out.timing.verdict
        out.timing.questions = asked.gatherer.asked
        out.timing.rounds = asked.gatherer.rounds
        return out
    }

    /// What filters changed after it was made.
    func update(_ record: inout DecisionRecord?, _ judged: JudgedMessage) {
        guard let before = record?.recipients, let changes = record?.changes else { return }
        record?.sender = sender
        record?.recipients = recipients(judged.message, judged.decision)
        record?.recipientCount = judged.message.envelope.recipients.count
        guard defense.transaction.contains(where: { $0.control == .milter && $0.effect == .discarded }) else { return }
        // Who is gone without a filter's having said so by name lost the copy that a filter threw away.
        let named = judged.message.envelope.recipients.map(\.address.wire) + changes.map(\.name)
        let kept = Set(named.map(ASCII.lowercased))
        for var recipient in before where !kept.contains(ASCII.lowercased(recipient.address)) {
            recipient.isDiscarded = true
            recipient.folder = []
            record?.recipients.append(recipient)
            record?.recipientCount += 1
        }
    }

    private func recipients(_ message: PendingMessage, _ decision: MessageDecision) -> [DecisionRecord.Recipient] {
        zip(message.envelope.recipients, message.recipients).prefix(DecisionRecord.recipientsMax).map {
            recipient, resolved in
            let domain = recipient.address.domain
            let disposition = decision.entries.first { $0.domain == domain }?.disposition
            let isKept = !resolved.accounts.isEmpty && (decision.action == .accept || decision.action == .quarantine)
            let isJunk =
                decision.quarantines(domain) || message.junk.contains(domain) || message.filtersQuarantine(domain)
            let isHeld = message.quarantine != nil && resolved.accounts.isEmpty
            let folder = isHeld ? "Queue (held)" : !isKept ? "" : isJunk ? "Junk" : "Inbox"
            return DecisionRecord.Recipient(
                address: recipient.address.wire, domain: domain, action: disposition?.action ?? decision.action,
                rule: disposition?.rule, folder: Array(folder.utf8))
        }
    }

    var sessionFacts: SessionFacts {
        var out = SessionFacts(listener: listener.name, peer: IPAddress(bytes: peerAddress))
        out.helo = session.heloName
        // Not of the connection, which is gone when the session's record is made.
        if let tls = session.tlsFacts {
            out.tlsVersion = tls.version
            out.tlsCipher = tls.cipher
        }
        out.user = session.authenticatedIdentity ?? []
        out.isExempt = defense.isExempt || isOwnMail
        return out
    }

    private var knownOfClient: ClientEvidence? {
        if let evidence = defense.evidence { return evidence }
        guard defense.talkedEarly, let client else { return nil }
        var out = ClientEvidence(address: client)
        out.spokeEarly = true
        return out
    }

    /// Of the receiving domains that events and failures are about.
    private var rulesInForce: [ConnectionRecord.Rules] {
        var out: [ConnectionRecord.Rules] = []
        func add(_ domain: [UInt8]) {
            guard out.count < ConnectionRecord.rulesMax, !out.contains(where: { $0.domain == domain }),
                let policy = directory.policy(ofDomain: domain)
            else { return }
            out.append(ConnectionRecord.Rules(domain: domain, policy: policy))
        }
        let controls: Set<DefenseEvent.Control> = [.score, .greylist, .milter]
        for event in defense.events where controls.contains(event.control) {
            add(
                ASCII.lowercased(
                    event.subject.lastIndex(of: ASCII.at).map { Array(event.subject[($0 + 1)...]) } ?? event.subject))
        }
        for tally in defense.failures { add(tally.domain) }
        return out
    }

    /// A session that ended and was refused something, or came to nothing although it asked for something.
    func recordSession(_ c: Connection, _ reason: CloseReason) {
        guard let ledger = loop.services.ledger,
            defense.hasRefused || tally.messages == 0 && (tally.rejected > 0 || trouble != nil)
        else { return }
        let record = sessionRecord(trouble.map { "\($0)" } ?? "\(reason)")
        loop.services.log.info("session_refused") {
            $0.add("id", record.id.text)
            $0.add("peer", peer)
            $0.add("commands", record.commands)
            $0.add("rejected", record.rejectedCommands)
        }
        ledger.record(LedgerRecord.connection(record).encoded())
    }

    private func sessionRecord(_ reason: String) -> ConnectionRecord {
        var record = ConnectionRecord(
            id: defense.id, time: loop.reactor.wall, session: sessionFacts, reason: Array(reason.utf8.prefix(200)))
        record.reply = tally.refusal
        record.commands = tally.commands
        record.rejectedCommands = tally.rejected
        record.refusedRecipients = tally.refusedRecipients
        record.events = defense.events
        record.eventCount = defense.eventCount
        record.evidence = knownOfClient
        record.failures = defense.failures
        record.rules = rulesInForce
        record.elapsedMicroseconds = UInt64(loop.reactor.now.seconds(since: tally.began) * 1e6)
        return record
    }

    /// The record as it would be if the session ended now, for who asks while it goes on.
    var openRecord: ConnectionRecord {
        var reason = "the session goes on"
        if let held = defense.held {
            let left = max(0, held.until.seconds(since: loop.reactor.now))
            reason = "the session goes on, its next answer is held back for \(Int(left.rounded(.up))) s more"
        }
        var record = sessionRecord(reason)
        record.isOpen = true
        return record
    }
}

/// What a session came to, for its record.
struct SessionTally {
    let began: Instant
    var commands = 0
    var rejected = 0
    var refusedRecipients = 0
    /// Messages that reached their end of data.
    var messages = 0
    /// The last reply that refused something.
    var refusal: Reply?
}
