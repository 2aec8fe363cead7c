import Base
import CEpoll

/// The reading and writing of one connection in one turn, plain and TLS.
extension Reactor {
    func ioTurn(_ c: Connection, _ ready: Readiness) {
        switch c.state {
        case .closing, .closed: return
        case .connecting: return connectTurn(c)
        case .lingering: return lingerTurn(c)
        case .open: break
        }
        if ready.contains(.write) {
            c.isBlocked = false
            touch(c)
        }
        let hasInput = !ready.isDisjoint(with: [.read, .peerClosed, .broken])
        // Kept input is offered later in this turn, and must be before an end behind it is acted upon; the event comes again.
        if hasInput, c.wantsOffer { return }
        if hasInput, c.isPaused, c.tls?.isHandshaking != true {
            if c.watchesEnd, !ready.contains(.broken) { return inputWhileWatched(c, ready) }
            if c.armed.contains(.read) {
                c.cameWhilePaused = true
                return touch(c)
            }
        }
        if hasInput, c.armed.contains(.read) {
            readTurn(c, mayEnd: !ready.isDisjoint(with: [.peerClosed, .broken]))
        } else if ready.contains(.broken) {
            // Nobody is reading, and the system would report it for ever.
            let status = io.connectResult(c.descriptor)
            c.close(status < 0 ? .reset(-status) : endOfStream(c))
        }
    }

    /// Paused, and the driver waits for nothing but the peer's end. A socket that is broken closes without it.
    private func inputWhileWatched(_ c: Connection, _ ready: Readiness) {
        if ready.contains(.read) { c.cameWhilePaused = true }
        touch(c)
        if ready.contains(.peerClosed) { tellEnd(c) }
    }

    func tellEnd(_ c: Connection) {
        guard c.watchesEnd, c.isPaused, c.isOpen else { return }
        c.watchesEnd = false
        c.driver.peerEnded(c)
    }

    /// What a FIN means here: inside TLS it may be an attacker's.
    private func endOfStream(_ c: Connection) -> CloseReason { c.isTLS ? .tlsTruncated : .peerClosed }

    private func readTurn(_ c: Connection, mayEnd: Bool) {
        if let tls = c.tls { readTurnTLS(c, tls, mayEnd) } else { readTurnPlain(c, mayEnd) }
        finishInput(c)
    }

    /// Acts on the peer's end, unless the driver is pausing (it owes an answer and will resume).
    private func finishInput(_ c: Connection) {
        guard c.state == .open, let end = c.inputEnd else { return watch(c) }
        if !c.isPaused { c.closeAfterFlush(end) }
        touch(c)
    }

    // MARK: Plain

    private func readTurnPlain(_ c: Connection, _ mayEnd: Bool) {
        var again = true
        while again {
            let kept = keep(c)
            let room = min(limits.readBytesPerEvent, limits.inputBytesMax - kept)
            guard room > 0 else { return }
            let n = io.read(c.descriptor, UnsafeMutableRawBufferPointer(rebasing: scratch[kept..<kept + room]))
            guard n > 0 else { return readEnded(c, n) }
            statistics.bytesRead &+= UInt64(n)
            deliver(c, kept + n)
            // With the end announced, one more read finds it; otherwise a short read means the socket is empty.
            again = mayEnd && n < room && c.state == .open && !c.isPaused && c.tls == nil
        }
    }

    private func readEnded(_ c: Connection, _ n: Int) {
        if n == 0 {
            c.inputEnd = endOfStream(c)
        } else if n != -Int(EAGAIN) {
            c.close(.reset(Int32(-n)))
        }
    }

    /// Copies kept input to the front of the scratch; its length.
    private func keep(_ c: Connection) -> Int {
        guard !c.input.isEmpty else { return 0 }
        return c.input.withUnsafeReadable { bytes in
            scratch.copyMemory(from: bytes)
            return bytes.count
        }
    }

    /// Offers the first `total` bytes of the scratch and keeps what is left of them.
    private func deliver(_ c: Connection, _ total: Int) {
        let wasTLS = c.isTLS
        let bytes = UnsafeRawBufferPointer(rebasing: scratch[0..<total]).assumingMemoryBound(to: UInt8.self)
        let consumed = min(max(c.driver.received(c, bytes.span), 0), total)
        guard c.state == .open else { return }
        if c.isTLS, !wasTLS, !c.tlsTakesInput {
            // RFC 3207 §4.2: what came in plaintext behind STARTTLS must not be taken for what came inside TLS.
            c.discardedPlaintext += total - consumed
            return c.input.removeAll()
        }
        if c.input.isEmpty, consumed == total { return }
        c.input.removeAll()
        _ = c.input.append(UnsafeRawBufferPointer(rebasing: scratch[consumed..<total]))
    }

    // MARK: TLS

