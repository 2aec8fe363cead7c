import CEpoll

/// epoll, level-triggered, and nonblocking sockets.
package final class EpollBackend: IOBackend {
    private static let eventsPerWait = 512

    private let epoll: Int32
    private let events: UnsafeMutablePointer<epoll_event>
    private var reserve: Int32

    package init() throws(IOError) {
        epoll = mt_epoll_create()
        guard epoll >= 0 else { throw IOError("epoll_create", -epoll) }
        events = .allocate(capacity: EpollBackend.eventsPerWait)
        reserve = mt_open("/dev/null", O_RDONLY, 0)
    }

    deinit {
        events.deallocate()
        if reserve >= 0 { _ = mt_close(reserve) }
        _ = mt_close(epoll)
    }

    package func attachWake(_ descriptor: Int32) {
        _ = mt_epoll_add(epoll, descriptor, EPOLLIN.rawValue, .max)
    }

    package func wait(timeoutMilliseconds: Int32) -> Int {
        max(0, Int(mt_epoll_wait(epoll, events, Int32(EpollBackend.eventsPerWait), timeoutMilliseconds)))
    }

    package func event(_ index: Int) -> IOEvent {
        let bits = events[index].events
        var ready: Readiness = []
        if bits & EPOLLIN.rawValue != 0 { ready.insert(.read) }
        if bits & EPOLLOUT.rawValue != 0 { ready.insert(.write) }
        if bits & EPOLLRDHUP.rawValue != 0 { ready.insert(.peerClosed) }
        if bits & (EPOLLERR.rawValue | EPOLLHUP.rawValue) != 0 { ready.insert(.broken) }
        return IOEvent(data: mt_event_data(events + index), ready: ready)
    }

    private func bits(_ interest: Readiness) -> UInt32 {
        var bits: UInt32 = 0
        if interest.contains(.read) { bits |= EPOLLIN.rawValue | EPOLLRDHUP.rawValue }
        if interest.contains(.peerClosed) { bits |= EPOLLRDHUP.rawValue }
        if interest.contains(.write) { bits |= EPOLLOUT.rawValue }
        return bits
    }

    package func add(_ descriptor: Int32, _ interest: Readiness, data: UInt64) -> Int32 {
        mt_epoll_add(epoll, descriptor, bits(interest), data)
    }

    package func modify(_ descriptor: Int32, _ interest: Readiness, data: UInt64) {
        _ = mt_epoll_mod(epoll, descriptor, bits(interest), data)
    }

    package func remove(_ descriptor: Int32) { _ = mt_epoll_del(epoll, descriptor) }

    package func read(_ descriptor: Int32, _ into: UnsafeMutableRawBufferPointer) -> Int {
        while true {
            let n = mt_read(descriptor, into.baseAddress, into.count)
            if n != -Int64(EINTR) { return Int(n) }
        }
    }

    package func write(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
        while true {
            let n = mt_send(descriptor, bytes.baseAddress, bytes.count)
            if n != -Int64(EINTR) { return Int(n) }
        }
    }

    package func shutdownWrite(_ descriptor: Int32) { _ = mt_shutdown_write(descriptor) }

    // The interest set loses a descriptor when its last copy is closed, and ours are never copied.
    package func close(_ descriptor: Int32) { _ = mt_close(descriptor) }

    package func localAddress(_ descriptor: Int32) -> SocketAddress {
        var storage = sockaddr_storage()
        var length: UInt32 = 0
        guard mt_local_address(descriptor, &storage, &length) >= 0 else { return SocketAddress() }
        return SocketAddress(&storage)
    }

    package func peerUserID(_ descriptor: Int32) -> UInt32? {
        let uid = mt_peer_uid(descriptor)
        return uid >= 0 ? UInt32(truncatingIfNeeded: uid) : nil
    }

    package func releaseReserve() {
        if reserve >= 0 { _ = mt_close(reserve) }
        reserve = -1
    }

    package func restoreReserve() {
        if reserve < 0 { reserve = mt_open("/dev/null", O_RDONLY, 0) }
    }
}

