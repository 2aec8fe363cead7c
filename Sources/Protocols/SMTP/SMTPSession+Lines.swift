import Base

extension SMTPSession {
    /// Takes one line, or leaves `i` where it is when the line is not whole or has to wait.
    mutating func receiveLine<Sink: BodySink>(_ bytes: Span<UInt8>, from i: inout Int, body: inout Sink) {
        if phase == .discardingLine { return discardLine(bytes, from: &i) }
        let from = min(i + scanned, bytes.count)
        guard let lf = ByteScan.firstIndex(of: ASCII.lf, in: bytes, from: from) else {
            scanned = bytes.count - i
            if scanned > lineOctetsMax(bytes.extracting(i..<bytes.count)), mayRun(nil) {
                if looksLikeBDAT(bytes.extracting(i..<bytes.count)) {
                    return end(StandardReplies.bdatSyntax, .outOfSync)
                }
                startDiscarding(bytes, &i)
            }
            return
        }
        if mustWait(bytes.extracting(i..<lf)) {
            scanned = lf - i
            return
        }
        let length = lf + 1 - i
        if length > lineOctetsMax(bytes.extracting(i..<lf)) {
            if looksLikeBDAT(bytes.extracting(i..<lf)) { return end(StandardReplies.bdatSyntax, .outOfSync) }
            startDiscarding(bytes, &i)
            return
        }
        let line = bytes.extracting(i..<lf)
        i = lf + 1
        scanned = 0
        // RFC 5321 §2.3.8: a command ends with CRLF and nothing else.
        guard line.count > 0, line[line.count - 1] == ASCII.cr else { return bareLineEnding() }
        dispatch(line.extracting(0..<trimmedCount(line, line.count - 1)), body: &body)
    }

    /// Octets of unknown number follow whatever looks like BDAT: reading them as commands would be worse than hanging up.
    private func looksLikeBDAT(_ line: Span<UInt8>) -> Bool {
        phase != .authResponse && line.count > 4 && !ASCII.isAlphanumeric(line[4])
            && ASCII.equalIgnoringCase(line.extracting(0..<4), "bdat")
    }

    private mutating func bareLineEnding() {
        running = nil
        effects.append(.note(.bareLineEnding))
        end(StandardReplies.bareLineEnding, .bareLineEnding)
    }

    /// RFC 5321 §4.1.1: trailing white space is tolerated.
    private func trimmedCount(_ line: Span<UInt8>, _ count: Int) -> Int {
        var end = count
        while end > 0, line[end - 1] == ASCII.space || line[end - 1] == ASCII.tab { end -= 1 }
        return end
    }

    private func lineOctetsMax(_ line: Span<UInt8>) -> Int {
        let limits = configuration.limits
        if phase == .authResponse { return limits.authLineOctets }
        guard line.count > 4 else { return limits.commandLineOctets }
        return Verb.parse(line.extracting(0..<min(line.count, 5)))?.lineOctetsMax(limits) ?? limits.commandLineOctets
    }

    /// Whether a command has to wait for recipients in question; sets the flag that says so.
    private mutating func mustWait(_ line: Span<UInt8>) -> Bool {
        if queue.isEmpty { return false }
        // What ends the session waits for the replies that are owed, so that they do not depend on when answers come.
        guard line.count > 0, line[line.count - 1] == ASCII.cr else { return !mayRun(nil) }
        return !mayRun(Verb.parse(line.extracting(0..<min(line.count - 1, 9))))
    }

    private mutating func mayRun(_ verb: Verb?) -> Bool {
        if queue.isEmpty { return true }
        let taken = (transaction?.envelope.recipients.count ?? 0) + queue.count
        if let verb, verb.overtakesRecipients, taken < configuration.limits.recipients,
            queue.count < configuration.limits.heldReplies
        {
            return true
        }
        blockedOnRecipients = true
        return false
    }

    private mutating func startDiscarding(_ bytes: Span<UInt8>, _ i: inout Int) {
        scanned = 0
        discarded = 0
        discardEndsWithCR = false
        sasl = .idle
        phase = .discardingLine
        discardLine(bytes, from: &i)
    }

    private mutating func discardLine(_ bytes: Span<UInt8>, from i: inout Int) {
        let room = configuration.limits.discardedLineOctets - discarded
        let end = min(bytes.count, i + max(room, 0))
        guard let lf = ByteScan.firstIndex(of: ASCII.lf, in: bytes.extracting(0..<end), from: i) else {
            discarded += end - i
            if end > i { discardEndsWithCR = bytes[end - 1] == ASCII.cr }
            i = end
            if discarded >= configuration.limits.discardedLineOctets {
                effects.append(.note(.lineTooLong))
                self.end(StandardReplies.lineEndless, .lineTooLong)
            }
            return
        }
        let hasCR = lf > i ? bytes[lf - 1] == ASCII.cr : discardEndsWithCR
        i = lf + 1
        phase = .command
        effects.append(.note(.lineTooLong))
        running = nil
        if hasCR { reply(StandardReplies.lineTooLong) } else { bareLineEnding() }
    }

    private mutating func dispatch<Sink: BodySink>(_ line: Span<UInt8>, body: inout Sink) {
        if phase == .authResponse { return authResponse(line) }
        running = Verb.parse(line).flatMap { $0.isSpoken(lmtp: configuration.isLMTP) ? $0 : nil }
        guard let verb = running else {
            if !hadCommand, !greeted, Verb.isForeign(line) {
                effects.append(.note(.foreignProtocol))
                return end(StandardReplies.foreignProtocol, .foreignProtocol)
            }
            if looksLikeBDAT(line) { return end(StandardReplies.bdatSyntax, .outOfSync) }
            return unknown(line, isKnown: false)
        }
        // BDAT judges for itself, because octets follow it whatever is answered.
        guard verb != .bdat else { return bdat(line, body: &body) }
        guard !hasControl(line) else { return reply(StandardReplies.badOctet) }
        if needsTLS, !verb.isAllowedBeforeTLS {
            return reply(StandardReplies.needsTLS)
        }
        run(verb, line, body: &body)
    }

    var needsTLS: Bool { configuration.requiresTLS && tls == nil }

    private func hasControl(_ line: Span<UInt8>) -> Bool {
        for i in 0..<line.count where line[i] < 0x20 && line[i] != ASCII.tab || line[i] == 0x7F { return true }
        return false
    }

    private mutating func run<Sink: BodySink>(_ verb: Verb, _ line: Span<UInt8>, body: inout Sink) {
        switch verb {
        case .ehlo, .helo, .lhlo: hello(verb, line, body: &body)
        case .mail:
            mail(line)
            mailRefused = transaction == nil
        case .rcpt: recipient(line)
        case .data: data(line, body: &body)
        case .bdat: bdat(line, body: &body)
        case .rset: reset(line, body: &body)
        case .noop: reply(StandardReplies.ok)
        case .vrfy: verify(line)
        case .help: reply(configuration.isLMTP ? StandardReplies.helpLMTP : StandardReplies.help)
        case .quit: quit(line, body: &body)
        case .startTLS: startTLS(line)
        case .auth: authenticate(line)
        case .expn, .turn, .etrn, .atrn, .send, .soml, .saml, .burl: unknown(line, isKnown: true)
        }
    }
}
