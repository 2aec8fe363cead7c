import CEpoll

extension Reactor {
    /// Begins a connection; `opened` or `closed(.connectFailed)` follows, never from inside this call. nil when all slots
    /// are taken: nothing follows then.
    @discardableResult
    package func connect(
        _ target: ConnectTarget, from source: SocketAddress? = nil, tag: Int = 0, driver: any ConnectionDriver,
        deadlineSeconds: Double? = nil
    ) -> Token? {
        guard let token = connections.nextToken else { return nil }
        var peer = SocketAddress()
        if case .inet(let address) = target { peer = address }
        var descriptor = io.connect(target, from: source)
        var failure: Int32 = descriptor < 0 ? -descriptor : 0
        if failure == 0 {
            let status = io.add(descriptor, .write, data: token.raw)
            if status < 0 {
                io.close(descriptor)
                failure = -status
                descriptor = -1
            }
        }
        let c = Connection(
            reactor: self, token: token, descriptor: descriptor, peer: peer, tag: tag, isOutbound: true, driver: driver)
        connections.insert(c)
        if failure != 0 {
            c.close(.connectFailed(failure))
        } else if let deadlineSeconds {
            c.setDeadline(afterSeconds: deadlineSeconds)
        }
        return token
    }

    func connectTurn(_ c: Connection) {
        let status = io.connectResult(c.descriptor)
        guard status == 0 else { return c.close(.connectFailed(-status)) }
        statistics.connected &+= 1
        c.state = .open
        touch(c)
        c.driver.opened(c)
    }
}
