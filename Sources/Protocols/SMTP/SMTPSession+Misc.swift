import Base

extension SMTPSession {
    /// EHLO, HELO and LHLO. Each ends a transaction as RSET does (RFC 5321 §4.1.4).
    mutating func hello<Sink: BodySink>(_ verb: Verb, _ line: Span<UInt8>, body: inout Sink) {
        let name = line.extracting(argument(line, after: 4))
        // RFC 5321 §4.1.4: a name is never refused for being untrue; only what cannot be a name is.
        guard name.count > 0, name.count <= 255, isName(name) else { return reply(StandardReplies.heloName) }
        abortTransaction(body: &body)
        mailRefused = false
        helo = [UInt8](name)
        greeted = true
        hadCommand = true
        isESMTP = verb != .helo
        if isESMTP {
            outcomes.note(verb, StandardReplies.ok)
            // RFC 2034 §4: no enhanced code in the reply to EHLO and HELO.
            output.append(contentsOf: tls == nil ? configuration.ehloPlain : configuration.ehloTLS)
        } else {
            reply(Reply(code: 250, enhanced: nil, text: configuration.hostname))
        }
    }

    private func isName(_ name: Span<UInt8>) -> Bool {
        for i in 0..<name.count where name[i] <= 0x20 || name[i] >= 0x7F { return false }
        return true
    }

    mutating func reset<Sink: BodySink>(_ line: Span<UInt8>, body: inout Sink) {
        guard line.count == 4 else { return reply(StandardReplies.noArguments) }
        abortTransaction(body: &body)
        mailRefused = false
        reply(StandardReplies.ok)
    }

    mutating func quit<Sink: BodySink>(_ line: Span<UInt8>, body: inout Sink) {
        guard line.count == 4 else { return reply(StandardReplies.noArguments) }
        discardBody(&body)
        end(StandardReplies.goodbye, .quit)
    }

    mutating func verify(_ line: Span<UInt8>) {
        let name = line.extracting(argument(line, after: 4))
        guard name.count > 0 else { return reply(StandardReplies.syntax) }
        waiting = .verify(ask(.verify([UInt8](name))))
    }

    mutating func answeredVerify(_ answer: Answer) {
        waiting = .nothing
        switch answer {
        case .accepted: reply(StandardReplies.cannotVerify)
        case .refused(let refusal): pass(refusal)
        case .challenge, .authenticated, .stored: reply(StandardReplies.localError)
        }
    }

    /// `isKnown`: it is a command, but not one of ours.
    mutating func unknown(_ line: Span<UInt8>, isKnown: Bool) {
        guard asksAboutUnknown else { return reply(Self.usualReply(isKnown)) }
        waiting = .unknown(ask(.unknown([UInt8](line))), isKnown: isKnown)
    }

    mutating func answeredUnknown(_ answer: Answer, _ isKnown: Bool) {
        waiting = .nothing
        guard case .refused(let refusal) = answer else { return reply(Self.usualReply(isKnown)) }
        if refusal.code >= 500 { refusals.noteFault() }
        pass(refusal)
    }

    private static func usualReply(_ isKnown: Bool) -> Reply {
        isKnown ? StandardReplies.notImplemented : StandardReplies.unknownCommand
    }

    /// RFC 3207 §4
    mutating func startTLS(_ line: Span<UInt8>) {
        guard tls == nil else { return reply(StandardReplies.tlsActive) }
        guard configuration.offersTLS else { return reply(StandardReplies.notImplemented) }
        guard line.count == 8 else { return reply(StandardReplies.noArguments) }
        reply(StandardReplies.readyForTLS)
        phase = .handshake
        effects.append(.startTLS)
    }

    /// What follows the verb and its spaces.
    func argument(_ line: Span<UInt8>, after verbOctets: Int) -> Range<Int> {
        var i = min(verbOctets, line.count)
        while i < line.count, line[i] == ASCII.space { i += 1 }
        return i..<line.count
    }
}
