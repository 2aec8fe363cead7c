import CEpoll

/// A listening socket, who is asked about each connection, and under what tag.
struct Listener {
    /// Slot numbers from here on mean listeners; connections never get that far.
    static let firstSlot: UInt32 = 0xF000_0000

    let descriptor: Int32
    let tag: Int
    let overflowReply: [UInt8]
    let makeDriver: (Connection) -> (any ConnectionDriver)?
    var isOpen = true
}

extension Reactor {
    /// Listens; each accepted connection gets the driver `makeDriver` returns, or, when that is nil, is
    /// closed behind its `refusal`: no slot, no timer, for floods.
    /// `overflowReply` is sent to connections there is no room for. Returns the bound address.
    @discardableResult
    package func listen(
        _ target: ListenTarget, tag: Int = 0, backlog: Int32 = 4_096, overflowReply: [UInt8] = [],
        makeDriver: @escaping (Connection) -> (any ConnectionDriver)?
    ) throws(IOError) -> SocketAddress {
        let descriptor = io.listen(target, backlog: backlog)
        guard descriptor >= 0 else { throw IOError("listen on \(target)", -descriptor) }
        let index = listeners.count
        listeners.append(
            Listener(descriptor: descriptor, tag: tag, overflowReply: overflowReply, makeDriver: makeDriver))
        let status = io.add(descriptor, listenersArePaused ? [] : .read, data: Reactor.listenerData(index))
        guard status >= 0 else { throw IOError("watch \(target)", -status) }
        return io.localAddress(descriptor)
    }

    /// Closes the listeners; connections stay (the first step of a drain).
    package func stopListening() {
        for i in listeners.indices where listeners[i].isOpen {
            listeners[i].isOpen = false
            // A socket that was handed to us lives on elsewhere, and its events with it.
            io.remove(listeners[i].descriptor)
            io.close(listeners[i].descriptor)
        }
    }

    /// Leaves new connections in the backlog.
    package func pauseListeners() { setListeners(paused: true) }
    package func resumeListeners() { setListeners(paused: false) }

    private func setListeners(paused: Bool) {
        guard listenersArePaused != paused else { return }
        listenersArePaused = paused
        if !paused { lacksDescriptors = false }
        for i in listeners.indices where listeners[i].isOpen {
            io.modify(listeners[i].descriptor, paused ? [] : .read, data: Reactor.listenerData(i))
        }
    }

    private static func listenerData(_ index: Int) -> UInt64 {
        Token(slot: Listener.firstSlot + UInt32(index), generation: 0).raw
    }

    func acceptTurn(_ index: Int) {
        var budget = limits.acceptsPerEvent
        let refusedMax = statistics.refused &+ UInt64(limits.refusalsPerEvent)
        while budget > 0, statistics.refused < refusedMax, listeners[index].isOpen, !listenersArePaused {
            budget -= 1
            let socket = io.accept(listeners[index].descriptor)
            if socket.descriptor >= 0 {
                admit(socket, listeners[index])
            } else if !acceptFailed(-socket.descriptor, listeners[index]) {
                return
            }
        }
    }

    /// Whether to go on accepting.
    private func acceptFailed(_ code: Int32, _ listener: Listener) -> Bool {
        switch code {
        case EINTR, ECONNABORTED, EPROTO, ENETDOWN, ENOPROTOOPT, EHOSTDOWN, ENONET, EHOSTUNREACH, EOPNOTSUPP,
            ENETUNREACH, EPERM:
            // Errors of that one connection, reported through accept(2).
            return true
        case EMFILE, ENFILE, ENOBUFS, ENOMEM:
            refuseWithReserve(listener)
            return false
        default:
            return false
        }
    }

    private func refuseWithReserve(_ listener: Listener) {
        statistics.descriptorShortages &+= 1
        io.releaseReserve()
        let socket = io.accept(listener.descriptor)
        if socket.descriptor >= 0 { refuse(socket.descriptor, listener) }
        io.restoreReserve()
        pauseListeners()
        lacksDescriptors = true
        after(limits.acceptPauseSeconds) { [unowned self] in
            if lacksDescriptors { resumeListeners() }
        }
    }

    private func refuse(_ descriptor: Int32, _ listener: Listener) {
        refuse(descriptor, saying: listener.overflowReply)
    }

    private func refuse(_ descriptor: Int32, saying line: [UInt8]) {
        statistics.refused &+= 1
        if !line.isEmpty {
            // A fresh socket takes one line, or the peer goes without.
            _ = line.withUnsafeBytes { io.write(descriptor, $0) }
        }
        io.close(descriptor)
    }

    private func admit(_ socket: AcceptedSocket, _ listener: Listener) {
        guard let token = connections.nextToken else { return refuse(socket.descriptor, listener) }
        let c = Connection(
            reactor: self, token: token, descriptor: socket.descriptor, peer: socket.peer, tag: listener.tag,
            isOutbound: false, driver: NoDriver.shared)
        // First: an owner that was asked for a driver is told of the end, and counts on it.
        guard io.add(socket.descriptor, .read, data: token.raw) >= 0 else { return refuse(socket.descriptor, listener) }
        guard let driver = listener.makeDriver(c) else { return refuse(socket.descriptor, saying: c.refusal) }
        c.driver = driver
        connections.insert(c)
        statistics.accepted &+= 1
        driver.opened(c)
    }
}

/// Stands in while a listener's owner chooses the driver.
private final class NoDriver: ConnectionDriver, Sendable {
    static let shared = NoDriver()
    func received(_ c: Connection, _ bytes: Span<UInt8>) -> Int { bytes.count }
}
