import CEpoll
import Reactor

/// The service manager's side of the process: readiness messages and sockets handed over, by systemd's documented
/// protocols, or by `Supervisor`. Without either every call does nothing.
enum ServiceManager {
    /// Sends `state` (`READY=1`, `STOPPING=1`, `RELOADING=1`…) to the socket of `NOTIFY_SOCKET`.
    static func notify(_ state: String) {
        guard let path = getenv("NOTIFY_SOCKET").map({ String(cString: $0) }), !path.isEmpty else { return }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        var bytes = Array(path.utf8)
        guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else { return }
        // An abstract socket is written with @ for the leading NUL.
        if bytes.first == UInt8(ascii: "@") { bytes[0] = 0 }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let fd = mt_socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue))
        guard fd >= 0 else { return }
        defer { _ = mt_close(fd) }
        let length = socklen_t(MemoryLayout<sa_family_t>.size + bytes.count)
        let sent = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr_storage.self, capacity: 1) { mt_connect(fd, $0, length) }
        }
        guard sent == 0 else { return }
        _ = Array(state.utf8).withUnsafeBytes { mt_send(fd, $0.baseAddress, $0.count) }
    }

    /// How many sockets `Supervisor` hands over, and its process id.
    static let socketsName = "MARTLET_LISTEN_FDS"
    static let parentName = "MARTLET_SUPERVISOR"

    /// For each listener of the configuration the socket that was passed in for it at start, nil where it is to be opened
    /// here. They are descriptors 3 and on, when `LISTEN_PID` is this process or the parent is our supervisor, and belong
    /// to the listener whose address they have, whatever their order. One that is nobody's is refused: mail would be
    /// waited for where nobody expects it, or not where it is expected.
    static func inheritedListeners(for configuration: Configuration) throws -> [Int32?] {
        var out = [Int32?](repeating: nil, count: configuration.smtp.listeners.count)
        var given: [(fd: Int32, address: SocketAddress)] = []
        for fd in try inheritedDescriptors() {
            if let address = listeningAddress(fd) {
                given.append((fd, address))
                continue
            }
            guard let path = listeningPath(fd) else {
                throw StartupError.configuration("the inherited descriptor \(fd) is no listening TCP or Unix socket")
            }
            guard let index = configuration.smtp.listeners.firstIndex(where: { $0.address == .unix(path: path) }),
                out[index] == nil
            else { throw StartupError.configuration("no listener of the configuration is for the inherited \(path)") }
            out[index] = fd
        }
        let inet = configuration.smtp.listeners.indices.filter {
            configuration.smtp.listeners[$0].address.inet != nil
        }
        let wanted = try inet.compactMap { try configuration.smtp.listeners[$0].address.inet?.socketAddress() }
        for (index, fd) in zip(inet, try match(wanted, given, byPosition: !hasSupervisor)) { out[index] = fd }
        return out
    }

    /// The path of a listening Unix socket; nil: it is none, or has no path.
    static func listeningPath(_ fd: Int32) -> String? {
        guard isListening(fd) else { return nil }
        var storage = sockaddr_storage()
        var length: UInt32 = 0
        guard mt_local_address(fd, &storage, &length) >= 0, storage.ss_family == sa_family_t(AF_UNIX) else {
            return nil
        }
        return withUnsafeBytes(of: &storage) { raw in
            let name = raw[2..<max(2, min(Int(length), raw.count))].prefix { $0 != 0 }
            return name.isEmpty ? nil : String(decoding: name, as: UTF8.self)
        }
    }

    private static func isListening(_ fd: Int32) -> Bool {
        var isListening: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &isListening, &size) == 0 && isListening != 0
    }

    /// Port 0 stands for any port of its address. `byPosition`: what nobody names goes to a listener of its port, then to
    /// those that are left, in order: a service manager's `ListenStream=25` is `[::]:25`, whatever the configuration says.
    /// Pure.
    static func match(
        _ wanted: [SocketAddress], _ given: [(fd: Int32, address: SocketAddress)], byPosition: Bool = false
    ) throws -> [Int32?] {
        var out = [Int32?](repeating: nil, count: wanted.count)
        let isSame = { (a: SocketAddress, b: SocketAddress) in a.addressBytes == b.addressBytes && a.port == b.port }
        var left = given
        // Who names a port comes before who takes any.
        for anyPort in [false, true] {
            for (index, address) in wanted.enumerated() where out[index] == nil && (address.port == 0) == anyPort {
                let found = left.firstIndex {
                    anyPort ? $0.address.addressBytes == address.addressBytes : isSame($0.address, address)
                }
                if let found { out[index] = left.remove(at: found).fd }
            }
        }
        if byPosition {
            for samePort in [true, false] {
                for (index, address) in wanted.enumerated() where out[index] == nil {
                    let found = left.firstIndex { !samePort || $0.address.port == address.port }
                    if let found { out[index] = left.remove(at: found).fd }
                }
            }
        }
        guard left.isEmpty else {
            let strange = left.map { "\($0.address)" }.joined(separator: ", ")
            throw StartupError.configuration(
                "no listener of the configuration is for the inherited sockets at \(strange); "
                    + "smtp.listeners and the service manager's sockets must name the same addresses")
        }
        return out
    }

    /// More are a mistake.
    private static let inheritedMax = 1_024

    private static func inheritedDescriptors() throws -> [Int32] {
        let isForUs = environmentInteger("LISTEN_PID") == Int(getpid())
        guard hasSupervisor || isForUs else { return [] }
        guard let text = environmentText(hasSupervisor ? socketsName : "LISTEN_FDS") else { return [] }
        guard let count = Int(text), (0...inheritedMax).contains(count) else {
            throw StartupError.configuration("\(text) is not a number of inherited sockets up to \(inheritedMax)")
        }
        return (0..<count).map { Int32(3 + $0) }
    }

    /// nil: it is no listening socket of TCP.
    static func listeningAddress(_ fd: Int32) -> SocketAddress? {
        guard isListening(fd) else { return nil }
        var storage = sockaddr_storage()
        var length: UInt32 = 0
        guard mt_local_address(fd, &storage, &length) >= 0 else { return nil }
        return withUnsafeBytes(of: &storage) { raw in
            let family = raw.loadUnaligned(as: sa_family_t.self)
            let port = UInt16(bigEndian: raw.loadUnaligned(fromByteOffset: 2, as: UInt16.self))
            // sin_addr is at offset 4, sin6_addr at 8.
            switch Int32(family) {
            case AF_INET: return SocketAddress(bytes: Array(raw[4..<8]), port: port)
            case AF_INET6: return SocketAddress(bytes: Array(raw[8..<24]), port: port)
            default: return nil
            }
        }
    }

    /// The process id of the supervisor that the environment names, which may be gone.
    static var supervisor: Int32? { environmentInteger(parentName).map { Int32(clamping: $0) } }

    /// Whether the parent process is that one; a grandchild's is not.
    static var hasSupervisor: Bool { supervisor == getppid() }

    private static func environmentText(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

    private static func environmentInteger(_ name: String) -> Int? { environmentText(name).flatMap { Int($0) } }
}
