import CEpoll

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

    /// Listening sockets passed in at start: descriptors 3 and on, when `LISTEN_PID` is this process or the parent is our
    /// supervisor.
    static func inheritedListeners() -> [Int32] {
        let isForUs = environmentInteger("LISTEN_PID") == Int(getpid())
        guard let count = environmentInteger(hasSupervisor ? socketsName : "LISTEN_FDS"), hasSupervisor || isForUs,
            (1...64).contains(count)
        else { return [] }
        return (0..<count).map { Int32(3 + $0) }
    }

    /// Whether the parent process is the supervisor that the environment names; a grandchild's is not.
    static var hasSupervisor: Bool { environmentInteger(parentName) == Int(getppid()) }

    /// The environment names a supervisor, which may be gone.
    static var wasSupervised: Bool { environmentInteger(parentName) != nil }

    private static func environmentInteger(_ name: String) -> Int? {
        getenv(name).flatMap { Int(String(cString: $0)) }
    }
}
