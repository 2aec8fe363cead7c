/// What a descriptor is watched for, and what was seen.
package struct Readiness: OptionSet, Sendable, Equatable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }
    package static let read = Readiness(rawValue: 1)
    package static let write = Readiness(rawValue: 2)
    /// The peer will send no more. Seen with `read` too; watched for alone by who leaves unread what came before.
    package static let peerClosed = Readiness(rawValue: 4)
    /// Both directions are gone, or the socket failed (seen only).
    package static let broken = Readiness(rawValue: 8)
}

package struct IOEvent: Sendable {
    package let data: UInt64
    package let ready: Readiness

    package init(data: UInt64, ready: Readiness) {
        self.data = data
        self.ready = ready
    }
}

/// Where to listen.
package enum ListenTarget: Sendable, Equatable {
    case inet(SocketAddress)
    /// A Unix stream socket, made with mode 0600; a stale one is replaced.
    case unix(path: String)
    /// A listening descriptor handed over by the service manager.
    case inherited(Int32)
}

/// Where to connect.
package enum ConnectTarget: Sendable, Equatable {
    case inet(SocketAddress)
    case unix(path: String)
}

package struct AcceptedSocket {
    /// Descriptor, or -errno.
    package let descriptor: Int32
    package let peer: SocketAddress

    package init(descriptor: Int32, peer: SocketAddress) {
        self.descriptor = descriptor
        self.peer = peer
    }
}

/// The one seam to the system: `EpollBackend` is real, TestKit's `SimBackend` is not. Calls return a value or -errno, and
/// never block except `wait`. One virtual call is far below one system call, so this is an existential.
package protocol IOBackend: AnyObject {
    /// `descriptor` becoming readable ends `wait`, with `data` of all ones.
    func attachWake(_ descriptor: Int32)
    /// Number of events, to be fetched by `event`; 0 when interrupted or the time ran out. -1 waits for ever.
    func wait(timeoutMilliseconds: Int32) -> Int
    func event(_ index: Int) -> IOEvent

    func add(_ descriptor: Int32, _ interest: Readiness, data: UInt64) -> Int32
    func modify(_ descriptor: Int32, _ interest: Readiness, data: UInt64)
    func remove(_ descriptor: Int32)

    func listen(_ target: ListenTarget, backlog: Int32) -> Int32
    func accept(_ listener: Int32) -> AcceptedSocket
    /// A descriptor whose connection is under way, or -errno.
    func connect(_ target: ConnectTarget, from source: SocketAddress?) -> Int32
    /// 0 when a connection under way is made, else -errno.
    func connectResult(_ descriptor: Int32) -> Int32
    func read(_ descriptor: Int32, _ into: UnsafeMutableRawBufferPointer) -> Int
    func write(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> Int
    func shutdownWrite(_ descriptor: Int32)
    func close(_ descriptor: Int32)

    func localAddress(_ descriptor: Int32) -> SocketAddress
    /// User id of the process behind a Unix socket.
    func peerUserID(_ descriptor: Int32) -> UInt32?
    /// One descriptor is kept back so that a connection can be accepted and refused when they have run out.
    func releaseReserve()
    func restoreReserve()
}
