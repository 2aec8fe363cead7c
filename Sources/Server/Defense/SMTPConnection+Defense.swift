import Base
import Ledger
import Policy
import Protocols
import Reactor
import Telemetry

/// What the session does about its client: limits, pressure, the wait before the banner, the tarpit; and how each of it is
/// told and recorded.
extension SMTPConnection {
    /// Known good, trusted or logged in: served when others are not.
    var isKnownClient: Bool {
        defense.isExempt || session.authenticatedIdentity != nil
            || loop.services.defense.clients.isKnownGood(client, now: loop.reactor.now)
    }

    // MARK: Before the banner

    /// How long the banner is kept back from who is not known; nil: not at all.
    var greetWait: Double? {
        let wait = loop.services.defense.settings.current.greetWaitSeconds
        guard wait > 0, listener.label == .mx, !listener.implicitTLS, client != nil, !isKnownClient,
            !settings.mayRelay(peerAddress),
            !loop.services.defense.pressure.state.sheds(.hold, known: false)
        else { return nil }
        return wait
    }

    func noteEarlyTalk(_ octets: Int) {
        guard !defense.talkedEarly else { return }
        defense.talkedEarly = true
        loop.services.defense.clients.failed(client, now: loop.reactor.now)
        loop.services.metrics.defense.earlyTalkers.add(1)
        note(DefenseEvent(.score, .noted, detail: "the client spoke before the banner (\(octets) octets)"))
    }

    // MARK: MAIL

    func refusalOfMail() -> Reply? {
        let services = loop.services.defense
        if !services.pressure.state.isCalm, var event = services.pressure.shed(.mail, known: isKnownClient) {
            event.subject = sender
            return refusing(event, PressureState.mailReply)
        }
        let limits = services.limits.current
        let verdict = services.clients.message(client, limits, exempt: defense.isExempt, now: loop.reactor.now)
        guard var event = LimitReplies.message(verdict, limits), let reply = event.reply else {
            return refusalOfAccount()
        }
        loop.services.metrics.defense.limits.add(.messageRate)
        event.subject = sender
        return refusing(event, reply)
    }

    /// Whether the user who logged in has sent all that is his for now.
    private func refusalOfAccount() -> Reply? {
        guard let account = session.authenticatedIdentity else { return nil }
        let table = loop.services.defense.accounts
        let verdict = table.message(account, now: loop.reactor.now)
        guard verdict != .taken else { return nil }
        return refusing(LimitReplies.accountMessage(verdict, table.current, account), .accountMessages, sender)
    }

    /// The same of a recipient.
    func refusalOfAccount(_ recipient: MailAddress) -> Reply? {
        guard let account = session.authenticatedIdentity else { return nil }
        let table = loop.services.defense.accounts
        let verdict = table.recipient(account, now: loop.reactor.now)
        guard verdict != .taken else { return nil }
        loop.services.metrics.recipients.add(.deferred)
        return refusing(
            LimitReplies.accountRecipient(verdict, table.current, account), .accountRecipients, recipient.wire)
    }

    private func refusing(_ event: DefenseEvent?, _ limit: LimitLabel, _ subject: [UInt8]) -> Reply? {
        guard var event, let reply = event.reply else { return nil }
        loop.services.metrics.defense.limits.add(limit)
        event.subject = subject
        return refusing(event, reply)
    }

    // MARK: A large message that is arriving

    /// Where memory runs out, a stranger's message that takes much of it is given up; true when it was.
    @discardableResult
    func giveUpMessage(_ c: Connection) -> Bool {
        let services = loop.services.defense
        guard !services.pressure.state.isCalm, session.isReceivingBody,
            var event = services.pressure.shed(.message, known: isKnownClient)
        else { return false }
        event.subject = sender
        loop.services.metrics.messages.add(listener.label, .aborted)
        session.dismiss(refusing(event, PressureState.messageReply))
        body.discard()
        runEffects(c)
        return true
    }

    // MARK: Tarpit

