import Base
import Handoff
import MailAuth
import Policy
import Protocols
import Reactor
import Store
import Telemetry

/// Drives one SMTP session on its connection: bytes in, effects out, answers back. Decides nothing itself.
/// Confined to the loop's thread; answers from other threads come as jobs of the loop, found by the connection's token.
final class SMTPConnection: ConnectionDriver {
    /// Chunks of a body on their way to disk at which reading stops.
    static let chunksUnderWayMax = 4
    private static let owedSecondsMax = 600.0

    let loop: LoopContext
    let listener: ListenerContext
    /// Of the transaction; before it, of the session's start.
    var settings: LoopSettings
    let token: Token
    let peer: [UInt8]
    let peerAddress: [UInt8]
    /// nil: a Unix socket.
    let client: IPAddress?
    /// Its address says who it is: false for what a proxy sends without saying for whom.
    let isKnownByAddress: Bool
    var session: SMTPSession
    /// What was done to the client for defence, and what is known of it.
    var defense: SessionDefense
    /// RCPT commands without an answer yet.
    var gate: [RecipientCase] = []
    /// The filters of the listener, once mail has come; nil: it has none.
    var chain: MilterChain?
    /// The reverse lookup that the filters are told of; nil: there are none, or nothing to look up.
    var clientName: ClientNameLookup?
    var body: InboundBody
    /// The transaction is of a client of ours.
    var isOwnMail = false
    /// The id of a message of our own, drawn early for its Message-ID.
    var ownID: MessageID?
    /// The reverse-path of the transaction.
    var sender: [UInt8] = []
    /// The questions of the message that is arriving; nil when nothing is checked of it.
    var inquiry: Inquiry?
    var inquirySerial: UInt64 = 0
    /// What this client and its last sender came to.
    var lastClient: CheckedClient?
    /// The header of the message, once it is complete.
    var preparedHeader: InboundHeader?
    /// The message that the filters have to the end.
    var underFilter: PendingMessage?
    /// The message whose new body, which a filter made, is on its way to the store.
    var underReplacement: (judged: JudgedMessage, body: ReplacedBody)?
    /// The message whose signatures are being made.
    var underSignature: SignedCase?
    /// The id of the message, as filters were told.
    var filterID: MessageID?
    /// The message whose checks wait for DNS.
    var pending: PendingMessage?
    /// What RCPT resolved, for the accepted recipients in order. Empty between transactions.
    var resolved: [ResolvedRecipient] = []
    var directory = DirectorySnapshot.empty
    var exchange: AuthExchange?
    /// Who the last login was for.
    var triedUser: [UInt8] = []
    /// The one that the client logged in by.
    var mechanism: [UInt8] = []
    var tally: SessionTally
    /// What ended the session before its time.
    private(set) var trouble: SessionClose?
    /// RCPT commands are being worked through, and there may be more to do.
    var isAdvancingGate = false
    var gateHasNews = false
    private var closing = false
    /// The session is being run: what it is answered now it takes up by itself.
    private(set) var isInTurn = false
    /// A question was answered on the spot: the session may be able to go on.
    private var answeredNow = false
    /// The session has replies to get rid of before it reads on.
    private var awaitsDrain = false

    init(_ c: Connection, loop: LoopContext, listener: ListenerContext, client: ClientOrigin, isExempt: Bool) {
        self.loop = loop
        self.listener = listener
        settings = loop.settings
        token = c.token
        tally = SessionTally(began: loop.reactor.now)
        self.client = client.address
        isKnownByAddress = client.isKnown
        peer = client.address.map { Array($0.description.utf8) } ?? []
        peerAddress = client.address?.bytes ?? []
        defense = SessionDefense(id: loop.ids.next(at: loop.reactor.wall), isExempt: isExempt)
        session = SMTPSession(
            configuration: settings.session(of: listener), peer: SMTPPeer(address: peer), now: loop.reactor.now)
        session.asksAboutUnknown =
            loop.services.defense.settings.current.milters[listener.kind]?.isEmpty == false
        session.refusalID = defense.id
        let handle = loop.reactor.handle
        let token = c.token
        let assembler = BodyAssembler(gateway: loop.services.gateway, inlineMax: loop.services.inlineBodyMax) {
            // A full mailbox only delays the resumption until the next answer: the deadline still runs.
            _ = handle.post { SMTPConnection.on($0, token)?.chunkWritten($0) }
        }
        body = InboundBody(
            store: assembler, headerMax: Int(clamping: settings.limits.headerOctets),
            ownNames: [loop.services.hostname], poison: loop.services.poison)
    }

