import CEpoll
import Reactor

/// Makes the Unix socket of a listener: there is one for all loops, because they share what has a path.
enum UnixListener {
    private static let backlog: Int32 = 4_096

    /// Opens what is not inherited and has a path; the rest stays for each loop to open for itself.
    static func open(_ listeners: [Configuration.Listener], inherited: [Int32?]) throws -> [Int32?] {
        try zip(listeners, inherited).map { listener, socket in
            guard socket == nil, case .unix(let path) = listener.address else { return socket }
            return try open(path, listener.mode)
        }
    }

    /// The descriptor. A socket that nobody listens on any more is replaced; anything else is not touched.
    static func open(_ path: String, _ mode: Configuration.Listener.SocketMode) throws -> Int32 {
        guard mt_is_socket(path) != 0 else {
            throw StartupError.configuration("\(path) is there and no socket; remove it or choose another path")
        }
        let answer = mt_unix_answers(path)
        guard answer != 1 else {
            throw StartupError.unavailable("\(path) is in use: another server listens there")
        }
        guard answer == 0 else { throw IOError("see whether somebody listens on unix:\(path)", -answer) }
        let fd = try EpollBackend().listen(.unix(path: path), backlog: backlog)
        guard fd >= 0 else { throw IOError("listen on unix:\(path)", -fd) }
        // It was born for its owner alone.
        let status = mt_chmod(path, mode.bits)
        guard status >= 0 else {
            _ = mt_close(fd)
            throw IOError("set the mode of \(path)", -status)
        }
        return fd
    }
}
