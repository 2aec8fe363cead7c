import Base
import CEpoll
import Protocols
import Reactor
import Synchronization

/// One connection slot of the generator: opens connections, one after the other, and sends messages over them.
final class LoadClient: ConnectionDriver {
    private unowned let worker: LoadWorker
    private let index: Int
    private var session: SMTPClientSession
    private weak var connection: Connection?
    private var isOpening = false
    private var isIdle = false
    private var isEnding = false
    private var drip: Drip?
    private var sentOnConnection = 0
    private var lastEvent: UInt64 = 0
    private var openedAt: UInt64 = 0
    // The message under way.
    private var isSending = false
    private var id = LedgerID(run: 0, number: 0)
    private var header: [UInt8] = []
    private var layout = MessageFactory.Layout(size: 0, firstLine: 0, lines: 0, tailBytes: 0)
    private var recipients: [[UInt8]] = []
    private var intended: UInt64 = 0
    private var began: UInt64 = 0
    private var isDurable = true
    private var waitingBody: ClientEffect?

    init(worker: LoadWorker, index: Int) {
        self.worker = worker
        self.index = index
        session = SMTPClientSession(worker.plan.session)
    }

    // MARK: What the worker asks

    func open() {
        session = SMTPClientSession(worker.plan.session, isSecure: worker.plan.isImplicitTLS)
        isOpening = true
        isEnding = false
        sentOnConnection = 0
        lastEvent = mt_monotonic_ns()
        worker.result.firstStart = min(worker.result.firstStart, lastEvent)
        let token = worker.reactor.connect(
            .inet(worker.plan.target), from: worker.nextSource(), driver: self,
            deadlineSeconds: worker.plan.timeoutSeconds)
        if token == nil {
            isOpening = false
            worker.clientClosed(index, wasOpening: true, retryAfter: 0.1)
        }
    }

    func begin(_ id: LedgerID, intended: UInt64) {
        isIdle = false
        isSending = true
        self.id = id
        self.intended = intended
        let plan = worker.plan
        plan.factory.writeHeader(id, to: &header)
        layout = plan.factory.layout(id, size: plan.sizes.pick(&worker.random))
        chooseRecipients(plan)
        isDurable = true
        waitingBody = nil
        if let ledger = plan.ledger {
            isDurable = false
            ledger.post(sentLine(plan), worker: worker.index, mark: DurableMark(client: index, number: id.number))
        }
        began = mt_monotonic_ns()
        lastEvent = began
        sentOnConnection += 1
        session.submit(OutgoingEnvelope(sender: plan.sender, recipients: recipients, size: layout.size))
        if let connection { serve(connection, began) }
    }

    func ledgerIsDurable(_ number: UInt32) {
        guard isSending, number == id.number else { return }
        isDurable = true
        guard let effect = waitingBody, let connection else { return }
        waitingBody = nil
        writeBody(effect, connection)
        serve(connection, lastEvent)
    }

    func quit() {
        guard let connection else { return }
        isEnding = true
        session.quit()
        serve(connection, mt_monotonic_ns())
        if !worker.plan.waitsForQuit { connection.closeAfterFlush() }
    }

    /// No more work: an idle connection says goodbye, a sending one when it is done.
    func finish() {
        drip = nil
        guard !isSending, let connection else { return }
        isEnding = true
        if isIdle { quit() } else { connection.close() }
    }

    private func chooseRecipients(_ plan: LoadPlan) {
        let count = plan.recipientsPerMessage
        let first = Int(id.number) * count
        recipients.removeAll(keepingCapacity: true)
        for i in 0..<count { recipients.append(plan.recipients[(first + i) % plan.recipients.count]) }
    }

    private func sentLine(_ plan: LoadPlan) -> [UInt8] {
        var line = Array("sent ".utf8)
        line += id.text
        line.append(ASCII.space)
        line += Array(Hex.encode(plan.factory.digest(header, layout)).utf8)
        line.append(ASCII.space)
        line.append(decimal: layout.size)
        for recipient in recipients {
            line.append(ASCII.space)
            line += recipient
        }
        line.append(ASCII.lf)
        return line
    }

    // MARK: ConnectionDriver

    func opened(_ c: Connection) {
        connection = c
        worker.result.connections += 1
        worker.progress.open.add(1, ordering: .relaxed)
        let now = mt_monotonic_ns()
        worker.result.latencies.record(.connect, lastEvent, now)
        lastEvent = now
        openedAt = now
        if case .drip(let state, let seconds) = worker.plan.kind {
            drip = Drip(state: state, seconds: seconds)
            if state == .greeting || (state == .tls && worker.plan.isImplicitTLS) { return startDripping(c) }
        }
        if worker.plan.isImplicitTLS { startTLS(c) }
    }