    private func readTurnTLS(_ c: Connection, _ tls: TLSChannel, _ mayEnd: Bool) {
        var budget = limits.readBytesPerEvent
        while budget > 0, c.state == .open {
            let room = tls.inboundRoom()
            if room.count > 0 {
                let n = io.read(c.descriptor, room)
                guard n > 0 else {
                    readEnded(c, n)
                    // close_notify may be among what came before.
                    return pumpInput(c, tls)
                }
                tls.addInbound(n)
                statistics.bytesRead &+= UInt64(n)
                budget -= n
                pumpInput(c, tls)
                if n < room.count, !mayEnd { return }
                if n == room.count { tls.inboundWasFull() }
                if c.isPaused || c.inputEnd != nil || c.input.room == 0 { return }
            } else {
                // The engine must take what it has first; when it will not, the driver's turn is awaited.
                pumpInput(c, tls)
                if tls.inboundRoom().count == 0 { return }
            }
        }
    }

    /// Runs the engine over what the pair holds.
    private func pumpInput(_ c: Connection, _ tls: TLSChannel) {
        if tls.isHandshaking {
            guard shakeHands(c, tls) else { return }
        }
        while c.state == .open, !c.isPaused, c.closeWhenFlushed == nil {
            let kept = keep(c)
            let room = limits.inputBytesMax - kept
            guard room > 0 else { return touch(c) }
            switch tls.read(UnsafeMutableRawBufferPointer(rebasing: scratch[kept..<kept + room])) {
            case .progressed(let n): deliver(c, kept + n)
            case .wantsPeer: return
            case .wantsRoom:
                c.readWantsRoom = true
                return touch(c)
            case .closed:
                c.inputEnd = .tlsClosed
                return
            case .failed(let reason):
                // A truncation we have seen as FIN is told as that; the engine only says so less clearly.
                c.close(c.inputEnd ?? .tlsFailed(reason))
                return
            }
        }
    }

    /// True when the handshake is complete.
    private func shakeHands(_ c: Connection, _ tls: TLSChannel) -> Bool {
        // What was written before STARTTLS goes out first, in plaintext.
        guard c.plainOutput == 0 else {
            touch(c)
            return false
        }
        while true {
            switch tls.handshake() {
            case .progressed:
                statistics.handshakes &+= 1
                watchPair(c, tls)
                let info = tls.info
                c.tlsInfo = info
                touch(c)
                c.driver.secured(c, info)
                return c.state == .open
            case .wantsPeer:
                // Only for a flight that must go out: a flush comes here too, and would call for itself for ever.
                if tls.outbound().count > 0 { touch(c) }
                return false
            case .wantsRoom:
                guard sendTLS(c, tls) else {
                    touch(c)
                    return false
                }
            case .closed:
                return refuseTLS(c, tls, "closed during the handshake")
            case .failed(let reason):
                return refuseTLS(c, tls, reason)
            }
        }
    }

    /// Sends the alert, if the socket takes it, and closes.
    private func refuseTLS(_ c: Connection, _ tls: TLSChannel, _ reason: String) -> Bool {
        statistics.handshakesFailed &+= 1
        _ = io.write(c.descriptor, tls.outbound())
        if let found = tls.unverified {
            c.tlsInfo = tls.info
            c.close(.tlsUnverified(found.kind, found.text))
        } else {
            c.close(.tlsFailed(reason))
        }
        return false
    }

    // MARK: Kept input

    func offerTurn(_ c: Connection) {
        if c.tlsTakesInput, let tls = c.tls { feed(c, tls) }
        guard c.state == .open, c.closeWhenFlushed == nil, !c.isPaused else { return touch(c) }
        if !c.input.isEmpty { deliver(c, keep(c)) }
        if let tls = c.tls, c.state == .open, !c.isPaused, tls.holdsPair { pumpInput(c, tls) }
        finishInput(c)
        touch(c)
    }

    /// Hands the engine what came before it was made.
    private func feed(_ c: Connection, _ tls: TLSChannel) {
        c.tlsTakesInput = false
        guard c.state == .open, !c.input.isEmpty else { return }
        let room = tls.inboundRoom()
        // A client waits for our answer after its first flight, which is small.
        guard c.input.count <= room.count else { return c.close(.tlsFailed("too much before the handshake")) }
        let count = c.input.withUnsafeReadable { bytes in
            room.copyMemory(from: bytes)
            return bytes.count
        }
        tls.addInbound(count)
        c.input.removeAll()
    }

    // MARK: Output

    /// The one flush of a turn.
    func flushTurn(_ c: Connection) {
        guard c.state == .open, !c.isBlocked else { return }
        var budget = limits.writeBytesPerTurn
        let plain = c.tls == nil ? c.output.count : c.plainOutput
        if plain > 0, !sendPlain(c, min(plain, budget), &budget) { return }
        if let tls = c.tls {
            if tls.isHandshaking {
                if c.closeWhenFlushed != nil { return c.close(c.closeWhenFlushed ?? .local) }
                pumpInput(c, tls)
                guard c.state == .open else { return }
            }
            guard flushTLS(c, tls, &budget) else { return }
            if c.readWantsRoom {
                c.readWantsRoom = false
                c.offerInput()
            }
        }
        guard c.state == .open, c.output.isEmpty else { return }
        if let reason = c.closeWhenFlushed { return endAfterFlush(c, reason) }
        if c.hadOutput {
            c.hadOutput = false
            c.driver.drained(c)
        }
    }

