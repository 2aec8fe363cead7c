import Base
import Crypto
import Policy
import Protocols
import Reactor
import Telemetry

/// Where a SCRAM exchange stands between the client's messages.
enum AuthExchange {
    case awaitingProof(SCRAM.Exchange, address: [UInt8])
    /// The server's proof is out; the client's empty message completes it.
    case confirmed(address: [UInt8])
}

extension SMTPConnection {
    func authenticate(_ request: SASLRequest, _ ticket: Ticket) {
        // Once for each attempt: a refused one counts too.
        if request.isFirst, let refusal = refusalOfLogin() { return answer(ticket, .refused(refusal)) }
        switch request {
        case .password(let authorization, let user, let password):
            checkPassword(authorization, user, password, ticket)
        case .scram(let message, let isFirst):
            if isFirst { beginSCRAM(message.bytes, ticket) } else { continueSCRAM(message.bytes, ticket) }
        }
    }

    private func checkPassword(_ authorization: [UInt8], _ user: [UInt8], _ password: Secret, _ ticket: Ticket) {
        // Acting for somebody else (RFC 4616 §2 authzid) is nobody's right here.
        guard authorization.isEmpty || ASCII.equalIgnoringCase(authorization, user) else {
            return reject(.plain, ticket)
        }
        let handle = loop.reactor.handle
        let token = self.token
        triedUser = user
        loop.services.authenticator.check(user: user, password: password) { outcome in
            _ = handle.post { SMTPConnection.on($0, token)?.finishAuth(.plain, ticket, outcome) }
        }
    }

    private func beginSCRAM(_ message: [UInt8], _ ticket: Ticket) {
        let client: SCRAM.ClientFirst
        do throws(SCRAM.Failure) {
            client = try SCRAM.clientFirst(message)
        } catch {
            return reject(.scramSHA256, ticket)
        }
        guard client.authorization.isEmpty || ASCII.equalIgnoringCase(client.authorization, client.user) else {
            return reject(.scramSHA256, ticket)
        }
        let handle = loop.reactor.handle
        let token = self.token
        let address = ASCII.lowercased(client.user)
        triedUser = client.user
        loop.services.authenticator.beginSCRAM(client) { exchange in
            _ = handle.post { reactor in
                guard let connection = SMTPConnection.on(reactor, token) else { return }
                guard let exchange else { return connection.finishAuth(.scramSHA256, ticket, .unavailable) }
                connection.exchange = .awaitingProof(exchange, address: address)
                connection.answered(ticket, .challenge(exchange.serverFirst))
            }
        }
    }

    private func continueSCRAM(_ message: [UInt8], _ ticket: Ticket) {
        switch exchange {
        case .awaitingProof(let state, let address):
            do throws(SCRAM.Failure) {
                let last = try SCRAM.finish(state, message)
                exchange = .confirmed(address: address)
                answer(ticket, .challenge(last))
            } catch {
                reject(.scramSHA256, ticket)
            }
        case .confirmed(let address):
            exchange = nil
            succeed(.scramSHA256, address)
            answer(ticket, .authenticated(identity: address))
        case nil:
            reject(.scramSHA256, ticket)
        }
    }

    private func finishAuth(_ mechanism: AuthMechanismLabel, _ ticket: Ticket, _ outcome: AuthOutcome) {
        switch outcome {
        case .authenticated(let address):
            succeed(mechanism, address)
            answered(ticket, .authenticated(identity: address))
        case .rejected:
            fail(mechanism, .failure)
            answerFailedLogin(ticket)
        case .unavailable:
            fail(mechanism, .error)
            if !defense.isExempt { loop.services.defense.clients.loginUnavailable(client, now: loop.reactor.now) }
            answered(
                ticket,
                .refused(
                    refusing(
                        .login, StoreReplies.authUnavailable, subject: triedUser,
                        because: "the account could not be looked up just now")))
        }
    }

    private func reject(_ mechanism: AuthMechanismLabel, _ ticket: Ticket) {
        exchange = nil
        fail(mechanism, .failure)
        answerFailedLogin(ticket)
    }

    /// The limit of failed logins; nil: another may be tried.
    private func refusalOfLogin() -> Reply? {
        let services = loop.services.defense
        let limits = services.limits.current
        guard !defense.isExempt else { return nil }
        let verdict = services.clients.login(client, limits, now: loop.reactor.now)
        guard verdict != .allowed else { return nil }
        loop.services.metrics.defense.limits.add(.failedLogins)
        let event = LimitReplies.login(limits, perNetwork: verdict == .tooManyOfNetwork)
        return event.reply.map { refusing(event, $0) }
    }

    /// Whoever guesses waits longer for each guess.
    private func answerFailedLogin(_ ticket: Ticket) {
        let services = loop.services.defense
        if !defense.isExempt { services.clients.loginFailed(client, services.limits.current, now: loop.reactor.now) }
        let domain = triedUser.lastIndex(of: ASCII.at).map { ASCII.lowercased(Array(triedUser[($0 + 1)...])) } ?? []
        let rules = loop.services.directory.current.rules(ofDomain: domain)?.policy.defense.tarpit
        let delay = tarpitDelay(rules, domain)
        let refusal = Answer.refused(
            refusing(
                .login, StoreReplies.badCredentials, subject: triedUser,
                because: "there is no such account, it is disabled, or the password is another"))
        if delay > 0, hold(.login(ticket, refusal), of: triedUser, seconds: delay) {
            if let c = loop.reactor.connection(for: token) { armDeadline(c) }
            return
        }
        give(ticket, refusal)
    }

    private func succeed(_ mechanism: AuthMechanismLabel, _ address: [UInt8]) {
        loop.services.metrics.authAttempts.add(mechanism, .success)
        loop.services.defense.clients.loggedIn(client, now: loop.reactor.now)
        self.mechanism = Array(mechanism.text.utf8)
        loop.services.log.info("authenticated") {
            $0.add("peer", peer)
            $0.add("account", address)
            $0.add("mechanism", mechanism.text)
        }
    }

    private func fail(_ mechanism: AuthMechanismLabel, _ result: AuthResultLabel) {
        loop.services.metrics.authAttempts.add(mechanism, result)
        loop.services.log.notice("authentication_failed") {
            $0.add("peer", peer)
            $0.add("mechanism", mechanism.text)
        }
    }
}

extension SASLRequest {
    /// It begins an attempt.
    fileprivate var isFirst: Bool {
        switch self {
        case .password: true
        case .scram(_, let isFirst): isFirst
        }
    }
}
