import Base
import CEpoll
import Crypto
import Reactor

/// A server that accepts everything its script does not forbid and keeps nothing but counts (and a ledger, if asked).
final class SinkDriver: ConnectionDriver {
    private enum State { case commands, data, chunk(left: Int, isLast: Bool), hanging }

    private unowned let worker: SinkWorker
    private weak var connection: Connection?
    private var state = State.commands
    private var body: SinkBody
    private var recipients: [[UInt8]] = []
    private var hasSender = false
    private var searched = 0
    private var isWaiting = false

    init(_ worker: SinkWorker) {
        self.worker = worker
        body = SinkBody(keeps: worker.plan.ledger != nil)
    }

    func opened(_ c: Connection) {
        connection = c
        worker.counters.connections += 1
        c.setDeadline(afterSeconds: 600)
        if worker.plan.isImplicitTLS, let tls = worker.plan.tls { c.startTLSServer(tls) } else { greet(c) }
    }

    func secured(_ c: Connection, _ info: TLSInfo) {
        worker.counters.handshakes += 1
        reset()
        if worker.plan.isImplicitTLS { greet(c) }
    }

    private func greet(_ c: Connection) {
        perform(.connect, c) { c.write(ascii: "220 sink.bench.invalid ESMTP\r\n") }
    }

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
                offset += body.feed(bytes.extracting(offset..<bytes.count))
                if body.isComplete {
                    state = .commands
                    endMessage(c)
                }
            case .chunk(let left, let isLast):
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

    // MARK: Commands

    private func command(_ line: Span<UInt8>, _ c: Connection) {
        guard line.count >= 4 else { return c.write(ascii: "500 5.5.2 what?\r\n") }
        var verb: UInt32 = 0
        for i in 0..<4 { verb = verb << 8 | UInt32(ASCII.uppercased(line[i])) }
        switch verb {
        case 0x4D41_494C: mail(c)  // MAIL
        case 0x5243_5054: recipient(line, c)  // RCPT
        case 0x4441_5441: data(c)  // DATA
        case 0x4244_4154: chunk(line, c)  // BDAT
        case 0x4548_4C4F: perform(.ehlo, c) { [self] in hello(c) }  // EHLO
        case 0x4845_4C4F: perform(.ehlo, c) { c.write(ascii: "250 sink.bench.invalid\r\n") }  // HELO
        case 0x5354_4152: startTLS(c)  // STAR
        case 0x5253_4554:  // RSET
            reset()
            perform(.rset, c) { c.write(ascii: "250 2.0.0 ok\r\n") }
        case 0x4E4F_4F50: c.write(ascii: "250 2.0.0 ok\r\n")  // NOOP
        case 0x5155_4954:  // QUIT
            perform(.quit, c) {
                c.write(ascii: "221 2.0.0 bye\r\n")
                c.closeAfterFlush()
            }
        default: c.write(ascii: "502 5.5.1 not here\r\n")
        }
    }

    private func hello(_ c: Connection) {
        c.write(
            ascii:
                "250-sink.bench.invalid\r\n250-PIPELINING\r\n250-SIZE 0\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-DSN\r\n")
        c.write(ascii: "250-CHUNKING\r\n250-ENHANCEDSTATUSCODES\r\n")
        if worker.plan.tls != nil, !c.isTLS { c.write(ascii: "250-STARTTLS\r\n") }
        if c.isTLS { c.write(ascii: "250-REQUIRETLS\r\n") }
        c.write(ascii: "250 HELP\r\n")
    }

    private func startTLS(_ c: Connection) {
        guard let tls = worker.plan.tls, !c.isTLS else { return c.write(ascii: "502 5.5.1 not here\r\n") }
        perform(.starttls, c) {
            c.write(ascii: "220 2.0.0 go\r\n")
            c.startTLSServer(tls)
        }
    }

    private func mail(_ c: Connection) {
        perform(.mail, c) { [self] in
            reset()
            hasSender = true
            c.write(ascii: "250 2.1.0 ok\r\n")
        }
    }

    private func recipient(_ line: Span<UInt8>, _ c: Connection) {
        guard hasSender else { return c.write(ascii: "503 5.5.1 MAIL first\r\n") }
        var address: [UInt8] = []
        if let start = ByteScan.firstIndex(of: ASCII.less, in: line, from: 0),
            let end = ByteScan.firstIndex(of: ASCII.greater, in: line, from: start)
        {
            address = Array(line.extracting(start + 1..<end))
        }
        perform(.rcpt, c) { [self] in
            if recipients.count < 10_000 { recipients.append(address) }
            c.write(ascii: "250 2.1.5 ok\r\n")
        }
    }

    private func data(_ c: Connection) {
        guard !recipients.isEmpty else { return c.write(ascii: "554 5.5.1 no valid recipients\r\n") }
        perform(.data, c) { [self] in
            state = .data
            c.write(ascii: "354 go ahead\r\n")
        }
    }

    private func chunk(_ line: Span<UInt8>, _ c: Connection) {
        let words = Array(line).split(separator: ASCII.space)
        guard words.count >= 2, let length = Decimal.parse(Array(words[1]).span), length <= 1 << 30 else {
            return c.write(ascii: "501 5.5.4 BDAT size\r\n")
        }
        state = .chunk(left: Int(length), isLast: words.count > 2)
        if length == 0 { endChunk(words.count > 2, c) }
    }

    private func endChunk(_ isLast: Bool, _ c: Connection) {
        state = .commands
        guard !recipients.isEmpty else {
            body = SinkBody(keeps: worker.plan.ledger != nil)
            return c.write(ascii: "503 5.5.1 RCPT first\r\n")
        }
        if isLast { return endMessage(c) }
        perform(.bdat, c) { c.write(ascii: "250 2.0.0 ok\r\n") }
    }

    private func endMessage(_ c: Connection) {
        perform(.dot, c) { [self] in accept(c, answers: true) }
    }

    private func accept(_ c: Connection, answers: Bool) {
        worker.counters.messages += 1
        worker.counters.recipients += recipients.count
        worker.counters.bytes += body.count
        if let line = ledgerLine() {
            // The promise is made when the line is on disk.
            isWaiting = answers
            worker.keep(line, for: self)
        } else if answers {
            c.write(ascii: "250 2.0.0 ok: queued as SINK\r\n")
        }
        reset()
    }

    func ledgerIsDurable() {
        guard isWaiting, let c = connection else { return }
        isWaiting = false
        c.write(ascii: "250 2.0.0 ok: queued as SINK\r\n")
        c.offerInput()
    }

    /// `accepted <id> <sha256> <size> <recipient…>`, or nil when no ledger is kept.
    private func ledgerLine() -> [UInt8]? {
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
        line.append(ASCII.lf)
        return line
    }

    private func reset() {
        recipients.removeAll(keepingCapacity: true)
        hasSender = false
        body = SinkBody(keeps: worker.plan.ledger != nil)
    }

    // MARK: The script

    /// Does what the script wants at this stage, or `usual`.
    private func perform(_ stage: SinkScript.Stage, _ c: Connection, _ usual: @escaping () -> Void) {
        let script = worker.plan.script
        if script.rules.isEmpty { return usual() }
        let (delay, action) = script.decide(stage, &worker.random)
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
            c.write(Array("\(code) \(text)\r\n".utf8))
            if stage == .dot || stage == .data { reset() }
            if stage == .connect || code == 421 { c.closeAfterFlush() }
        case .drop: c.close()
        case .dropAfter:
            if stage == .dot { accept(c, answers: false) }
            c.close()
        case .hang: state = .hanging
        case .delay: usual()
        }
    }
}