    /// True when all `count` bytes went.
    private func sendPlain(_ c: Connection, _ count: Int, _ budget: inout Int) -> Bool {
        let n = c.output.withUnsafeReadable { io.write(c.descriptor, UnsafeRawBufferPointer(rebasing: $0[0..<count])) }
        guard n >= 0 else {
            writeFailed(c, n)
            return false
        }
        statistics.bytesWritten &+= UInt64(n)
        c.output.consume(n)
        if c.plainOutput > 0 { c.plainOutput -= n }
        budget -= n
        let rest = c.tls == nil ? c.output.count : c.plainOutput
        c.isBlocked = rest > 0
        return rest == 0
    }

    /// Encrypts and sends while the socket takes it and the budget lasts. True when everything went.
    private func flushTLS(_ c: Connection, _ tls: TLSChannel, _ budget: inout Int) -> Bool {
        while c.state == .open {
            if !c.output.isEmpty, !tls.isHandshaking {
                if budget <= 0 {
                    c.isBlocked = true
                    return sendTLS(c, tls) && false
                }
                switch c.output.withUnsafeReadable({ tls.write($0) }) {
                case .progressed(let n):
                    c.output.consume(n)
                    budget -= n
                    watchPair(c, tls)
                    if !c.output.isEmpty { continue }
                case .wantsRoom: break
                case .wantsPeer: return sendTLS(c, tls)
                case .closed: return sendTLS(c, tls)
                case .failed(let reason):
                    c.close(.tlsFailed(reason))
                    return false
                }
            }
            if c.output.isEmpty, c.closeWhenFlushed != nil { tls.shutDown() }
            guard sendTLS(c, tls) else { return false }
            if c.output.isEmpty || tls.isHandshaking { return true }
        }
        return false
    }

    /// Sends what the pair holds. True when all of it went.
    private func sendTLS(_ c: Connection, _ tls: TLSChannel) -> Bool {
        while true {
            let bytes = tls.outbound()
            guard bytes.count > 0 else { return true }
            guard !c.isBroken else { return false }
            let n = io.write(c.descriptor, bytes)
            guard n >= 0 else {
                writeFailed(c, n)
                return false
            }
            statistics.bytesWritten &+= UInt64(n)
            tls.removeOutbound(n)
            if n < bytes.count {
                c.isBlocked = true
                return false
            }
        }
    }

    private func writeFailed(_ c: Connection, _ n: Int) {
        if n == -Int(EAGAIN) {
            c.isBlocked = true
            return
        }
        // A peer that answered and left: its last words are still to be read.
        c.output.removeAll()
        c.plainOutput = 0
        guard !c.isBroken else { return }
        c.isBroken = true
        if c.closeWhenFlushed == nil, c.inputEnd == nil, !c.isPaused {
            if let tls = c.tls { readTurnTLS(c, tls, true) } else { readTurnPlain(c, true) }
        }
        // An end already seen says more than a send that failed after it.
        c.close(c.inputEnd ?? .reset(Int32(-n)))
    }

    // MARK: The end

    /// Closing a socket with unread input resets it, and the reset can overtake our last reply: a peer still sending is
    /// listened to, for a while, without being heard.
    private func endAfterFlush(_ c: Connection, _ reason: CloseReason) {
        guard c.inputEnd == nil else { return c.close(reason) }
        let n = io.read(c.descriptor, scratch)
        guard n > 0 else { return c.close(reason) }
        io.shutdownWrite(c.descriptor)
        c.state = .lingering
        c.setDeadline(afterSeconds: limits.lingerSeconds)
    }

    private func lingerTurn(_ c: Connection) {
        let n = io.read(c.descriptor, scratch)
        if n > 0 || n == -Int(EAGAIN) { return }
        c.close(c.closeWhenFlushed ?? .local)
    }

    // MARK: Pairs of idle sessions

    /// Has the sweep look after the pair of `c`.
    private func watchPair(_ c: Connection, _ tls: TLSChannel) {
        tls.isActive = true
        guard !tls.isSwept else { return }
        tls.isSwept = true
        livePairs.append(c.token)
        armSweep()
    }

    private func armSweep() {
        guard !sweepArmed, !livePairs.isEmpty else { return }
        sweepArmed = true
        after(limits.tlsIdleSeconds) { [unowned self] in
            sweepArmed = false
            sweepPairs()
            armSweep()
        }
    }

    private func sweepPairs() {
        var kept: [Token] = []
        for token in livePairs {
            guard let tls = connections[token]?.tls else { continue }
            if !tls.isActive, tls.releaseIdlePair() {
                tls.isSwept = false
            } else {
                tls.isActive = false
                kept.append(token)
            }
        }
        livePairs = kept
    }
}
