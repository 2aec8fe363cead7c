import Base
import CEpoll
import Crypto
import Reactor

/// A server that accepts everything its script does not forbid and keeps nothing but counts (and a ledger, if asked).
final class SinkDriver: ConnectionDriver {
    private enum State { case commands, data, chunk(left: Int, isLast: Bool), hanging }

    private unowned let worker: SinkWorker
    private weak var connection: Connection?
    private var replies: SinkReplies?
    private var address: SocketAddress?
    private var state = State.commands
    private var body: SinkBody
    private var recipients: [[UInt8]] = []
    private var hasSender = false
    private var searched = 0
    private var isWaiting = false
    /// Recipients whose reply waits for the ledger.
    private var owed = 0
    /// What the script wants as soon as a message's bytes come.
    private var bodyAction: SinkScript.Action?

    init(_ worker: SinkWorker) {
        self.worker = worker
        body = SinkBody(keeping: worker.plan.keptBytes)
    }

    func opened(_ c: Connection) {
        connection = c
        replies = SinkReplies(worker.reactor, c)
        worker.counters.connections += 1
        worker.counters.open += 1
        worker.counters.openMax = max(worker.counters.openMax, worker.counters.open)
        if worker.plan.script.needsAddress { address = c.local }
        c.setDeadline(afterSeconds: 600)
        if worker.plan.isImplicitTLS, let tls = worker.plan.tls { c.startTLSServer(tls) } else { greet(c) }
    }

    func closed(_ c: Connection, _ reason: CloseReason) { worker.counters.open -= 1 }

    func secured(_ c: Connection, _ info: TLSInfo) {
        worker.counters.handshakes += 1
        reset()
        if worker.plan.isImplicitTLS { greet(c) }
    }

    private func greet(_ c: Connection) {
        perform(.connect, c) { [self] in say("220 sink.bench.invalid ESMTP\r\n") }
    }

    private func say(_ text: StaticString) { replies?.say(text) }

    func received(_ c: Connection, _ bytes: Span<UInt8>) -> Int {
        var offset = 0
        while offset < bytes.count, !isWaiting, c.isOpen {
            switch state {
            case .commands:
                guard let lf = ByteScan.firstIndex(of: ASCII.lf, in: bytes, from: offset + searched) else {
                    searched = bytes.count - offset
                    if searched > 4_096 { c.close() }
                    return offset
                }
                searched = 0
                let end = lf > offset && bytes[lf - 1] == ASCII.cr ? lf - 1 : lf
                command(bytes.extracting(offset..<end), c)
                offset = lf + 1
            case .data:
                if let action = bodyAction { return interrupt(action, c, bytes.count) }
                offset += body.feed(bytes.extracting(offset..<bytes.count))
                if body.isComplete {
                    state = .commands
                    endMessage(c)
                }
            case .chunk(let left, let isLast):
                if let action = bodyAction { return interrupt(action, c, bytes.count) }
                let n = min(left, bytes.count - offset)
                body.feedChunk(bytes.extracting(offset..<offset + n))
                offset += n
                state = .chunk(left: left - n, isLast: isLast)
                if left == n { endChunk(isLast, c) }
            case .hanging: return bytes.count
            }
        }
        return offset
    }

    /// The script breaks into a message's bytes. All of what came is done with.
    private func interrupt(_ action: SinkScript.Action, _ c: Connection, _ count: Int) -> Int {
        bodyAction = nil
        act(action, .body, c) {}
        return count
    }

    // MARK: Commands

    private func command(_ line: Span<UInt8>, _ c: Connection) {
        guard line.count >= 4 else { return say("500 5.5.2 what?\r\n") }
        var verb: UInt32 = 0
        for i in 0..<4 { verb = verb << 8 | UInt32(ASCII.uppercased(line[i])) }
        switch verb {
        case 0x4D41_494C: mail(c)  // MAIL
        case 0x5243_5054: recipient(line, c)  // RCPT
        case 0x4441_5441: data(c)  // DATA
        case 0x4244_4154: chunk(line, c)  // BDAT
        case 0x4548_4C4F, 0x4C48_4C4F:  // EHLO, LHLO
            perform(.ehlo, c) { [self] in replies?.say(c.isTLS ? worker.hello.secured : worker.hello.plain) }
        case 0x4845_4C4F: perform(.ehlo, c) { [self] in say("250 sink.bench.invalid\r\n") }  // HELO
        case 0x5354_4152: startTLS(c)  // STAR
        case 0x5253_4554:  // RSET
            reset()
            perform(.rset, c) { [self] in say("250 2.0.0 ok\r\n") }
        case 0x4E4F_4F50: say("250 2.0.0 ok\r\n")  // NOOP
        case 0x5155_4954:  // QUIT
            perform(.quit, c) { [self] in
                say("221 2.0.0 bye\r\n")
                replies?.closeAfterSaying()
            }
        default: say("502 5.5.1 not here\r\n")
        }
    }

    private func startTLS(_ c: Connection) {
        guard let tls = worker.plan.tls, !c.isTLS else { return say("502 5.5.1 not here\r\n") }
        perform(.starttls, c) { [self] in
            say("220 2.0.0 go\r\n")
            c.startTLSServer(tls)
        }
    }

    private func mail(_ c: Connection) {
        perform(.mail, c) { [self] in
            reset()
            hasSender = true
            say("250 2.1.0 ok\r\n")
        }
    }

