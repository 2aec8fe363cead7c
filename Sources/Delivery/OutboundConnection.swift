import Base
import Protocols
import Reactor
import Store

/// One connection to one host: drives the client session through opening and through one job after the other. Belongs to
/// its worker. Bounded in time by the stage's wait and by a budget for opening and for each transaction, in memory by the
/// reply parser and by two slices of a body.
final class OutboundConnection: ConnectionDriver {
    unowned let worker: DeliveryWorker
    let endpoint: Endpoint
    let host: PlannedHost
    /// TLS is not tried: it failed here, and nothing forbids to go without.
    private let inTheClear: Bool
    var session: SMTPClientSession
    var connection: Connection?

    /// The job under way, or the one that the connection is opened for.
    var run: OutboundJob?
    /// Its recipients in this transaction.
    var batch: [Int] = []
    var pump: BodyPump?
    var pendingChunk: Range<Int>?
    /// A chunk of a body in the store that is asked for when the one before has left.
    var waitingChunk: Range<Int>?
    /// What was written has left.
    var isChunkDrained = true
    /// The outcome that stands if the body cannot be converted; the conversion is under way.
    var heldOutcome: TransferOutcome?
    /// We ended the transaction, not the peer or the network.
    var ownFailure: DeliveryFailure?

    /// The worker's when it was made: one of older options gets no more work.
    let optionsSerial: Int

    private enum State { case opening, busy, idle, ending }
    private var state = State.opening
    private var tls: AttemptRecord.TLS?
    private var sent = 0
    private var isReused = false
    private var hasTimedOut = false
    private var wasOpened = false
    /// Between the start of a handshake and its end.
    private var isShaking = false
    private var stageBegan: Instant
    private var attemptBegan: Instant
    private var attemptWall: WallTime
    private var budgetEnd: Instant

    init(_ worker: DeliveryWorker, _ endpoint: Endpoint, _ host: PlannedHost, _ run: OutboundJob, inTheClear: Bool) {
        self.worker = worker
        optionsSerial = worker.optionsSerial
        self.endpoint = endpoint
        self.host = host
        self.run = run
        self.inTheClear = inTheClear && host.security.allowsPlaintext && !host.isImplicitTLS
        var options = SMTPClientSession.Options(name: worker.options.helloName)
        options.isLMTP = host.isLMTP
        options.chunkBytesMaximum = worker.options.sliceBytes
        options.credentials = host.credentials.map { .init(user: $0.user, password: $0.password) }
        switch host.security {
        case .plain: options.tls = .never
        case .opportunistic: options.tls = self.inTheClear ? .never : .opportunistic
        case .encrypted, .webPKI, .dane: options.tls = .required
        }
        session = SMTPClientSession(options, isSecure: host.isImplicitTLS)
        stageBegan = worker.reactor.now
        attemptBegan = worker.reactor.now
        attemptWall = worker.reactor.wall
        budgetEnd = worker.reactor.now.advanced(bySeconds: worker.options.openingSeconds)
    }

    private var now: Instant { worker.reactor.now }

    // MARK: What the worker asks

    /// False: no slot is free.
    func open() -> Bool {
        let address = endpoint.key.address
        let source = address.isIPv4 ? worker.options.sourceIPv4 : worker.options.sourceIPv6
        let token = worker.reactor.connect(
            .inet(SocketAddress(bytes: address.bytes, port: host.port)),
            from: source.map { SocketAddress(bytes: $0.bytes, port: 0) }, driver: self,
            deadlineSeconds: worker.options.connectSeconds)
        return token != nil
    }

    /// Takes a job on a connection that is ready.
    func begin(_ run: OutboundJob) {
        guard let connection, connection.isOpen else {
            run.wantsFresh = true
            return worker.connect(run)
        }
        isReused = true
        worker.parts.observer.connectionReused()
        self.run = run
        state = .busy
        run.noteInProgress()
        submit()
        serve(connection)
    }

    /// Ready and without work: the peer may end it, and so does time.
    func wait() {
        state = .idle
        connection?.setDeadline(afterSeconds: worker.options.idleSeconds)
    }

    func quit() {
        end()
        session.quit()
        if let connection { serve(connection) }
    }

    /// Transactions under way may end; nothing else goes on.
    func workerStops(_ c: Connection) {
        guard state == .opening, let run else { return }
        self.run = nil
        c.close(.stopping)
        worker.advance(run)
    }

    // MARK: ConnectionDriver