    /// The driver of a connection that may be gone by now.
    static func on(_ reactor: Reactor, _ token: Token) -> SMTPConnection? {
        reactor.connection(for: token)?.driver as? SMTPConnection
    }

    // MARK: Events

    func opened(_ c: Connection) {
        loop.services.metrics.connections.add(listener.label, .accepted)
        loop.services.metrics.sessions.add(listener.label, 1)
        c.setDeadline(afterSeconds: settings.limits.commandTimeoutSeconds)
        loop.services.log.debug("connected") {
            $0.add("peer", peer)
            $0.add("listener", listener.label.text)
        }
        if listener.implicitTLS, let tls = listener.tls {
            c.startImplicitTLSServer(tls.current)
        } else if let wait = greetWait {
            defense.bannerDue = loop.reactor.now.advanced(bySeconds: wait)
            armDeadline(c)
        } else {
            greet(c)
        }
    }

    func greet(_ c: Connection) {
        session.start()
        pump(c)
    }

    func secured(_ c: Connection, _ info: TLSInfo) {
        loop.services.metrics.tlsSessions.add(info.versionLabel, info.resumed ? .resumed : .established)
        session.secured(
            TLSFacts(
                version: Array(info.version.utf8), cipher: Array(info.cipher.utf8),
                serverName: Array((info.serverName ?? "").utf8)))
        if listener.implicitTLS { session.start() }
        pump(c)
    }

    func received(_ c: Connection, _ bytes: Span<UInt8>) -> Int {
        // RFC 5321 §3.1: the server speaks first.
        if defense.bannerDue != nil {
            noteEarlyTalk(bytes.count)
            return 0
        }
        let wasTLS = c.isTLS
        var used = 0
        isInTurn = true
        defer { isInTurn = false }
        while used < bytes.count, !closing, defense.held == nil {
            let n = session.receive(bytes.extracting(used..<bytes.count), body: &body)
            used += n
            answeredNow = false
            runEffects(c)
            // A message that has ended was judged just now; of another, what its header names is asked.
            if body.header != nil { prepare() }
            if body.heldOctets > PressureState.messageOctets { giveUpMessage(c) }
            // RFC 3207 §4.2: what was pipelined behind STARTTLS is never looked at.
            if c.isTLS != wasTLS {
                if used < bytes.count { noteInjection(bytes.count - used) }
                return bytes.count
            }
            if n == 0, !answeredNow {
                awaitsDrain = session.outputIsFull
                break
            }
        }
        sendOutput(c)
        applyBackPressure(c)
        // A line that only grows does not buy time; a whole one, or octets of a body, does.
        if used > 0 || session.isSuspended { armDeadline(c) }
        return closing ? bytes.count : used
    }

    /// A burst's replies are out: what is left of the burst may be read.
    func drained(_ c: Connection) {
        guard awaitsDrain, !closing else { return }
        awaitsDrain = false
        applyBackPressure(c)
    }

    private func noteInjection(_ octets: Int) {
        loop.services.log.warning("starttls_injection") {
            $0.add("peer", peer)
            $0.add("discarded", octets)
        }
    }