    private func startTLS(_ c: Connection) {
        guard let context = worker.plan.tls else { return c.close() }
        lastEvent = mt_monotonic_ns()
        let resumes =
            worker.plan.resumeShare > 0 && Double(worker.random.below(10_000)) < worker.plan.resumeShare * 10_000
        c.startTLSClient(context, serverName: worker.plan.serverName, resume: resumes ? worker.resumable : nil)
    }

    func secured(_ c: Connection, _ info: TLSInfo) {
        let now = mt_monotonic_ns()
        worker.result.latencies.record(.tls, lastEvent, now)
        lastEvent = now
        worker.result.handshakes += 1
        if info.resumed { worker.result.resumed += 1 }
        session.secured()
        serve(c, now)
    }

    func received(_ c: Connection, _ bytes: Span<UInt8>) -> Int {
        if let drip, drip.isRunning { return bytes.count }
        let now = mt_monotonic_ns()
        let n = session.receive(bytes)
        serve(c, now)
        return n
    }

    func timedOut(_ c: Connection) {
        if drip?.isRunning == true { return dripOnce(c) }
        worker.result.count("timeout waiting for \(session.stage)")
        c.close(.timedOut)
    }

    func closed(_ c: Connection, _ reason: CloseReason) {
        let wasOpen = connection != nil
        connection = nil
        if wasOpen { worker.progress.open.subtract(1, ordering: .relaxed) }
        if isIdle { worker.isNoLongerIdle(index) }
        isIdle = false
        noteClose(reason, wasOpen: wasOpen)
        session.connectionLost()
        while let effect = session.nextEffect() {
            if case .finished(let outcome) = effect, isSending { finishMessage(outcome, mt_monotonic_ns()) }
        }
        let wasOpening = isOpening
        isOpening = false
        drip = nil
        let failed: Bool =
            switch reason {
            case .local: false
            default: !isEnding
            }
        worker.clientClosed(index, wasOpening: wasOpening, retryAfter: failed ? 0.1 : 0)
    }

    private func noteClose(_ reason: CloseReason, wasOpen: Bool) {
        let now = mt_monotonic_ns()
        // A rate ends with the last message, not with the goodbye behind it.
        if worker.result.acknowledged == 0 { worker.result.lastEnd = max(worker.result.lastEnd, now) }
        switch reason {
        case .local, .stopping: return
        case .connectFailed(let code):
            worker.result.connectFailures += 1
            worker.result.count("connect: \(IOError.text(code))")
        default:
            guard !isEnding, wasOpen else { return }
            worker.result.connectionsLost += 1
            worker.result.count("connection lost: \(reason)")
            if case .messages = worker.plan.kind { return }
            worker.result.droppedByServer += 1
            worker.result.latencies.record(.held, openedAt, now)
        }
    }

    // MARK: Effects

    private func flush(_ c: Connection) {
        guard !session.output.isEmpty else { return }
        c.write(session.output)
        session.output.removeAll(keepingCapacity: true)
    }

    private func serve(_ c: Connection, _ now: UInt64) {
        while let effect = session.nextEffect() {
            flush(c)
            act(effect, c, now)
        }
        flush(c)
    }

    private func act(_ effect: ClientEffect, _ c: Connection, _ now: UInt64) {
        switch effect {
        case .greeted: mark(.greeting, now)
        case .introduced: mark(.hello, now)
        case .startTLS:
            if drip?.state == .tls { return startDripping(c) }
            startTLS(c)
        case .ready: becameReady(c)
        case .senderAccepted: mark(.mail, now)
        case .recipientsAnswered: mark(.rcpt, now)
        case .writeStuffedBody:
            mark(.data, now)
            if drip != nil { return startDripping(c) }
            writeBody(effect, c)
        case .writeChunk:
            if drip != nil { return startDripping(c) }
            writeBody(effect, c)
        case .finished(let outcome): finishMessage(outcome, now)
        case .failed(let failure): worker.result.count("session: \(Self.text(failure))")
        case .close: c.closeAfterFlush()
        }
    }

    private func mark(_ phase: Phase, _ now: UInt64) {
        worker.result.latencies.record(phase, lastEvent, now)
        lastEvent = now
    }

    private func becameReady(_ c: Connection) {
        if isOpening {
            isOpening = false
            worker.opened()
        }
        if worker.plan.resumeShare > 0, let given = c.tlsSession { worker.resumable = given }
        switch worker.plan.kind {
        case .messages: break
        case .idle:
            isIdle = true
            c.clearDeadline()
            return
        case .drip(let state, _):
            if state == .command { return startDripping(c) }
            return beginDrippedMessage(c)
        }
        if let most = worker.plan.messagesPerConnection, sentOnConnection >= most { return quit() }
        c.setDeadline(afterSeconds: worker.plan.timeoutSeconds)
        isIdle = true
        worker.ready(index)
    }