    /// Counts a failure of the client; how long its answer is kept back where these rules are in force. `domain`: of the
    /// recipient, or of who tried to log in.
    func tarpitDelay(_ rules: DomainDefense.Tarpit?, _ domain: [UInt8]) -> Double {
        let services = loop.services.defense
        let now = loop.reactor.now
        guard let client, !defense.isExempt else { return 0 }
        defer {
            let before = services.clients.failed(client, now: now)
            if rules != nil { defense.addFailure(domain, before: before) }
        }
        guard let rules, rules.isOn, !rules.allow.contains(where: { $0.contains(client) }),
            !services.greylist.exceptions.index.tarpit.contains(client)
        else { return 0 }
        return services.clients.tarpitDelay(client, maxSeconds: rules.maxSeconds, now: now)
    }

    /// Counts bad commands of the client, and keeps their replies back where a domain of ours slows such clients. No
    /// recipient is named by them, so the rules are those of the domain that slows them least. Who is logged in is ours.
    private func countBadCommands(_ count: Int) {
        guard count > 0, !isOwnMail, session.authenticatedIdentity == nil else { return }
        let mildest = loop.services.directory.current.mildestTarpit
        var delay = 0.0
        for _ in 0..<count { delay = tarpitDelay(mildest?.rules, mildest?.domain ?? []) }
        guard delay > 0 else { return }
        // What ends the connection, or was said before TLS, is on its way; so is the answer to a message that came in the
        // same burst: it is never kept back, nor taken back.
        guard !session.isClosed, !session.isBeforeHandshake, !session.isSubmitting else {
            loop.services.metrics.defense.holdsSkipped.add(1)
            return
        }
        _ = hold(.output, of: mildest?.domain ?? [], seconds: delay)
    }

    /// Keeps an answer back; false when it must not be, and goes out at once.
    func hold(_ what: SessionDefense.Held.What, of subject: [UInt8], seconds: Double) -> Bool {
        let services = loop.services.defense
        guard defense.held == nil, !loop.isDraining else { return false }
        guard !services.pressure.state.sheds(.hold, known: false), services.clients.hold(services.limits.current) else {
            loop.services.metrics.defense.holdsSkipped.add(1)
            return false
        }
        loop.services.metrics.defense.held.add(1)
        let now = loop.reactor.now
        defense.held = SessionDefense.Held(what: what, since: now, until: now.advanced(bySeconds: seconds))
        // Nothing is read meanwhile, but who leaves must not keep a place that others could be held in.
        loop.reactor.connection(for: token)?.watchForEnd(true)
        let before = defense.lastFailuresBefore
        var event = DefenseEvent(
            .tarpit, .slowed, subject: subject,
            detail: "\(defense.holdsOutput ? "after a bad command " : "")kept waiting \(Int(seconds)) s, after "
                + "\(before) \(before == 1 ? "failure" : "failures") before this one")
        event.figures = .tarpit(
            DefenseFigures.Tarpit(failures: defense.lastFailuresBefore, seconds: Int(seconds)))
        if defense.holdsOutput { note(event) } else { noteOnce(event) }
        return true
    }

    /// The answer goes out now.
    func releaseHeld() {
        guard let held = defense.held else { return }
        forgetHeld()
        switch held.what {
        case .recipient: advanceGate()
        case .login(let ticket, let answer): give(ticket, answer)
        case .output: return
        }
    }

    func forgetHeld() {
        guard let held = defense.held else { return }
        defense.held = nil
        loop.reactor.connection(for: token)?.watchForEnd(false)
        loop.services.defense.clients.unhold()
        loop.services.metrics.defense.held.add(-1)
        let waited = loop.reactor.now.seconds(since: held.since)
        defense.addHeld(seconds: Int(min(max(0, waited), 3_600).rounded()))
        loop.services.metrics.defense.heldDuration.observe(seconds: waited)
    }

    /// The client ended its side in a hold. It is done with: its place and its connection are free at once, and neither the
    /// answer nor anything it sent behind the command is worth its while.
    func peerEnded(_ c: Connection) {
        guard let held = defense.held else { return }
        let told = refusing(abandoned(held, .closed), SessionDefense.Held.abandoned)
        switch held.what {
        case .recipient(let ticket, _), .login(let ticket, _): answer(ticket, .refused(told))
        case .output:
            // RFC 5321 §3.8: the 421 speaks for them all.
            _ = session.takeOutput()
            session.dismiss(told)
        }
        pump(c)
    }