    func opened(_ c: Connection) {
        connection = c
        wasOpened = true
        endpoint.downUntil = Instant(nanoseconds: 0)
        tookStage(.connect)
        if host.isImplicitTLS { startTLS(c) }
        armDeadline(c)
    }

    private func startTLS(_ c: Connection) {
        isShaking = true
        c.startTLSClient(
            worker.options.tls, serverName: host.serverName.isEmpty ? nil : AttemptBuilder.text(host.serverName),
            verification: AttemptBuilder.verification(host.security),
            observing: host.tested.map(AttemptBuilder.verification))
    }

    func secured(_ c: Connection, _ info: TLSInfo) {
        run?.noteInProgress()
        isShaking = false
        tls = AttemptBuilder.session(host, info)
        tookStage(.tls)
        session.secured()
        serve(c)
    }

    func received(_ c: Connection, _ bytes: Span<UInt8>) -> Int {
        run?.noteInProgress()
        let n = session.receive(bytes)
        // A line that drips in does not move the deadline.
        if n > 0 { serve(c) }
        return n
    }

    func drained(_ c: Connection) {
        run?.noteInProgress()
        chunkDrained(c)
        guard pump != nil else { return }
        pump?.isDrained = true
        pumpBody(c)
        armDeadline(c)
    }

    func timedOut(_ c: Connection) {
        switch state {
        case .idle: quit()
        case .ending: c.close()
        case .opening, .busy:
            hasTimedOut = true
            c.close(.timedOut)
        }
    }

    func closed(_ c: Connection, _ reason: CloseReason) {
        run?.noteInProgress()
        connection = nil
        if state == .idle { worker.cache.forget(self) }
        if let run, state == .opening {
            self.run = nil
            notOpened(run, c, reason)
        } else {
            session.connectionLost()
            while let effect = session.nextEffect() {
                if case .finished(let outcome) = effect { finished(outcome) }
            }
            // A transaction that was never submitted.
            if let run {
                self.run = nil
                guard heldOutcome == nil else {
                    worker.contentFailed(run)
                    return ended()
                }
                run.wantsFresh = true
                worker.connect(run)
            }
        }
        ended()
    }

    /// Nothing is begun on it any more: the peer may have said 421 while it was kept.
    private func end() {
        if state == .idle { worker.cache.forget(self) }
        state = .ending
    }

    private func ended() {
        state = .ending
        pump = nil
        worker.connectionClosed(self)
    }

    // MARK: Effects

    private func flush(_ c: Connection) {
        guard !session.output.isEmpty else { return }
        c.write(session.output)
        session.output.removeAll(keepingCapacity: true)
    }

    func serve(_ c: Connection) {
        while let effect = session.nextEffect() {
            flush(c)
            act(effect, c)
        }
        flush(c)
        if state != .idle { armDeadline(c) }
    }

    private func act(_ effect: ClientEffect, _ c: Connection) {
        switch effect {
        case .greeted: tookStage(.greeting)
        case .introduced, .senderAccepted, .recipientsAnswered: break
        case .startTLS: startTLS(c)
        case .ready: becameReady()
        case .writeStuffedBody:
            tookStage(.envelope)
            writeBody(c)
        case .writeChunk(let range): writeChunk(range, c)
        case .finished(let outcome):
            tookStage(.body)
            finished(outcome)
        case .failed(let failure): failed(failure)
        case .close:
            end()
            c.closeAfterFlush()
        }
    }

    private func armDeadline(_ c: Connection) {
        guard c.isOpen else { return }
        // RFC 5321 §4.5.3.2
        let seconds = (pump == nil ? session.stage : .chunk).timeoutSeconds * worker.options.stageScale
        c.setDeadline(min(now.advanced(bySeconds: seconds), max(budgetEnd, now)))
    }

    private func tookStage(_ stage: DeliveryStage) {
        worker.parts.observer.stageTook(stage, seconds: now.seconds(since: stageBegan))
        stageBegan = now
    }

    private func becameReady() {
        if state == .opening {
            state = .busy
            run?.madeSession = true
            if tls == nil, host.security != .plain { tls = clearTLS() }
            worker.parts.observer.connectionOpened(isTLS: session.isSecure)
        }
        guard heldOutcome == nil else { return }
        guard run != nil else {
            if sent >= worker.options.messagesPerConnection { return quit() }
            return worker.connectionFree(self)
        }
        submit()
    }

    /// What there is to say of TLS on a connection that goes without.
    private func clearTLS() -> AttemptRecord.TLS? {
        guard !inTheClear else { return nil }
        return AttemptBuilder.failed(host, .startTLSNotSupported, Array("STARTTLS is not offered".utf8))
    }

