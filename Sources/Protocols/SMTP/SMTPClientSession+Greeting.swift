import Base

extension SMTPClientSession {
    mutating func takeGreeting(_ reply: ServerReply, _ question: Expected) {
        switch question {
        case .greeting:
            guard reply.code == 220 else {
                // RFC 5321 §3.1: 554 instead of 220 means no service here.
                return fail(reply.code >= 400 ? .refused(.greeting, reply) : .unexpected(.greeting, reply))
            }
            keepGreeting(reply)
            emit(.greeted)
            introduce()
        case .hello: takeHello(reply)
        case .plainHello:
            guard reply.isPositive else {
                return fail(reply.code >= 400 ? .refused(.hello, reply) : .unexpected(.hello, reply))
            }
            emit(.introduced)
            afterHello()
        default: takeStartTLS(reply)
        }
    }

    mutating func introduce() {
        phase = .introducing
        ClientCommand.hello(options.isLMTP ? "LHLO" : "EHLO", options.name, to: &output)
        expect(.hello)
    }

    private mutating func takeHello(_ reply: ServerReply) {
        if reply.isPositive {
            capabilities = PeerCapabilities(ehlo: reply)
            emit(.introduced)
            return afterHello()
        }
        guard reply.isPermanent, !options.isLMTP else {
            return fail(reply.code >= 400 ? .refused(.hello, reply) : .unexpected(.hello, reply))
        }
        // RFC 5321 §3.2: a server that does not know EHLO is asked with HELO.
        ClientCommand.hello("HELO", options.name, to: &output)
        expect(.plainHello)
    }

    private mutating func afterHello() {
        if !isSecure, options.tls != .never {
            if capabilities.startTLS {
                output.append(ascii: "STARTTLS\r\n")
                return expect(.startTLS)
            }
            if options.tls == .required { return fail(.noTLS) }
        }
        authenticateOrBecomeReady()
    }

    private mutating func takeStartTLS(_ reply: ServerReply) {
        if reply.code == 220 {
            phase = .handshaking
            return emit(.startTLS)
        }
        guard reply.code >= 400 else { return fail(.unexpected(.startTLS, reply)) }
        if options.tls == .required { return fail(.refused(.startTLS, reply)) }
        authenticateOrBecomeReady()
    }

    private mutating func authenticateOrBecomeReady() {
        guard let credentials = options.credentials, !isAuthenticated else { return becomeReady() }
        phase = .authenticating
        if capabilities.authPlain {
            // RFC 4616 §2: empty authorization identity, NUL, user, NUL, password.
            let response = [ASCII.nul] + credentials.user + [ASCII.nul] + credentials.password.bytes
            output.append(ascii: "AUTH PLAIN ")
            output.append(contentsOf: Base64.encode(response))
            output.append(ascii: "\r\n")
            expect(.plainSecret)
        } else if capabilities.authLogin {
            output.append(ascii: "AUTH LOGIN\r\n")
            expect(.loginStart)
        } else {
            fail(.noMechanism)
        }
    }

    mutating func takeAuthentication(_ reply: ServerReply, _ question: Expected) {
        if reply.code >= 400 { return fail(.refused(.authentication, reply)) }
        guard let credentials = options.credentials else { return fail(.unexpected(.authentication, reply)) }
        switch (question, reply.code) {
        case (.loginStart, 334): answer(credentials.user, then: .loginUser)
        case (.loginUser, 334): answer(credentials.password.bytes, then: .loginPassword)
        case (.plainSecret, 235), (.loginPassword, 235):
            isAuthenticated = true
            becomeReady()
        default: fail(.unexpected(.authentication, reply))
        }
    }

    private mutating func answer(_ bytes: [UInt8], then next: Expected) {
        output.append(contentsOf: Base64.encode(bytes))
        output.append(ascii: "\r\n")
        expect(next)
    }
}