    func timedOut(_ c: Connection) {
        if defense.bannerDue != nil {
            defense.bannerDue = nil
            greet(c)
            return c.offerInput()
        }
        if defense.held != nil {
            releaseHeld()
            return pump(c)
        }
        if pending != nil {
            stopWaitingForFacts()
            return pump(c)
        }
        if let due = listsDue, due <= loop.reactor.now {
            stopWaitingForLists()
            return pump(c)
        }
        if gateWaitsForFacts {
            stopGatheringForRecipients()
            return pump(c)
        }
        if clientName?.isAsking == true {
            stopNaming()
            return pump(c)
        }
        session.timedOut()
        pump(c)
        if !closing { c.close(.timedOut) }
    }

    func closed(_ c: Connection, _ reason: CloseReason) {
        loop.services.metrics.sessions.add(listener.label, -1)
        loop.services.defense.clients.leave(client)
        if reason == .stopping { forgetHeld() } else { abandonHeld() }
        chain?.close()
        if let underFilter { discard(underFilter.content) }
        underReplacement = nil
        if let underSignature { discard(underSignature.judged.message.content) }
        if case .tlsFailed(let text) = reason {
            loop.services.metrics.tlsSessions.add(.unknown, .failed)
            loop.services.log.info("tls_failed") {
                $0.add("peer", peer)
                $0.add("reason", text)
            }
        }
        if session.isReceivingBody { loop.services.metrics.messages.add(listener.label, .aborted) }
        recordSession(c, reason)
        if defense.hasRefused { loop.explainable[defense.id] = nil }
        session.peerClosed()
        body.discard()
    }

    /// The server is stopping: a transaction under way may finish, then the peer is told so.
    func drain(_ c: Connection) {
        loop.isDraining = true
        releaseHeld()
        pump(c)
    }

    // MARK: Answers from other threads

    func answered(_ ticket: Ticket, _ answer: Answer) {
        guard let c = loop.reactor.connection(for: token) else { return }
        markInProgress()
        session.resume(ticket, with: answer)
        pump(c)
    }

    /// An answer that may be given on the spot or after a while.
    func give(_ ticket: Ticket, _ answer: Answer) {
        if isInTurn { self.answer(ticket, answer) } else { answered(ticket, answer) }
    }

    func stored(_ ticket: Ticket, _ message: MessageID, _ result: Result<MessageID, StoreError>) {
        switch result {
        case .success(let id): answered(ticket, .stored(id))
        case .failure(let error): answered(ticket, .refused(StoreReplies.refusal(error).explained(by: message)))
        }
    }

    private func chunkWritten(_ reactor: Reactor) {
        body.store.chunkWritten()
        if underReplacement != nil { continueReplacing() }
        if let c = reactor.connection(for: token), !closing { applyBackPressure(c) }
    }

    // MARK: Effects

    func pumpUnlessInTurn() {
        if !isInTurn, let c = loop.reactor.connection(for: token) { pump(c) }
    }

    func pump(_ c: Connection) {
        let wasInTurn = isInTurn
        isInTurn = true
        runEffects(c)
        isInTurn = wasInTurn
        sendOutput(c)
        if !closing { applyBackPressure(c) }
        armDeadline(c)
    }

    func runEffects(_ c: Connection) {
        // Before what follows them is looked at.
        if session.hasRefusals { noteRefusals() }
        while let effect = session.nextEffect() {
            switch effect {
            case .ask(let question, let ticket): ask(question, ticket)
            case .startTLS: startTLS(c)
            case .close(let reason): close(c, reason)
            case .note(let note): take(note)
            case .transactionStarted:
                resolved.removeAll(keepingCapacity: true)
                beginInquiry()
            case .transactionAborted:
                resolved = []
                endTransaction()
                inquiry = nil
                preparedHeader = nil
                if !session.isReceivingBody, !session.isInTransaction { body.discard() }
            }
        }
    }

    /// What the thread works on until the end of the event. Asks for the marks alone: the whole body would be copied.
    func markInProgress() {
        if let mark = body.mark { mark.begin() } else { body.envelopeMark?.begin() }
    }

