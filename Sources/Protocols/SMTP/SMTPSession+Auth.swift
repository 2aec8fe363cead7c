import Base

extension SMTPSession {
    /// RFC 4954 §4
    mutating func authenticate(_ line: Span<UInt8>) {
        guard configuration.offersAuth else { return reply(StandardReplies.notImplemented) }
        guard tls != nil else { return reply(StandardReplies.authNeedsTLS) }
        guard greeted, isESMTP else { return reply(needsHello) }
        guard identity == nil else { return reply(StandardReplies.alreadyAuthenticated) }
        guard transaction == nil else { return reply(StandardReplies.authInTransaction) }
        let rest = line.extracting(argument(line, after: 4))
        var end = 0
        while end < rest.count, rest[end] != ASCII.space { end += 1 }
        guard end > 0 else { return reply(StandardReplies.syntax) }
        guard let (exchange, challenge) = mechanism(rest.extracting(0..<end)) else {
            return reply(StandardReplies.unknownMechanism)
        }
        sasl = exchange
        let initial = rest.extracting(argument(rest, after: end))
        if initial.count == 0 { return sendChallenge(challenge) }
        // RFC 4954 §4: a single "=" is an initial response of no octets.
        if initial.count == 1, initial[0] == ASCII.equals { return saslMessage([]) }
        guard let message = Base64.decode(initial) else { return failExchange(StandardReplies.badBase64) }
        saslMessage(message)
    }

    private func mechanism(_ name: Span<UInt8>) -> (SASLExchange, [UInt8])? {
        if ASCII.equalIgnoringCase(name, "plain") { return (.plain, []) }
        if ASCII.equalIgnoringCase(name, "login") { return (.loginUser, Array("Username:".utf8)) }
        if ASCII.equalIgnoringCase(name, "scram-sha-256") { return (.scram(isFirst: true), []) }
        return nil
    }

    private mutating func sendChallenge(_ challenge: [UInt8]) {
        phase = .authResponse
        reply(Reply(code: 334, enhanced: nil, text: Base64.encode(challenge)))
    }

    mutating func authResponse(_ line: Span<UInt8>) {
        phase = .command
        if line.count == 1, line[0] == 0x2A {
            effects.append(.note(.authenticationCancelled))
            return failExchange(StandardReplies.authCancelled)
        }
        guard let message = Base64.decode(line) else { return failExchange(StandardReplies.badBase64) }
        saslMessage(message)
    }

    private mutating func saslMessage(_ message: [UInt8]) {
        switch sasl {
        case .idle: reply(StandardReplies.localError)
        case .plain:
            guard let request = SASLPlain.parse(message) else { return failExchange(StandardReplies.badBase64) }
            waiting = .authenticate(ask(.authenticate(request)))
        case .loginUser:
            guard !message.isEmpty else { return failExchange(StandardReplies.badBase64) }
            sasl = .loginPassword(user: message)
            sendChallenge(Array("Password:".utf8))
        case .loginPassword(let user):
            let request = SASLRequest.password(authorization: [], user: user, password: Secret(message))
            waiting = .authenticate(ask(.authenticate(request)))
        case .scram(let isFirst):
            sasl = .scram(isFirst: false)
            waiting = .authenticate(ask(.authenticate(.scram(message: Secret(message), isFirst: isFirst))))
        }
    }

    private mutating func failExchange(_ error: Reply) {
        sasl = .idle
        reply(error)
    }

    mutating func answeredAuthenticate(_ answer: Answer) {
        waiting = .nothing
        switch answer {
        case .challenge(let challenge):
            if case .scram = sasl { return sendChallenge(challenge) }
            failExchange(StandardReplies.localError)
        case .authenticated(let name):
            sasl = .idle
            identity = name
            reply(StandardReplies.authenticated)
        case .refused(let refusal): refused(refusal)
        case .accepted, .stored: failExchange(StandardReplies.localError)
        }
    }

    private mutating func refused(_ refusal: Reply) {
        sasl = .idle
        pass(refusal)
        guard refusal.code >= 500 else { return }
        effects.append(.note(.authenticationFailed))
        authFailures += 1
        if authFailures >= configuration.limits.authFailures { end(StandardReplies.tooManyErrors, .tooManyErrors) }
    }
}