    private func writeBody(_ effect: ClientEffect, _ c: Connection) {
        guard isDurable else {
            waitingBody = effect
            return
        }
        if case .writeStuffedBody = effect {
            c.write(header)
            worker.plan.factory.withBody(layout, stuffed: true) { c.write($0) }
            c.write(ascii: ".\r\n")
        } else if case .writeChunk(let range) = effect {
            writeChunk(range, c)
        }
        lastEvent = mt_monotonic_ns()
        session.bodyWritten()
    }

    private func writeChunk(_ range: Range<Int>, _ c: Connection) {
        var place = 0
        func take(_ piece: Span<UInt8>) {
            let from = max(range.lowerBound, place)
            let to = min(range.upperBound, place + piece.count)
            if from < to { c.write(piece.extracting(from - place..<to - place)) }
            place += piece.count
        }
        take(header.span)
        worker.plan.factory.withBody(layout, stuffed: false) { take($0) }
    }

    private func finishMessage(_ outcome: TransferOutcome, _ now: UInt64) {
        guard isSending else { return }
        isSending = false
        waitingBody = nil
        worker.messageEnded()
        worker.result.lastEnd = max(worker.result.lastEnd, now)
        switch outcome.verdict {
        case .accepted(let reply): acknowledge(reply, outcome, now)
        default:
            worker.result.failed += 1
            worker.progress.failed.add(1, ordering: .relaxed)
            worker.result.count("message: \(Self.text(outcome))")
        }
    }

    private func acknowledge(_ reply: ServerReply, _ outcome: TransferOutcome, _ now: UInt64) {
        worker.result.latencies.record(.dot, lastEvent, now)
        worker.result.latencies.record(.transaction, began, now)
        worker.result.latencies.record(.total, intended, now)
        lastEvent = now
        worker.result.acknowledged += 1
        worker.result.bytes += layout.size
        worker.progress.acknowledged.add(1, ordering: .relaxed)
        var accepted = 0
        for reply in outcome.recipients where reply?.isPositive == true { accepted += 1 }
        worker.result.recipientsAccepted += accepted
        worker.result.recipientsRefused += outcome.recipients.count - accepted
        guard let ledger = worker.plan.ledger else { return }
        var line = Array("acked ".utf8) + id.text
        line.append(ASCII.space)
        line += Self.queueID(reply)
        // Recipients are named when some of those in the `sent` line were refused.
        if accepted < outcome.recipients.count {
            for (i, reply) in outcome.recipients.enumerated() where reply?.isPositive == true {
                line.append(ASCII.space)
                line += recipients[i]
            }
        }
        line.append(ASCII.lf)
        ledger.post(line)
    }

    /// What follows "queued as", or the reply's last word, or `-`.
    private static func queueID(_ reply: ServerReply) -> [UInt8] {
        let words = reply.text.split { $0 == ASCII.space || $0 == ASCII.lf }
        if let place = words.firstIndex(where: { $0.elementsEqual("as".utf8) }), place + 1 < words.count {
            return Array(words[place + 1])
        }
        return words.last.map { Array($0) } ?? [ASCII.hyphen]
    }

    private static func text(_ outcome: TransferOutcome) -> String {
        switch outcome.verdict {
        case .rejected(let stage, let reply): "\(stage): \(reply.description.prefix(100))"
        case .noRecipients:
            "recipients: "
                + (outcome.recipients.compactMap { $0 }.first.map { String($0.description.prefix(100)) } ?? "no reply")
        case .interrupted(let failure): "interrupted: " + text(failure)
        case .unsupported(let need): "server lacks \(need)"
        case .accepted, .perRecipient, .invalidEnvelope: "\(outcome.verdict)"
        }
    }

    private static func text(_ failure: ClientFailure) -> String {
        switch failure {
        case .closing(let stage, let reply), .refused(let stage, let reply), .unexpected(let stage, let reply):
            "\(stage): \(reply.description.prefix(100))"
        case .unsolicited(let reply): "unsolicited: \(reply.description.prefix(100))"
        case .lost(let stage): "connection lost at \(stage)"
        case .badReply(let error): "no SMTP reply: \(error)"
        case .noTLS, .bytesBehindStartTLS, .noMechanism: "\(failure)"
        }
    }

    // MARK: Slow peers

    private func beginDrippedMessage(_ c: Connection) {
        let plan = worker.plan
        id = LedgerID(run: plan.run, number: UInt32(index))
        chooseRecipients(plan)
        session.submit(OutgoingEnvelope(sender: plan.sender, recipients: recipients, size: 1 << 20))
        serve(c, mt_monotonic_ns())
    }

    private func startDripping(_ c: Connection) {
        flush(c)
        drip?.isRunning = true
        if isOpening {
            isOpening = false
            worker.opened()
        }
        dripOnce(c)
    }

    private func dripOnce(_ c: Connection) {
        guard let byte = drip?.next() else { return }
        c.write([byte])
        c.setDeadline(afterSeconds: drip?.seconds ?? 1)
    }
}