    func answer(_ ticket: Ticket, _ answer: Answer) {
        session.resume(ticket, with: answer)
        answeredNow = true
    }

    private func sendOutput(_ c: Connection) {
        if loop.isDraining, !closing, !session.isInTransaction, !session.isSuspended {
            session.shutdown()
            runEffects(c)
        }
        let metrics = loop.services.metrics
        session.drainOutcomes { verb, codeClass in
            metrics.commands.add(VerbLabel(verb), ReplyClass(codeClass))
            tally.commands += 1
            if codeClass >= 4 { tally.rejected += 1 }
        }
        if session.hasRefusals { noteRefusals() }
        guard session.hasOutput, !defense.holdsOutput else { return }
        c.write(session.takeOutput())
    }

    private func startTLS(_ c: Connection) {
        sendOutput(c)
        guard let tls = listener.tls else { return c.close() }
        c.startTLSServer(tls.current)
    }

    private func close(_ c: Connection, _ reason: SessionClose) {
        if reason != .quit, reason != .shutdown, reason != .peerClosed { trouble = reason }
        if defense.holdsOutput { forgetHeld() }
        sendOutput(c)
        closing = true
        c.closeAfterFlush()
        loop.services.log.debug("closing") {
            $0.add("peer", peer)
            $0.add("reason", "\(reason)")
        }
    }

    private func take(_ note: SessionNote) {
        loop.services.log.info("session_note") {
            $0.add("peer", peer)
            $0.add("note", "\(note)")
        }
    }

    /// While an answer is owed nothing is read: a client that ends its side after QUIT still gets all its replies.
    private var holdsInput: Bool {
        awaitsDrain || session.isSuspended || body.store.chunksUnderWay >= Self.chunksUnderWayMax
            || defense.held != nil || body.filterWantsPause
    }

    private func applyBackPressure(_ c: Connection) {
        if holdsInput {
            c.pauseReading()
        } else if c.isReadingPaused {
            c.resumeReading()
        }
    }

    func armDeadline(_ c: Connection) {
        guard !closing else { return }
        if let due = defense.bannerDue ?? defense.held?.until { return c.setDeadline(due) }
        if let due = listsDue { return c.setDeadline(due) }
        // The checks of a message end in time whatever the resolver does.
        if pending != nil || gateWaitsForFacts || clientName?.isAsking == true {
            return c.setDeadline(afterSeconds: settings.auth.limits.seconds)
        }
        // While we owe the answer the peer's time does not run; an answer that is lost must not hold the place for ever.
        let isOwed = session.isSuspended || !gate.isEmpty || body.filterWantsPause
        if isOwed { return c.setDeadline(afterSeconds: Self.owedSecondsMax) }
        c.setDeadline(afterSeconds: patienceSeconds)
    }

    /// Under pressure strangers get less time.
    private var patienceSeconds: Double {
        let usual = session.currentTimeoutSeconds
        let pressure = loop.services.defense.pressure.state
        return pressure.isCalm ? usual : pressure.idleSeconds(usual, known: isKnownClient)
    }

    /// The pressure changed: nobody is held, and strangers who say nothing have less time left, never more.
    func pressureChanged(_ c: Connection) {
        let pressure = loop.services.defense.pressure.state
        guard !closing, c.isOpen, !pressure.isCalm else { return }
        if body.heldOctets > PressureState.messageOctets, giveUpMessage(c) { return pump(c) }
        if defense.held != nil, pressure.sheds(.hold, known: false) {
            releaseHeld()
            return pump(c)
        }
        guard defense.bannerDue == nil, pending == nil, gate.isEmpty, !session.isSuspended else { return }
        c.hastenDeadline(afterSeconds: patienceSeconds)
    }
}

extension TLSInfo {
    fileprivate var versionLabel: TLSVersionLabel {
        switch version {
        case "TLSv1.3": .tls13
        case "TLSv1.2": .tls12
        default: .unknown
        }
    }
}
