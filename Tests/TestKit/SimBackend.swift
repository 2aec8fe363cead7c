import CEpoll
package import Reactor

/// The sockets of a simulation: which port leads to which listener. Shared by the backends of all simulated reactors; one
/// thread steps them all.
package final class SimNetwork {
    fileprivate struct Listening {
        unowned let backend: SimBackend
        let descriptor: Int32
    }
    fileprivate var listeners: [String: Listening] = [:]
    fileprivate var nextDescriptor: Int32 = 1_000
    fileprivate var nextPort: UInt16 = 40_000

    package init() {}

    /// Connects a scripted peer to whoever listens on `port`; nil when nobody does.
    package func dial(port: UInt16, from: SocketAddress = SocketAddress(ip: "192.0.2.1", port: 50_000)!) -> SimPeer? {
        guard let listening = listeners["port \(port)"] else { return nil }
        let (near, far) = SimSocket.pair()
        near.peerAddress = from
        listening.backend.enqueue(near, on: listening.descriptor)
        return SimPeer(far)
    }

    fileprivate static func key(_ target: ConnectTarget) -> String {
        switch target {
        case .inet(let address): "port \(address.port)"
        case .unix(let path): "path \(path)"
        }
    }
}

/// One end of a simulated stream.
package final class SimSocket {
    var inbound: [UInt8] = []
    var ended = false
    /// errno value every read and write of this end gives.
    var failure: Int32 = 0
    /// Most bytes one read gives.
    package var readChunk = Int.max
    /// Most bytes that wait unread at this end before the other's writes block.
    package var capacity = Int.max
    /// Both ends live until one is closed; a simulation is short.
    var other: SimSocket?
    var isClosed = false
    var peerAddress = SocketAddress()
    var data: UInt64 = 0
    var interest: Readiness = []
    var connectFailure: Int32 = 0

    static func pair() -> (SimSocket, SimSocket) {
        let a = SimSocket()
        let b = SimSocket()
        a.other = b
        b.other = a
        return (a, b)
    }

    var ready: Readiness {
        var seen: Readiness = []
        if failure != 0 { seen.insert(.broken) }
        if !inbound.isEmpty || ended { seen.insert(.read) }
        if ended { seen.insert(.peerClosed) }
        if isWritable { seen.insert(.write) }
        return seen.intersection(interest.union([.broken]).union(interest.contains(.read) ? .peerClosed : []))
    }

    func read(_ into: UnsafeMutableRawBufferPointer) -> Int {
        if inbound.isEmpty {
            if failure != 0 { return -Int(failure) }
            return ended ? 0 : -Int(EAGAIN)
        }
        let n = min(into.count, readChunk, inbound.count)
        into.copyBytes(from: inbound[0..<n])
        inbound.removeFirst(n)
        return n
    }

    func write(_ bytes: UnsafeRawBufferPointer) -> Int {
        if failure != 0 { return -Int(failure) }
        guard let other, !other.isClosed else { return -Int(EPIPE) }
        let n = min(bytes.count, max(0, other.capacity - other.inbound.count))
        guard n > 0 else { return -Int(EAGAIN) }
        other.inbound += bytes[0..<n]
        return n
    }

    func close() {
        isClosed = true
        other?.ended = true
    }

    var isWritable: Bool {
        guard let other, !other.isClosed else { return true }
        return other.inbound.count < other.capacity
    }
}

/// A peer played by the test.
package final class SimPeer {
    /// The server's end is reached through it, for chunk sizes and capacities.
    package let socket: SimSocket
    private let far: SimSocket?

    init(_ socket: SimSocket) {
        self.socket = socket
        far = socket.other
    }

    package func send(_ bytes: [UInt8]) { far?.inbound += bytes }
    package func send(_ text: String) { send(Array(text.utf8)) }
    /// Everything that came since the last call.
    package func receive() -> [UInt8] {
        defer { socket.inbound = [] }
        return socket.inbound
    }
    package func receiveText() -> String { String(decoding: receive(), as: UTF8.self) }
    /// Ends our side; the other may still send.
    package func shutdown() { far?.ended = true }
    package func reset(_ code: Int32 = ECONNRESET) {
        far?.inbound = []
        far?.failure = code
    }
    /// The server reads at most so many bytes at a time.
    package func slowReads(_ n: Int) { far?.readChunk = n }
    /// The server's writes block beyond so many unread bytes.
    package func narrow(_ n: Int) { socket.capacity = n }
    /// The other side closed.
    package var isEnded: Bool { socket.ended }
}

