package import Base
import CEpoll

/// One stream socket, plain or TLS: what has come and was not consumed, what is to go, a deadline, and a driver.
/// Belongs to its reactor's thread (deliberately not Sendable) and to a slot there; lives until `closed` was told.
/// It never parses. Bounded by `ReactorLimits`.
package final class Connection {
    enum State { case connecting, open, lingering, closing, closed }

    package let token: Token
    package let peer: SocketAddress
    /// The listener's tag, or the one given to `connect`.
    package let listenerTag: Int
    package let isOutbound: Bool
    package internal(set) var driver: any ConnectionDriver
    /// The owner's room for a word of its own.
    package var context = 0
    /// What a listener's owner that makes no driver wants said before the close.
    package var refusal: [UInt8] = []

    let reactor: Reactor
    let descriptor: Int32
    var state: State
    var input: ByteBuffer
    var output: ByteBuffer
    /// Leading bytes of `output` that go out before TLS does.
    var plainOutput = 0
    /// `input` holds the beginning of TLS, for the engine to take.
    var tlsTakesInput = false
    var tls: TLSChannel?
    package internal(set) var tlsInfo: TLSInfo?
    var armed: Readiness
    var isDirty = false
    var wantsOffer = false
    /// The last send did not take everything: wait for the socket.
    var isBlocked = false
    var isPaused = false
    /// Something came while reading was paused, and the socket is no longer watched for more.
    var cameWhilePaused = false
    /// The driver wants to know, paused as it is, that the peer ended its side.
    var watchesEnd = false
    /// The TLS engine cannot read before its own output went out.
    var readWantsRoom = false
    var hadOutput = false
    /// A send failed: nothing more goes out.
    var isBroken = false
    /// The peer's side ended so; acted upon when the driver is not pausing.
    var inputEnd: CloseReason?
    var closeWhenFlushed: CloseReason?
    var closeReason: CloseReason?
    var deadline: Instant?
    var timer: TimerWheel.Entry?
    var timerDue = Instant(nanoseconds: 0)
    /// Plaintext that had come behind a STARTTLS and was thrown away: somebody tried an injection.
    package internal(set) var discardedPlaintext = 0

    init(
        reactor: Reactor, token: Token, descriptor: Int32, peer: SocketAddress, tag: Int, isOutbound: Bool,
        driver: any ConnectionDriver
    ) {
        self.reactor = reactor
        self.token = token
        self.descriptor = descriptor
        self.peer = peer
        self.listenerTag = tag
        self.isOutbound = isOutbound
        self.driver = driver
        state = isOutbound ? .connecting : .open
        armed = isOutbound ? .write : .read
        input = ByteBuffer(maximum: reactor.limits.inputBytesMax)
        output = ByteBuffer(maximum: reactor.limits.outputBytesMax)
    }

    // MARK: Facts

    /// Our own address, asked of the system each time.
    package var local: SocketAddress { reactor.io.localAddress(descriptor) }
    /// User id of the process at the other end of a Unix socket.
    package var peerUserID: UInt32? { reactor.io.peerUserID(descriptor) }
    /// TLS was begun; nothing is read as plaintext any more, whatever happens.
    package var isTLS: Bool { tls != nil }
    package var pendingOutput: Int { output.count }
    package var bufferedInput: Int { input.count }
    /// Open, and no close was asked for.
    package var isOpen: Bool { state == .open && closeWhenFlushed == nil }
    package var isReadingPaused: Bool { isPaused }

    var acceptsOutput: Bool { (state == .open || state == .connecting) && closeWhenFlushed == nil }

    /// What to watch the socket for: a function of the connection's state and nothing else.
    var interest: Readiness {
        switch state {
        case .connecting: return .write
        case .lingering: return .read
        case .closing, .closed: return []
        case .open:
            var wanted: Readiness = []
            if isBlocked { wanted.insert(.write) }
            // A pause usually ends before anything comes: the watch is only given up when something did.
            let mayRead =
                !(isPaused && cameWhilePaused) && !readWantsRoom && inputEnd == nil && closeWhenFlushed == nil
                && input.room > 0
                && output.count < reactor.limits.outputHighWater
            // A handshake is the connection's business, not the driver's.
            if mayRead || (tls?.isHandshaking == true && inputEnd == nil) { wanted.insert(.read) }
            // What has come is left where it is, and only the end behind it is looked for.
            if watchesEnd, isPaused, !mayRead, closeWhenFlushed == nil { wanted.insert(.peerClosed) }
            return wanted
        }
    }

    // MARK: Output

    package func write(_ bytes: [UInt8]) {
        guard acceptsOutput else { return }
        wrote(output.append(bytes))
    }

    package func write(_ bytes: Span<UInt8>) {
        guard acceptsOutput else { return }
        wrote(output.append(bytes))
    }

    package func write(ascii text: StaticString) {
        guard acceptsOutput else { return }
        wrote(text.withUTF8Buffer { output.append(UnsafeRawBufferPointer($0)) })
    }

    private func wrote(_ fits: Bool) {
        guard fits else { return close(.outputOverflow) }
        hadOutput = true
        if state == .open { reactor.touch(self) }
    }

    // MARK: Ending

    /// Sends what is written (and close_notify), then closes. Later writes are dropped and no more input is offered.
    package func closeAfterFlush() { closeAfterFlush(.local) }

    func closeAfterFlush(_ reason: CloseReason) {
        guard acceptsOutput else { return }
        guard state == .open else { return close(reason) }
        closeWhenFlushed = reason
        setDeadline(afterSeconds: reactor.limits.flushSeconds)
        reactor.touch(self)
    }

    /// Closes at the end of this turn; what is not yet sent is lost. Idempotent: the first reason stays.
    package func close(_ reason: CloseReason = .local) {
        guard state != .closing, state != .closed else { return }
        state = .closing
        closeReason = reason
        reactor.closings.append(self)
    }

    // MARK: TLS

    /// Begins TLS as the server: what is written goes out in plaintext first, what was buffered of the peer is discarded
    /// (RFC 3207 §4.2), and `secured` follows.
    package func startTLSServer(_ context: TLSContext) { startTLS(TLSChannel(server: context, reactor.limits)) }

    /// Begins TLS as the server of a client that speaks nothing else: what came of it and was not consumed is the
    /// beginning of TLS already, for instance behind a PROXY header (RFC 8314 §3).
    package func startImplicitTLSServer(_ context: TLSContext) {
        guard acceptsOutput, tls == nil else { return }
        tlsTakesInput = true
        startTLS(TLSChannel(server: context, reactor.limits))
        offerInput()
    }

    /// Begins TLS as the client, likewise. `serverName` goes into SNI unless nil. `verification` decides which certificates
    /// end the session with `tlsUnverified`; nil: what the context was made for. `observing` is looked at when
    /// `verification` looks at nothing, and what it finds is told in `TLSInfo.peerCertificate` alone. `resume` is used
    /// only if that session was made for the same name and verification.
    package func startTLSClient(
        _ context: TLSContext, serverName: String?, verification: TLSVerification? = nil,
        observing: TLSVerification? = nil, resume: TLSSession? = nil
    ) {
        let wanted = verification ?? context.usualVerification(serverName)
        guard wanted.canHold else { return close(.tlsUnverified(.nameMismatch, "no name to verify")) }
        startTLS(
            TLSChannel(
                client: context, serverName: serverName, verification: wanted, observing: observing, resume: resume,
                reactor.limits))
    }

    /// What the client needs to resume this session later, nil before the server gave it.
    package var tlsSession: TLSSession? { tls?.session }

    private func startTLS(_ channel: TLSChannel?) {
        guard acceptsOutput, tls == nil else { return }
        guard let channel else { return close(.tlsFailed("no TLS session could be made")) }
        if !tlsTakesInput {
            discardedPlaintext += input.count
            input.removeAll()
        }
        plainOutput = output.count
        tls = channel
        reactor.touch(self)
    }

    // MARK: Input

    /// Stops reading and offering, for instance while an answer is awaited. The peer's FIN waits too.
    package func pauseReading() {
        guard !isPaused else { return }
        isPaused = true
        reactor.touch(self)
    }

    /// While reading is paused: have the driver told (`peerEnded`, once) that the peer ended its side, although nothing is
    /// read. A peer that still has more to send than the system buffers is only noticed when it resets.
    package func watchForEnd(_ wanted: Bool) {
        guard watchesEnd != wanted else { return }
        watchesEnd = wanted
        reactor.touch(self)
    }

    /// Goes on reading, and offers what was kept within this turn.
    package func resumeReading() {
        guard isPaused else { return }
        isPaused = false
        cameWhilePaused = false
        offerInput()
    }

    /// Offers what the driver left within this turn.
    package func offerInput() {
        guard state == .open, !wantsOffer else { return }
        wantsOffer = true
        reactor.offers.append(self)
    }

    package func replaceDriver(_ driver: any ConnectionDriver) { self.driver = driver }

    // MARK: Deadline

    package func setDeadline(afterSeconds seconds: Double) {
        setDeadline(reactor.now.advanced(bySeconds: seconds))
    }

    /// O(1), and no work at all for the usual case of a deadline that moves later: its timer finds that out when it fires.
    package func setDeadline(_ at: Instant) {
        guard state != .closing, state != .closed else { return }
        deadline = at
        if timer != nil, timerDue <= at { return }
        reactor.armTimer(self, at)
    }

    /// The deadline comes so soon, if it would come later.
    package func hastenDeadline(afterSeconds seconds: Double) {
        let at = reactor.now.advanced(bySeconds: seconds)
        if let deadline, deadline > at { setDeadline(at) }
    }

    package func clearDeadline() { deadline = nil }
}