    private func recipient(_ line: Span<UInt8>, _ c: Connection) {
        guard hasSender else { return say("503 5.5.1 MAIL first\r\n") }
        var address: [UInt8] = []
        if let start = ByteScan.firstIndex(of: ASCII.less, in: line, from: 0),
            let end = ByteScan.firstIndex(of: ASCII.greater, in: line, from: start)
        {
            address = Array(line.extracting(start + 1..<end))
        }
        perform(.rcpt, c, SinkWorker.domain(address)) { [self] in
            if recipients.count < 10_000 { recipients.append(address) }
            say("250 2.1.5 ok\r\n")
        }
    }

    private func data(_ c: Connection) {
        guard !recipients.isEmpty else { return say("554 5.5.1 no valid recipients\r\n") }
        perform(.data, c) { [self] in
            state = .data
            planInterruption()
            say("354 go ahead\r\n")
        }
    }

    private func planInterruption() {
        guard !worker.plan.script.rules.isEmpty else { return }
        bodyAction = worker.plan.script.decide(.body, address, domain, &worker.random).action
    }

    private func chunk(_ line: Span<UInt8>, _ c: Connection) {
        let words = Array(line).split(separator: ASCII.space)
        guard words.count >= 2, let length = Decimal.parse(Array(words[1]).span), length <= 1 << 30 else {
            return say("501 5.5.4 BDAT size\r\n")
        }
        state = .chunk(left: Int(length), isLast: words.count > 2)
        planInterruption()
        if length == 0 { endChunk(words.count > 2, c) }
    }

    private func endChunk(_ isLast: Bool, _ c: Connection) {
        state = .commands
        guard !recipients.isEmpty else {
            body = SinkBody(keeping: worker.plan.keptBytes)
            return say("503 5.5.1 RCPT first\r\n")
        }
        if isLast { return endMessage(c) }
        perform(.bdat, c) { [self] in say("250 2.0.0 ok\r\n") }
    }

    private func endMessage(_ c: Connection) {
        perform(.dot, c) { [self] in accept(c, answers: true) }
    }

    private func accept(_ c: Connection, answers: Bool) {
        worker.count(body.message, body.count, for: recipients)
        if !answers { worker.counters.silent += 1 }
        owed = worker.plan.isLMTP ? recipients.count : 1
        if let line = ledgerLine(answers) {
            // The promise is made when the line is on disk.
            isWaiting = answers
            worker.keep(line, for: self)
        } else if answers {
            confirm()
        }
        reset()
    }

    private func confirm() {
        // RFC 2033 §4.2: one reply for each recipient.
        for _ in 0..<owed { say("250 2.0.0 ok: queued as SINK\r\n") }
    }

    func ledgerIsDurable() {
        guard isWaiting, let c = connection else { return }
        isWaiting = false
        confirm()
        c.offerInput()
    }

    /// `accepted <id> <sha256> <size> <recipient…> at=<unix microseconds>`, with `silent` behind it when the sender is not
    /// told; nil when no ledger is kept.
    private func ledgerLine(_ answers: Bool) -> [UInt8]? {
        guard worker.plan.ledger != nil else { return nil }
        let found = DeliveryCheck.identify(body.message)
        var line = Array("accepted ".utf8) + (found.map { $0.id.text } ?? [ASCII.hyphen])
        line.append(ASCII.space)
        line += Array(Hex.encode(found?.digest ?? Digest.sha256(body.message)).utf8)
        line.append(ASCII.space)
        line.append(decimal: found?.size ?? body.message.count)
        for recipient in recipients {
            line.append(ASCII.space)
            line += recipient
        }
        line.append(ascii: " at=")
        line.append(decimal: mt_wall_us())
        if !answers { line.append(ascii: " silent") }
        line.append(ASCII.lf)
        return line
    }

    private func reset() {
        recipients.removeAll(keepingCapacity: true)
        hasSender = false
        body = SinkBody(keeping: worker.plan.keptBytes)
    }

    // MARK: The script

    /// Of the first recipient.
    private var domain: ArraySlice<UInt8> { recipients.first.map(SinkWorker.domain) ?? [] }

    /// Does what the script wants at this stage, or `usual`.
    private func perform(
        _ stage: SinkScript.Stage, _ c: Connection, _ domain: ArraySlice<UInt8>? = nil, _ usual: @escaping () -> Void
    ) {
        let script = worker.plan.script
        if script.rules.isEmpty { return usual() }
        let (delay, action) = script.decide(stage, address, domain ?? self.domain, &worker.random)
        guard delay > 0 else { return act(action, stage, c, usual) }
        isWaiting = true
        worker.reactor.after(delay) { [weak self, weak c] in
            guard let self, let c else { return }
            isWaiting = false
            act(action, stage, c, usual)
            c.offerInput()
        }
    }

    private func act(_ action: SinkScript.Action?, _ stage: SinkScript.Stage, _ c: Connection, _ usual: () -> Void) {
        guard let action else { return usual() }
        worker.counters.scripted += 1
        switch action {
        case .reply(let code, let text):
            replies?.say(Array("\(code) \(text)\r\n".utf8))
            if stage == .dot || stage == .data || stage == .body { reset() }
            if stage == .connect || stage == .body || code == 421 { replies?.closeAfterSaying() }
        case .drop: c.close()
        case .dropAfter:
            if stage == .dot { accept(c, answers: false) }
            c.close()
        case .hang: state = .hanging
        case .stall:
            state = .hanging
            c.pauseReading()
        case .drip(let seconds):
            replies?.drip(seconds)
            usual()
        case .endless:
            state = .hanging
            replies?.sayWithoutEnd(stage == .connect ? 220 : stage == .data ? 354 : 250)
        case .bare:
            replies?.isBare = true
            usual()
        case .delay: usual()
        }
    }
}