/// A reactor's system calls without a system: no socket, no waiting, every event in the order of the descriptors.
package final class SimBackend: IOBackend {
    private let network: SimNetwork
    private var sockets: [Int32: SimSocket] = [:]
    private var pending: [Int32: [SimSocket]] = [:]
    private var listenerWatch: [Int32: (data: UInt64, interest: Readiness)] = [:]
    private var addresses: [Int32: SocketAddress] = [:]
    private var events: [IOEvent] = []
    /// errno values the next accepts give, before anything else.
    package var acceptFailures: [Int32] = []
    package private(set) var reserveReleases = 0
    /// System calls by name, for tests that count them.
    package private(set) var calls: [String: Int] = [:]

    package init(network: SimNetwork = SimNetwork()) { self.network = network }

    package var openSockets: Int { sockets.count }

    private func count(_ call: String) { calls[call, default: 0] += 1 }

    fileprivate func enqueue(_ socket: SimSocket, on listener: Int32) { pending[listener, default: []].append(socket) }

    package func attachWake(_ descriptor: Int32) {}

    package func wait(timeoutMilliseconds: Int32) -> Int {
        events.removeAll()
        for (descriptor, watch) in listenerWatch.sorted(by: { $0.key < $1.key }) {
            if watch.interest.contains(.read), !(pending[descriptor] ?? []).isEmpty {
                events.append(IOEvent(data: watch.data, ready: .read))
            }
        }
        for (_, socket) in sockets.sorted(by: { $0.key < $1.key }) {
            let ready = socket.ready
            if !ready.isEmpty { events.append(IOEvent(data: socket.data, ready: ready)) }
        }
        return events.count
    }

    package func event(_ index: Int) -> IOEvent { events[index] }

    package func add(_ descriptor: Int32, _ interest: Readiness, data: UInt64) -> Int32 {
        count("add")
        if let socket = sockets[descriptor] {
            socket.data = data
            socket.interest = interest
        } else {
            listenerWatch[descriptor] = (data, interest)
        }
        return 0
    }

    package func modify(_ descriptor: Int32, _ interest: Readiness, data: UInt64) {
        count("modify")
        _ = add(descriptor, interest, data: data)
    }

    package func remove(_ descriptor: Int32) {
        sockets[descriptor]?.interest = []
        listenerWatch[descriptor] = nil
    }

    private func newDescriptor() -> Int32 {
        network.nextDescriptor += 1
        return network.nextDescriptor
    }

    package func listen(_ target: ListenTarget, backlog: Int32) -> Int32 {
        let descriptor = newDescriptor()
        var key = ""
        switch target {
        case .inet(var address):
            if address.port == 0 {
                network.nextPort += 1
                address.port = network.nextPort
            }
            addresses[descriptor] = address
            key = "port \(address.port)"
        case .unix(let path): key = "path \(path)"
        case .inherited: return -EINVAL
        }
        network.listeners[key] = SimNetwork.Listening(backend: self, descriptor: descriptor)
        return descriptor
    }

    package func accept(_ listener: Int32) -> AcceptedSocket {
        count("accept")
        if !acceptFailures.isEmpty, !(pending[listener] ?? []).isEmpty {
            return AcceptedSocket(descriptor: -acceptFailures.removeFirst(), peer: SocketAddress())
        }
        guard let socket = pending[listener]?.first else {
            return AcceptedSocket(descriptor: -EAGAIN, peer: SocketAddress())
        }
        pending[listener]?.removeFirst()
        let descriptor = newDescriptor()
        sockets[descriptor] = socket
        return AcceptedSocket(descriptor: descriptor, peer: socket.peerAddress)
    }

    package func connect(_ target: ConnectTarget, from source: SocketAddress?) -> Int32 {
        let descriptor = newDescriptor()
        let (near, far) = SimSocket.pair()
        sockets[descriptor] = near
        far.peerAddress = source ?? SocketAddress(ip: "192.0.2.2", port: 50_000)!
        if let listening = network.listeners[SimNetwork.key(target)] {
            listening.backend.enqueue(far, on: listening.descriptor)
        } else {
            near.connectFailure = ECONNREFUSED
        }
        return descriptor
    }

    package func connectResult(_ descriptor: Int32) -> Int32 {
        guard let socket = sockets[descriptor] else { return -EBADF }
        return -(socket.connectFailure != 0 ? socket.connectFailure : socket.failure)
    }

    package func read(_ descriptor: Int32, _ into: UnsafeMutableRawBufferPointer) -> Int {
        count("read")
        return sockets[descriptor]?.read(into) ?? -Int(EBADF)
    }

    package func write(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
        count("write")
        return sockets[descriptor]?.write(bytes) ?? -Int(EBADF)
    }

    package func shutdownWrite(_ descriptor: Int32) { sockets[descriptor]?.other?.ended = true }

    package func close(_ descriptor: Int32) {
        count("close")
        sockets.removeValue(forKey: descriptor)?.close()
        listenerWatch[descriptor] = nil
        network.listeners = network.listeners.filter { $0.value.descriptor != descriptor }
    }

    package func localAddress(_ descriptor: Int32) -> SocketAddress { addresses[descriptor] ?? SocketAddress() }
    package func peerUserID(_ descriptor: Int32) -> UInt32? { 0 }
    package func releaseReserve() { reserveReleases += 1 }
    package func restoreReserve() {}
}
