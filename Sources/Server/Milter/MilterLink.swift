import Base
import Protocols
import Reactor
import Telemetry

/// The connection to one filter, for one SMTP session: opens it, says who the client is, and carries one command at a
/// time. Owned by its chain, confined to the loop. Every wait has a deadline.
final class MilterLink: ConnectionDriver {
    enum Answer {
        case answer(MilterAnswer)
        case failed(MilterFailure)
    }

    private enum Opening { case closed, connecting, negotiating, connect, helo, open }

    /// What the filter still has to do with the transaction.
    enum Part {
        /// Nothing: it has accepted, was left out, or there is no transaction.
        case out
        /// MAIL was let through.
        case envelope
        /// It is hearing the message.
        case content
        /// It failed, and the policy is to put mail off.
        case broken
        /// It throws the message away, and hears no more of it.
        case discarding
    }

    let server: MilterServer
    let context: MilterContext
    weak var chain: MilterChain?
    var session = MilterSession()
    private(set) var connection: Connection?
    private var token: Token?
    private var opening = Opening.closed
    private var waiter: ((Answer) -> Void)?
    private var openWaiter: ((Answer) -> Void)?
    private var askedAt = Instant(nanoseconds: 0)
    /// Of the last command.
    private(set) var stage = MilterStageLabel.connect
    private var saidHelo: Greeting?
    /// What it said to the connection, which holds for the session, or to HELO, which holds until the next one.
    private(set) var sessionAnswer: MilterAnswer?
    private var answersConnect = false
    /// It is negotiated, and waits for the client's name.
    private var awaitsName = false
    /// The connection was made for an earlier message.
    private(set) var isReused = false

    var part = Part.out
    /// The accepted recipients it was told of, as the chain numbers them.
    var recipients: [Int] = []
    /// Why its part is broken.
    var brokenBy = MilterFailure.closed
    /// The message on its way; see `MilterLink+Message`.
    var message = MilterLinkMessage()
    /// The answer may take until then, whatever progress is reported.
    private var endLimit = Instant(nanoseconds: .max)

    /// What HELO tells, with its macros: another one makes it worth telling again.
    private struct Greeting: Equatable {
        let name: [UInt8]
        let tlsVersion: [UInt8]
        let cipher: [UInt8]

        init(_ facts: MilterConnectFacts) {
            name = facts.helo
            tlsVersion = facts.tlsVersion
            cipher = facts.cipher
        }
    }

    init(_ server: MilterServer, _ context: MilterContext) {
        self.server = server
        self.context = context
    }

    private var reactor: Reactor { context.reactor }
    var isWaiting: Bool { waiter != nil }
    /// It owes an answer to a command of a transaction.
    var isAsked: Bool { waiter != nil && opening == .open }

    // MARK: Opening

    /// Begins to connect when there is no connection. `prepare` tells what came of it.
    func startOpening() {
        guard opening == .closed else { return }
        openFailure = nil
        isReused = false
        session = MilterSession()
        saidHelo = nil
        sessionAnswer = nil
        answersConnect = false
        awaitsName = false
        opening = .connecting
        guard context.health.mayTry(server, reactor.now) else { return endOpening(.failed(.resting)) }
        token = reactor.connect(
            server.target, driver: self, deadlineSeconds: max(1, server.timeoutSeconds / 3))
        askedAt = reactor.now
        stage = .connect
        if token == nil { endOpening(.failed(.noSlot)) }
    }

    /// The failure of an opening nobody asked about yet.
    private var openFailure: MilterFailure?

    /// Calls back when the filter knows the client, or has failed.
    func prepare(_ then: @escaping (Answer) -> Void) {
        if let failure = openFailure {
            openFailure = nil
            return then(.failed(failure))
        }
        openWaiter = then
        switch opening {
        case .closed: startOpening()
        case .open: introduce()
        case .connecting, .negotiating, .connect, .helo: break
        }
    }

    /// Nobody asks any more what comes of the opening, which goes on.
    func forgetOpening() { openWaiter = nil }

    private func endOpening(_ answer: Answer) {
        if case .failed(let failure) = answer {
            opening = .closed
            guard openWaiter != nil else {
                openFailure = failure
                return
            }
        } else {
            if opening != .open { context.health.succeeded(server, at: .connect) }
            opening = .open
        }
        let then = openWaiter
        openWaiter = nil
        then?(answer)
    }

    /// The client's name is known.
    func named() {
        guard awaitsName else { return }
        awaitsName = false
        if opening == .negotiating { introduce() }
    }

    /// CONNECT, then HELO, each once; HELO again when the client said another one, or said it under TLS.
    private func introduce() {
        guard let chain else { return }
        if opening == .negotiating {
            // Negotiated, and nothing more to say before the reverse lookup has ended, which has a time limit of its own.
            awaitsName = !chain.facts.isNamed
            guard !awaitsName else { return }
            opening = .connect
            session.macros = chain.macros
            let facts = chain.facts
            return ask(
                .connect, { $0.connect(name: facts.connectName, address: facts.clientAddress, port: facts.clientPort) }
            ) {
                [weak self] in self?.introduced($0)
            }
        }
        if opening == .open { isReused = true }
        let greeting = Greeting(chain.facts)
        // A command before HELO may be why it is asked.
        guard !answersConnect, !greeting.name.isEmpty, saidHelo != greeting else {
            return endOpening(.answer(.proceed))
        }
        opening = .helo
        saidHelo = greeting
        sessionAnswer = nil
        session.macros = chain.macros
        let name = chain.facts.helo
        ask(.connect, { $0.helo(name) }) { [weak self] in self?.introduced($0) }
    }