    /// The client left before its answer.
    func abandonHeld() {
        if let held = defense.held { note(abandoned(held, .noted)) }
    }

    private func abandoned(_ held: SessionDefense.Held, _ effect: DefenseEvent.Effect) -> DefenseEvent {
        forgetHeld()
        loop.services.metrics.defense.holdsAbandoned.add(1)
        let waited = Int(loop.reactor.now.seconds(since: held.since))
        return DefenseEvent(.tarpit, effect, detail: "the client left after \(waited) s, before its answer")
    }

    // MARK: Telling and recording

    /// A refusal with the id under which it is explained: the session's, or the message's that it is about. Recorded,
    /// counted, logged.
    func refusing(_ event: DefenseEvent, _ reply: Reply, message: MessageID? = nil) -> Reply {
        if message == nil { beExplained() }
        let told = reply.explained(by: message ?? defense.id)
        var event = event
        event.reply = told
        tally.refusal = told
        note(event)
        return told
    }

    /// The same by a plain rule, which has its own line in the log.
    func refusing(
        _ control: DefenseEvent.Control, _ reply: Reply, subject: [UInt8] = [], because detail: String
    ) -> Reply {
        beExplained()
        let told = reply.explained(by: defense.id)
        tally.refusal = told
        record(DefenseEvent(control, DefenseEvent.Effect(of: reply), subject: subject, detail: detail, reply: told))
        return told
    }

    /// Refusals in the session's own words since the last look.
    func noteRefusals() {
        let badCommands = session.drainRefusals { verb, reply in
            beExplained()
            tally.refusal = reply
            record(
                DefenseEvent(
                    .protocol, DefenseEvent.Effect(of: reply), detail: occasion(verb, reply), reply: reply))
        }
        countBadCommands(badCommands)
    }

    private func occasion(_ verb: Verb?, _ reply: Reply) -> String {
        if reply.code == 421, let ending = ending(verb, reply) { return ending }
        guard let verb else { return reply.code == 421 ? "the session came to its end" : "a line was no command" }
        return "the answer to \(VerbLabel(verb).text.uppercased())"
    }

    /// Which bound ended the session; nil: none.
    private func ending(_ verb: Verb?, _ reply: Reply) -> String? {
        let limits = settings.limits
        if reply.text.starts(with: StandardReplies.tooManyErrors.text) {
            return verb == .auth
                ? "\(limits.authFailures) failed logins in one session"
                : "smtp.max_errors is \(limits.errorWeight / LoopSettings.errorWeightEach): so many mistakes, or five times "
                    + "as many refusals"
        }
        if reply.text.starts(with: StandardReplies.dataTimeout.text) {
            return "no more of the message within smtp.data_timeout, or less under pressure"
        }
        if reply.text.starts(with: StandardReplies.timeout.text) {
            return "no command within smtp.command_timeout, or less under pressure"
        }
        return nil
    }

    /// From now on the session's id finds something.
    private func beExplained() {
        guard !defense.hasRefused else { return }
        defense.hasRefused = true
        loop.explainable[defense.id] = token
    }

    /// Kept for the record and counted.
    private func record(_ event: DefenseEvent) {
        var event = event
        event.afterMicroseconds = UInt64(loop.reactor.now.seconds(since: tally.began) * 1e6)
        defense.add(event)
        loop.services.metrics.defense.count(event)
    }

    /// One of these for a transaction is enough.
    func noteOnce(_ event: DefenseEvent) {
        let isKnown = defense.transaction.contains {
            $0.control == event.control && $0.effect == event.effect && $0.subject == event.subject
        }
        if !isKnown { note(event) }
    }

    func note(_ event: DefenseEvent) {
        record(event)
        loop.services.log.info("defense") {
            $0.add("id", (defense.hasRefused ? defense.id : ownID)?.text ?? [])
            $0.add("peer", peer)
            $0.add("control", event.control.rawValue)
            $0.add("effect", event.effect.rawValue)
            $0.add("subject", event.subject)
            $0.add("detail", event.detail)
        }
    }

    /// The transaction is over without a message.
    func endTransaction() {
        gate = []
        if case .recipient = defense.held?.what { forgetHeld() }
        chain?.abort()
        body.filter = nil
        body.forgetMark()
    }
}