    // MARK: Transactions

    /// Offers the job's pending recipients, as many as the peer takes at once.
    func submit() {
        guard let run else { return }
        MarkedTrap.delivery(run.content)
        // RFC 9422 §4.2
        let most = max(1, min(session.capabilities.recipientsMaximum ?? .max, DeliveryJob.recipientsMax))
        batch = run.pending.count <= most ? run.pending : Array(run.pending.prefix(most))
        attemptBegan = now
        attemptWall = worker.reactor.wall
        stageBegan = now
        let options = worker.options
        budgetEnd = now.advanced(
            bySeconds: options.transactionSeconds + Double(run.content.size) / max(1, options.bodyRateMin))
        sent += 1
        session.submit(AttemptBuilder.envelope(run, batch, peer: session.capabilities))
    }

    private func finished(_ outcome: TransferOutcome) {
        pump = nil
        pendingChunk = nil
        waitingChunk = nil
        guard let run else { return }
        if isReused, isStale(outcome) {
            // The peer had left before we came: no attempt.
            self.run = nil
            run.wantsFresh = true
            return worker.connect(run)
        }
        if converts(run, outcome) { return }
        settle(run, outcome)
    }

    /// Takes the outcome for what it is.
    func settle(_ run: OutboundJob, _ outcome: TransferOutcome) {
        var verdicts = FailureClassifier.verdicts(for: outcome, host: host.name)
        if hasTimedOut { verdicts = verdicts.map(nameTimeout) }
        if let ownFailure { verdicts = verdicts.map { Self.own(ownFailure, $0) } }
        var attempt = makeAttempt(run)
        attempt.recipients = run.settle(
            batch, verdicts, host: host.name, remoteSpeaksDSN: session.capabilities.dsn)
        run.note(site(of: outcome))
        record(attempt, run)
        isReused = true
        batch = []
        if run.hasPending, connection != nil, !isInterrupted(outcome) { return }
        self.run = nil
        if run.hasPending {
            // The others were not offered yet: on another connection.
            run.wantsFresh = true
            return worker.connect(run)
        }
        worker.advance(run)
    }

    private func isInterrupted(_ outcome: TransferOutcome) -> Bool {
        if case .interrupted = outcome.verdict { return true }
        return false
    }

    /// Nothing was answered to a transaction on a connection that had been idle.
    private func isStale(_ outcome: TransferOutcome) -> Bool {
        guard !hasTimedOut else { return false }
        switch outcome.verdict {
        case .interrupted(.lost(.sender)), .interrupted(.closing(.sender, _)), .interrupted(.lost(.ready)): return true
        default: return false
        }
    }

    private func site(of outcome: TransferOutcome) -> SiteEvent {
        if case .interrupted(let failure) = outcome.verdict {
            return FailureClassifier.site(for: failure, host: host.name)
        }
        return .reached
    }

    private static func own(_ failure: DeliveryFailure, _ verdict: RecipientVerdict) -> RecipientVerdict {
        switch verdict {
        case .tryNextHost, .temporary: .temporary(failure)
        case .delivered, .permanent: verdict
        }
    }

    private func nameTimeout(_ verdict: RecipientVerdict) -> RecipientVerdict {
        switch verdict {
        case .temporary(let failure) where failure.source == .network: .temporary(timeout(failure))
        case .tryNextHost(let failure) where failure.source == .network: .tryNextHost(timeout(failure))
        default: verdict
        }
    }

    private func timeout(_ failure: DeliveryFailure) -> DeliveryFailure {
        DeliveryFailure(
            failure.permanence, .network, failure.status, text: Array("no answer in time: ".utf8) + failure.text,
            host: failure.host)
    }

    // MARK: Attempts

    private func makeAttempt(_ run: OutboundJob) -> AttemptRecord {
        var attempt = worker.makeAttempt(run, host: host.name)
        attempt.began = attemptWall
        attempt.elapsedMicroseconds = (now.nanoseconds &- attemptBegan.nanoseconds) / 1_000
        attempt.address = Array(endpoint.key.address.description.utf8)
        attempt.port = host.port
        attempt.isReused = isReused
        attempt.banner = session.greeting
        attempt.tls = tls
        return attempt
    }

    private func record(_ attempt: AttemptRecord, _ run: OutboundJob) {
        run.attempts.append(attempt)
        worker.parts.observer.attempted(attempt, octets: run.content.size)
    }

