import Base
import MailAuth
import Protocols
import Reactor
import Store
import Telemetry

/// The checks of a message, from MAIL to the verdict: what can be asked is asked while the message still arrives.
extension SMTPConnection {
    /// Mail of our own: from a user who logged in, or from a network that may relay.
    var clientIsTrusted: Bool {
        !isFrontEnd && isClientOfOurs
    }

    /// By LMTP comes what a front end has taken and checked: for mailboxes here, and not judged again.
    var isFrontEnd: Bool { listener.label == .lmtp }

    private var isClientOfOurs: Bool {
        session.authenticatedIdentity != nil
            || isKnownByAddress && settings.mayRelay(peerAddress)
    }

    /// At MAIL: who the client is can be asked from here on.
    func beginInquiry() {
        inquiry = nil
        body.extraHashes = []
        ownID = nil
        isOwnMail = clientIsTrusted
        if isOwnMail {
            let id = filterID ?? loop.ids.next(at: loop.reactor.wall)
            ownID = id
            body.purpose = .submit(now: loop.reactor.wall, id: id, domain: loop.services.hostname)
            body.extraHashes = [SubmissionSigner.bodyKey]
            return
        }
        body.purpose = isFrontEnd ? .keep : .check
        body.isJudged = !isFrontEnd && settings.auth.isEnabled && client != nil
        guard body.isJudged, let ip = client else { return }
        inquirySerial &+= 1
        let helo = session.heloName
        if let last = lastClient, last.helo == helo, last.sender == sender,
            loop.reactor.now.seconds(since: last.at) < CheckedClient.secondsMax
        {
            inquiry = Inquiry(
                serial: inquirySerial, client: last.client, dice: dice, limits: settings.auth.limits,
                facts: last.facts)
            return
        }
        let current = Inquiry(
            serial: inquirySerial, client: clientCheck(ip), dice: dice, limits: settings.auth.limits)
        current.learn(likely: loop.plans.client(peerAddress, helo, sender), memo: loop.memo, now: loop.reactor.now)
        inquiry = current
        prepare()
    }

    private func clientCheck(_ ip: IPAddress) -> MessageCheck.Client {
        let helo = session.heloName
        let receiver = loop.services.hostname
        let now = loop.reactor.wall
        return MessageCheck.Client(
            iprev: IPRevCheck(ip), helo: SPFCheck(ip: ip, helo: helo, receiver: receiver, now: now),
            mailFrom: SPFCheck(ip: ip, helo: helo, mailFrom: sender, receiver: receiver, now: now))
    }

    /// Where mail is not checked, a domain's defences may still want to know who the client is.
    func ensureInquiry() {
        guard inquiry == nil, !isOwnMail, let ip = client else { return }
        inquirySerial &+= 1
        inquiry = Inquiry(
            serial: inquirySerial, client: clientCheck(ip), dice: dice, limits: settings.auth.limits,
            judges: false)
    }

    /// Asks for whatever can be known to be wanted by now.
    func prepare() {
        markInProgress()
        if let header = body.takeHeader() {
            preparedHeader = header
            // The client took its time for envelope and header; the checks have theirs from here.
            inquiry?.renewDeadline()
        }
        let header = preparedHeader
        guard pending == nil, inquiry?.judges != false else { return }
        prepareClient()
        guard let header, let current = inquiry else { return }
        let check = check(current, header, hashes: [:])
        let step = current.advance(MessageCheck.Preparation(check), memo: loop.memo, now: loop.reactor.now)
        if case .wait(let questions) = step { put(questions) }
    }

    /// What the client's address and names come to, once.
    private func prepareClient() {
        guard let current = inquiry, current.client.known == nil else { return }
        let step = current.advance(current.client, memo: loop.memo, now: loop.reactor.now)
        if case .verdict(let results) = step {
            current.settleClient(results)
            loop.plans.keep(peerAddress, session.heloName, sender, current.gatherer.facts.questions)
            // What DNS trouble left open is asked again for the next message.
            let isSettled = ![results.spf.result, results.helo.result, results.iprev.result].contains(.temperror)
            lastClient =
                isSettled
                ? CheckedClient(
                    helo: session.heloName, sender: sender, client: current.client,
                    facts: current.gatherer.facts.settled,
                    at: loop.reactor.now) : nil
        }
        if case .wait(let questions) = step { put(questions) }
    }

    private func check(
        _ inquiry: Inquiry, _ header: InboundHeader, hashes: [BodyHashKey: BodyHash]
    ) -> MessageCheck {
        MessageCheck(
            client: inquiry.client, dkim: header.dkim, arc: header.arc, bodyHashes: hashes, author: header.author,
            now: UInt64(clamping: loop.reactor.wall.seconds), mode: settings.auth.mode, dice: inquiry.dice,
            looksUpIndicators: settings.auth.looksUpIndicators)
    }

    /// The check of the complete message; nil when nothing is checked.
    func finalCheck(hashes: [BodyHashKey: BodyHash]) -> MessageCheck? {
        inquiry.flatMap { $0.judges ? check($0, preparedHeader ?? .absent, hashes: hashes) : nil }
    }

    /// A share of the mail is as good as drawn by the microseconds of the clock.
    private var dice: Int { Int(loop.reactor.now.nanoseconds / 1_000 % 100) }

    func put(_ questions: [DNSQuestion]) {
        guard !questions.isEmpty, let serial = inquiry?.serial else { return }
        let handle = loop.reactor.handle
        let token = self.token
        let metrics = loop.services.metrics
        let asked = loop.services.resolver.ask(questions) { answers in
            // Lost for want of room: the deadline of the verdict ends the wait.
            let delivered = handle.post { SMTPConnection.on($0, token)?.learned(answers, for: serial) }
            if !delivered { metrics.mailboxFull.add(.reactor) }
        }
        if !asked { learned(questions.map { ($0, .timeout) }, for: serial) }
    }

    private func learned(_ answers: [(DNSQuestion, DNSAnswer)], for serial: UInt64) {
        let now = loop.reactor.now
        for (question, answer) in answers { loop.memo.keep(question, answer, now: now) }
        guard inquiry?.serial == serial else { return }
        inquiry?.learn(answers)
        if pending == nil {
            prepare()
            // Answered while the recipient is being weighed, because nothing could be asked: weighed once more.
            if isAdvancingGate { return advanceGate() }
            guard gateWaitsForFacts else { return }
            advanceGate()
            return pumpUnlessInTurn()
        }
        pursueVerdict()
        if pending == nil, let c = loop.reactor.connection(for: token) { pump(c) }
    }

    /// The time for the checks is over: what is not known counts as timed out.
    func stopWaitingForFacts() {
        inquiry?.giveUpWaiting()
        pursueVerdict()
    }

    /// Ends in `conclude`, now or when the answers are there.
    func pursueVerdict() {
        markInProgress()
        guard let message = pending, let check = message.check, let current = inquiry else { return }
        let step = current.advance(check, memo: loop.memo, now: loop.reactor.now)
        switch step {
        case .wait(let questions): put(questions)
        case .verdict(let results):
            pending = nil
            conclude(message, results)
        case .gaveUp:
            pending = nil
            conclude(message, nil)
        }
    }
}
