package import Base

/// The client half of an SMTP or LMTP connection as a pure state machine: replies in, commands and effects out.
///
/// The owner of a connection feeds `receive` with unread bytes, then drains `nextEffect()`, writing `output` before it
/// acts on each effect and once at the end. One session carries many messages: after each `.ready` it takes one `submit`.
/// Bounds: `ReplyParser`'s on input; expected replies and results by the number of recipients submitted.
package struct SMTPClientSession: ~Copyable {
    package enum TLSUse: Sendable {
        case never
        /// STARTTLS when offered; in the clear when not, or when refused.
        case opportunistic
        case required
    }

    package struct Credentials: Sendable {
        package let user: [UInt8]
        package let password: Secret

        package init(user: [UInt8], password: Secret) {
            self.user = user
            self.password = password
        }
    }

    package struct Options: Sendable {
        /// The EHLO argument.
        package var name: [UInt8]
        package var tls = TLSUse.opportunistic
        /// Whether to use PIPELINING and CHUNKING when offered.
        package var usesPipelining = true
        package var usesChunking = false
        /// Largest BDAT chunk.
        package var chunkBytesMaximum = 1 << 20
        /// RFC 2033 instead of RFC 5321.
        package var isLMTP = false
        package var credentials: Credentials?

        package init(name: [UInt8]) { self.name = name }
    }

    enum Phase {
        case greeting, introducing, handshaking, authenticating, ready, transferring, resetting, quitting, ended
    }

    /// What the next reply answers.
    enum Expected: Equatable {
        case greeting, hello, plainHello, startTLS, plainSecret, loginStart, loginUser, loginPassword
        case sender, recipient(Int), data, chunk(isLast: Bool), endOfMessage, recipientResult(Int), emptyEnd
        case reset, quit
    }

    let options: Options
    var phase = Phase.greeting
    /// What the last EHLO reply offered; empty before, and after HELO.
    package internal(set) var capabilities = PeerCapabilities()
    package internal(set) var isSecure: Bool
    package internal(set) var isAuthenticated = false
    /// What the server said of itself with 220: the first line, as much of it as people read.
    package internal(set) var greeting: [UInt8] = []
    private static let greetingMaximum = 200
    /// Commands to write. The owner takes them out.
    package var output: [UInt8] = []
    /// Messages submitted so far.
    package internal(set) var messages = 0

    var parser = ReplyParser()
    var expected: [Expected] = [.greeting]
    var expectedHead = 0
    var effects: [ClientEffect] = []
    var effectsHead = 0
    var transfer: Transfer?
    var wantsQuit = false

    /// `isSecure`: the connection speaks TLS from its first byte (RFC 8314).
    package init(_ options: Options, isSecure: Bool = false) {
        self.options = options
        self.isSecure = isSecure
    }

    /// Takes whole reply lines from the unread bytes; the number taken. The rest is given again, with more behind it.
    package mutating func receive(_ bytes: Span<UInt8>) -> Int {
        var offset = 0
        while phase != .ended, phase != .handshaking, offset < bytes.count {
            switch parser.next(bytes, &offset) {
            case .reply(let reply): take(reply)
            case .needMore: return offset
            case .failed(let error): fail(.badReply(error))
            }
        }
        // RFC 3207 §4.2: nothing said before the handshake may be used after it.
        if phase == .handshaking, offset < bytes.count { fail(.bytesBehindStartTLS) }
        return bytes.count
    }

    /// The oldest effect not yet taken, or nil.
    package mutating func nextEffect() -> ClientEffect? {
        guard effectsHead < effects.count else { return nil }
        let effect = effects[effectsHead]
        effectsHead += 1
        if effectsHead == effects.count {
            effects.removeAll(keepingCapacity: true)
            effectsHead = 0
        }
        return effect
    }

    /// The handshake that `.startTLS` asked for is done.
    package mutating func secured() {
        guard phase == .handshaking else { return }
        isSecure = true
        // RFC 3207 §4.2: what was learned in the clear is forgotten, EHLO comes again.
        capabilities = PeerCapabilities()
        introduce()
    }

    /// The transport is gone (closed, reset, timed out).
    package mutating func connectionLost() { fail(.lost(stage)) }

    /// Says QUIT as soon as no message is under way.
    package mutating func quit() {
        wantsQuit = true
        if phase == .ready { sayQuit() }
    }

    /// What the server is being waited for; choose the timeout by it.
    package var stage: ClientStage {
        switch phase {
        case .greeting: return .greeting
        case .introducing: return .hello
        case .handshaking: return .startTLS
        case .authenticating: return .authentication
        case .ready, .ended: return .ready
        case .transferring: break
        case .resetting: return .reset
        case .quitting: return .quit
        }
        return expectedHead < expected.count ? Self.stage(of: expected[expectedHead]) : .ready
    }

    static func stage(of expected: Expected) -> ClientStage {
        switch expected {
        case .greeting: .greeting
        case .hello, .plainHello: .hello
        case .startTLS: .startTLS
        case .plainSecret, .loginStart, .loginUser, .loginPassword: .authentication
        case .sender: .sender
        case .recipient: .recipient
        case .data: .data
        case .chunk: .chunk
        case .endOfMessage, .recipientResult, .emptyEnd: .endOfMessage
        case .reset: .reset
        case .quit: .quit
        }
    }

    mutating func expect(_ what: Expected) { expected.append(what) }
    mutating func emit(_ effect: ClientEffect) { effects.append(effect) }

    private mutating func take(_ reply: ServerReply) {
        guard expectedHead < expected.count else {
            return fail(reply.closesChannel ? .closing(.ready, reply) : .unsolicited(reply))
        }
        let question = expected[expectedHead]
        expectedHead += 1
        if expectedHead == expected.count {
            expected.removeAll(keepingCapacity: true)
            expectedHead = 0
        }
        if reply.closesChannel, question != .quit { return fail(.closing(Self.stage(of: question), reply)) }
        switch question {
        case .greeting, .hello, .plainHello, .startTLS: takeGreeting(reply, question)
        case .plainSecret, .loginStart, .loginUser, .loginPassword: takeAuthentication(reply, question)
        case .sender, .recipient, .data, .chunk, .endOfMessage, .recipientResult, .emptyEnd:
            takeTransfer(reply, question)
        case .reset: reply.isPositive ? becomeReady() : fail(.unexpected(.reset, reply))
        case .quit: end()
        }
    }

    mutating func keepGreeting(_ reply: ServerReply) {
        greeting = Array(reply.text.prefix(Self.greetingMaximum).prefix { $0 != ASCII.lf })
    }

    mutating func becomeReady() {
        phase = .ready
        // RFC 9422 §4.1: no more transactions than the server wants.
        if wantsQuit || messages >= capabilities.messagesMaximum ?? .max { return sayQuit() }
        emit(.ready)
    }

    private mutating func sayQuit() {
        phase = .quitting
        output.append(ascii: "QUIT\r\n")
        expect(.quit)
    }

    /// The connection is of no use: settles the message under way and asks for the close.
    mutating func fail(_ failure: ClientFailure) {
        guard phase != .ended else { return }
        if phase == .quitting { return end() }
        if let interrupted = transfer {
            transfer = nil
            emit(.finished(TransferOutcome(verdict: .interrupted(failure), recipients: interrupted.replies)))
        }
        emit(.failed(failure))
        end()
    }

    private mutating func end() {
        phase = .ended
        emit(.close)
    }
}

extension ClientStage {
    /// RFC 5321 §4.5.3.2: how long a client waits at least.
    package var timeoutSeconds: Double {
        switch self {
        case .greeting, .hello, .startTLS, .authentication, .sender, .recipient, .ready, .reset: 300
        case .data: 120
        case .chunk: 180
        case .endOfMessage: 600
        case .quit: 5
        }
    }
}