    private func introduced(_ answer: Answer) {
        switch answer {
        case .failed:
            drop()
            endOpening(answer)
        case .answer(.proceed), .answer(.skip):
            if opening == .connect { opening = .helo }
            if opening == .helo, saidHelo == nil, chain?.facts.helo.isEmpty == false { return introduce() }
            endOpening(.answer(.proceed))
        case .answer(let verdict):
            sessionAnswer = verdict
            answersConnect = opening == .connect
            endOpening(.answer(.proceed))
        }
    }

    // MARK: Commands

    /// Sends one command and calls back with the answer; at once when none is owed.
    func ask(
        _ stage: MilterStageLabel, _ command: (inout MilterSession) -> Bool, _ then: @escaping (Answer) -> Void
    ) {
        guard let connection, connection.isOpen else { return then(.failed(.closed)) }
        let isOwed = command(&session)
        flush(connection)
        guard isOwed else { return then(.answer(.proceed)) }
        expectAnswer(stage, then)
    }

    /// An answer is owed; `then` is told of it, or that it does not come.
    func expectAnswer(_ stage: MilterStageLabel, _ then: @escaping (Answer) -> Void) {
        waiter = then
        self.stage = stage
        askedAt = reactor.now
        endLimit = askedAt.advanced(bySeconds: min(server.timeoutSeconds * 10, context.limits.endSecondsMax))
        if let end = chain?.endsBy { endLimit = min(endLimit, end) }
        if let connection { awaitMore(connection) }
    }

    private func awaitMore(_ c: Connection) {
        c.setDeadline(min(reactor.now.advanced(bySeconds: server.timeoutSeconds), endLimit))
    }

    /// Tells the filter that the transaction is over; one that owes an answer is left, for it could not be told apart.
    func endTransaction() {
        part = .out
        recipients = []
        message = MilterLinkMessage()
        if waiter != nil || session.isWaiting {
            waiter = nil
            return drop()
        }
        guard let connection, connection.isOpen, opening == .open else { return }
        session.abort()
        flush(connection)
        connection.clearDeadline()
    }

    /// The message is over for this filter, which knows it: it has given its last answer.
    func leaveTransaction() {
        part = .out
        message = MilterLinkMessage()
        connection?.clearDeadline()
    }

    /// Ends the connection politely.
    func quit() {
        waiter = nil
        openWaiter = nil
        guard let connection, connection.isOpen else { return drop() }
        session.quit()
        flush(connection)
        connection.closeAfterFlush()
        opening = .closed
        detach()
    }

    /// Ends the connection now.
    func drop() {
        waiter = nil
        opening = .closed
        if let connection {
            connection.close()
        } else if let token {
            reactor.connection(for: token)?.close()
        }
        detach()
    }

    private func detach() {
        if connection != nil { context.metrics.connections.add(-1) }
        connection = nil
        token = nil
    }

    func flush(_ c: Connection) {
        if session.hasOutput { c.write(session.takeOutput()) }
    }

    /// Nothing is awaited of the filter but that it reads.
    func awaitDrain(_ c: Connection) {
        endLimit = chain?.endsBy ?? Instant(nanoseconds: .max)
        awaitMore(c)
    }

    // MARK: ConnectionDriver

    func opened(_ c: Connection) {
        guard token == c.token, opening == .connecting else { return c.close() }
        connection = c
        context.metrics.connections.add(1)
        opening = .negotiating
        session.negotiate()
        flush(c)
        c.setDeadline(afterSeconds: server.timeoutSeconds)
    }

    func received(_ c: Connection, _ bytes: Span<UInt8>) -> Int {
        var index = 0
        while c === connection, let event = session.next(bytes, &index) { take(event, c) }
        return bytes.count
    }

    private func take(_ event: MilterEvent, _ c: Connection) {
        switch event {
        case .ready:
            c.clearDeadline()
            introduce()
        case .answer(let answer):
            c.clearDeadline()
            context.metrics.observe(stage, seconds: reactor.now.seconds(since: askedAt))
            context.health.succeeded(server, at: stage)
            settle(.answer(answer))
        case .change(let change):
            guard message.keep(change, context.limits) else { return fail(.tooMuch) }
            guard case .replaceBody = change else { return }
            chain?.account()
            // What every session may hold is no question of room.
            let isLarge = message.newBody.map { $0.count > context.limits.bufferMax } ?? false
            if isLarge, context.keptOctets > context.limits.keptByLoopMax { fail(.noRoom) }
        case .progress: awaitMore(c)
        case .failed(let problem): fail(.problem(problem))
        }
    }

    private func settle(_ answer: Answer) {
        let then = waiter
        waiter = nil
        then?(answer)
    }

    func drained(_ c: Connection) {
        guard c === connection, !isWaiting, !session.isWaiting else { return }
        c.clearDeadline()
        if part == .content { pumpMessage() }
    }

    func timedOut(_ c: Connection) {
        guard token == c.token else { return c.close() }
        let isLate = chain?.isOutOfTime == true
        fail(isLate ? .noTime : opening == .connecting ? .connect(.timedOut) : .timedOut)
    }

    func closed(_ c: Connection, _ reason: CloseReason) {
        guard token == c.token else { return }
        fail(opening == .connecting ? .connect(reason) : .closed)
    }

    private func fail(_ failure: MilterFailure) {
        let isOpening = opening != .open && opening != .closed
        let then = waiter
        drop()
        // While opening, whoever waits for a command waits on behalf of the opening.
        if isOpening { return endOpening(.failed(failure)) }
        if let then { return then(.failed(failure)) }
        if part == .content { messageFailed(failure) }
    }
}