// MARK: - Sockets

extension EpollBackend {
    package func listen(_ target: ListenTarget, backlog: Int32) -> Int32 {
        switch target {
        case .inherited(let descriptor):
            _ = mt_no_delay(descriptor)
            let status = mt_set_nonblocking(descriptor)
            return status < 0 ? status : descriptor
        case .inet(let address):
            return listen(inet: address, backlog: backlog)
        case .unix(let path):
            return listen(path: path, backlog: backlog)
        }
    }

    private func listen(inet address: SocketAddress, backlog: Int32) -> Int32 {
        guard let (storage, length) = address.systemForm() else { return -EINVAL }
        let descriptor = mt_socket(address.family == .v6 ? AF_INET6 : AF_INET, Int32(SOCK_STREAM.rawValue))
        guard descriptor >= 0 else { return descriptor }
        _ = mt_reuse_port(descriptor)
        // Accepted sockets inherit it. Without it a reply written in two parts waits for the peer's delayed ACK.
        _ = mt_no_delay(descriptor)
        if address.family == .v6 { _ = mt_v6_only(descriptor) }
        return finish(descriptor, storage, length, backlog)
    }

    private func listen(path: String, backlog: Int32) -> Int32 {
        guard let (storage, length) = SocketAddress.systemForm(path: path) else { return -ENAMETOOLONG }
        let descriptor = mt_socket(AF_UNIX, Int32(SOCK_STREAM.rawValue))
        guard descriptor >= 0 else { return descriptor }
        _ = mt_unlink(path)
        // On Linux the mode of the unbound socket becomes the mode of the file, with no moment of being open to others.
        _ = mt_fchmod(descriptor, 0o600)
        return finish(descriptor, storage, length, backlog)
    }

    private func finish(
        _ descriptor: Int32, _ storage: sockaddr_storage, _ length: UInt32, _ backlog: Int32
    ) -> Int32 {
        var storage = storage
        var status = mt_bind(descriptor, &storage, length)
        if status >= 0 { status = mt_listen(descriptor, backlog) }
        if status < 0 {
            _ = mt_close(descriptor)
            return status
        }
        return descriptor
    }

    package func accept(_ listener: Int32) -> AcceptedSocket {
        var storage = sockaddr_storage()
        var length: UInt32 = 0
        let descriptor = mt_accept(listener, &storage, &length)
        guard descriptor >= 0 else { return AcceptedSocket(descriptor: descriptor, peer: SocketAddress()) }
        return AcceptedSocket(descriptor: descriptor, peer: SocketAddress(&storage))
    }

    package func connect(_ target: ConnectTarget, from source: SocketAddress?) -> Int32 {
        let form: (storage: sockaddr_storage, length: UInt32)?
        let family: Int32
        switch target {
        case .inet(let address):
            form = address.systemForm()
            family = address.family == .v6 ? AF_INET6 : AF_INET
        case .unix(let path):
            form = SocketAddress.systemForm(path: path)
            family = AF_UNIX
        }
        guard let form else { return -EINVAL }
        var storage = form.storage
        let descriptor = mt_socket(family, Int32(SOCK_STREAM.rawValue))
        guard descriptor >= 0 else { return descriptor }
        if family != AF_UNIX { _ = mt_no_delay(descriptor) }
        var status: Int32 = 0
        if let source, let form = source.systemForm() {
            var from = form.storage
            _ = mt_bind_no_port(descriptor)
            status = mt_bind(descriptor, &from, form.length)
        }
        if status >= 0 { status = mt_connect(descriptor, &storage, form.length) }
        // EINTR leaves the connection under way, like EINPROGRESS.
        if status < 0, status != -EINPROGRESS, status != -EINTR {
            _ = mt_close(descriptor)
            return status
        }
        return descriptor
    }

    package func connectResult(_ descriptor: Int32) -> Int32 { mt_socket_error(descriptor) }
}