    /// Ends the host's part in the job that the connection was opened for.
    private func hostFailed(
        _ run: OutboundJob, _ failure: DeliveryFailure, _ site: SiteEvent, tls: AttemptRecord.TLS?, skips: Bool
    ) {
        if let tls { self.tls = tls }
        var attempt = makeAttempt(run)
        attempt.recipients = run.pending.map {
            AttemptRecord.Recipient(address: run.job.recipients[$0].recipient.address, result: .passedOn(failure))
        }
        record(attempt, run)
        worker.parts.observer.hostFailed(failure, host: host.name)
        run.hostFailed(failure, site)
        if skips { run.skipHost() }
        worker.advance(run)
    }

    // MARK: Connections that do not come about

    /// The session gave up: while opening that ends the host's part; later `.finished` came before.
    private func failed(_ failure: ClientFailure) {
        guard state == .opening, let run else {
            end()
            return
        }
        state = .ending
        self.run = nil
        sessionFailed(run, failure)
    }

    private func sessionFailed(_ run: OutboundJob, _ failure: ClientFailure) {
        switch failure {
        case .noTLS: refuseTLS(run, .startTLSNotSupported, Array("STARTTLS is not offered".utf8))
        case .refused(.startTLS, let reply):
            refuseTLS(run, .startTLSNotSupported, Array("STARTTLS was refused: \(reply.description)".utf8))
        case .bytesBehindStartTLS:
            refuseTLS(run, .validationFailure, Array("bytes in the clear behind the answer to STARTTLS".utf8))
        default:
            let verdict = FailureClassifier.verdict(for: failure, host: host.name)
            guard var told = verdict.failure else { return worker.advance(run) }
            if hasTimedOut { told = timeout(told) }
            var site = FailureClassifier.site(for: failure, host: host.name)
            if hasTimedOut { site = .unreachable(told) }
            hostFailed(run, told, site, tls: nil, skips: false)
        }
    }

    /// Transport security that was asked for is not there: this host gets nothing.
    private func refuseTLS(_ run: OutboundJob, _ result: TLSResultType, _ detail: [UInt8], _ info: TLSInfo? = nil) {
        run.madeSession = true
        let failure = FailureClassifier.tls(result, detail: detail, host: host.name)
        hostFailed(
            run, failure, .unreachable(failure), tls: AttemptBuilder.failed(host, result, detail, info), skips: true)
    }

    private func notOpened(_ run: OutboundJob, _ c: Connection, _ reason: CloseReason) {
        if reason == .stopping { return worker.advance(run) }
        if isShaking { return handshakeFailed(run, c, reason) }
        guard wasOpened else {
            let why =
                if case .connectFailed(let code) = reason { IOError.text(code) } else { "no answer in time" }
            return unreachable(run, Array("connection failed: \(why)".utf8))
        }
        if hasTimedOut { avoid() }
        sessionFailed(run, .lost(session.stage))
    }

    /// Others go first for a while.
    private func avoid() { endpoint.downUntil = now.advanced(bySeconds: worker.options.downSeconds) }

    private func unreachable(_ run: OutboundJob, _ text: [UInt8]) {
        avoid()
        let failure = FailureClassifier.unreachable(text, host: host.name)
        hostFailed(run, failure, .unreachable(failure), tls: nil, skips: false)
    }

    private func handshakeFailed(_ run: OutboundJob, _ c: Connection, _ reason: CloseReason) {
        var result = TLSResultType.validationFailure
        let text: String
        switch reason {
        case .tlsUnverified(let kind, let words):
            result = AttemptBuilder.result(of: kind)
            text = words
        case .tlsFailed(let words): text = "handshake failed: \(words)"
        case .timedOut: text = "handshake failed: no answer in time"
        default: text = "handshake failed: the connection was lost"
        }
        let detail = Array(text.utf8)
        guard host.security.allowsPlaintext, !host.isImplicitTLS else {
            return refuseTLS(run, result, detail, c.tlsInfo)
        }
        // RFC 7435 §3: without it rather than not at all, on a new connection.
        endpoint.plainUntil = now.advanced(bySeconds: worker.options.plainSeconds)
        tls = AttemptBuilder.failed(host, result, detail, c.tlsInfo)
        run.madeSession = true
        var attempt = makeAttempt(run)
        let failure = FailureClassifier.tls(result, detail: detail, host: host.name)
        attempt.recipients = run.pending.map {
            AttemptRecord.Recipient(address: run.job.recipients[$0].recipient.address, result: .passedOn(failure))
        }
        record(attempt, run)
        run.wantsFresh = true
        worker.connect(run)
    }
}
