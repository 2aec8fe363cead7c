package import Base
import CEpoll
import Handoff
import Reactor
import Telemetry

/// The small parent of `martlet supervise`: it opens the SMTP listeners, keeps them, and runs `serve` with them. When that
/// dies, it is started again at once, and who connects meanwhile waits in the backlog instead of being refused.
///
/// One thread that waits for signals and nothing else: what the parent does not do cannot end it.
package enum Supervisor {
    /// Runs until a signal or the server's own end; the exit status. `arguments` are those of the server, its name first.
    package static func run(_ loaded: LoadedConfiguration, arguments: [String], environment: [String]) -> Int32 {
        let output = SupervisorLog(loaded.configuration.logging)
        _ = mt_raise_nofile()
        // Before anything is started: they come as values.
        guard let signals = try? Signals([SIGTERM, SIGINT, SIGHUP, SIGCHLD]) else { return ExitStatus.failure }
        var sockets: [Int32] = []
        defer { for socket in sockets { _ = mt_close(socket) } }
        do {
            try open(loaded.configuration, into: &sockets)
        } catch {
            output.line(.error, "cannot_listen") { $0.add("reason", "\(error)") }
            return (error as? StartupError)?.exitCode ?? ExitStatus.unavailable
        }
        let child = SupervisedChild(
            arguments: arguments, environment: Self.environment(environment, sockets: sockets.count))
        let status = SupervisorLoop(child, signals, output).run(&sockets)
        return status
    }

    /// In the order of the configuration: the server takes them by their place.
    private static func open(_ configuration: Configuration, into sockets: inout [Int32]) throws {
        let inherited = try ServiceManager.inheritedListeners(for: configuration)
        let backend = try EpollBackend()
        for (listener, socket) in zip(configuration.smtp.listeners, inherited) {
            var fd = socket ?? -1
            if fd < 0 {
                switch listener.address {
                case .inet(let address):
                    fd = backend.listen(.inet(try address.socketAddress()), backlog: backlog)
                    guard fd >= 0 else { throw IOError("listen on \(listener.address)", -fd) }
                case .unix(let path): fd = try UnixListener.open(path, listener.mode)
                }
            }
            let kept = mt_keep_descriptor(fd)
            _ = mt_close(fd)
            guard kept >= 0 else { throw IOError("keep \(listener.address)", -kept) }
            sockets.append(kept)
        }
    }

    private static let backlog: Int32 = 4_096

    /// For the server: it ends, as on SIGTERM, when its supervisor does. False: that has ended already.
    package static func follow() -> Bool {
        guard let parent = ServiceManager.supervisor else { return true }
        // Against the id that it gave: asked for here, the parent may be another already.
        return mt_die_with_parent(parent, SIGTERM) == 0
    }

    /// What the server is told besides what it inherits. systemd's LISTEN_PID cannot be known before the start.
    static func environment(_ inherited: [String], sockets: Int) -> [String] {
        let ours = [
            "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", ServiceManager.socketsName, ServiceManager.parentName,
        ]
        // Swift's own report of a crash takes seconds, in which nobody is served; who wants it says so.
        let backtrace = inherited.contains { $0.hasPrefix("SWIFT_BACKTRACE=") } ? [] : ["SWIFT_BACKTRACE=enable=no"]
        return inherited.filter { entry in !ours.contains { entry.hasPrefix($0 + "=") } } + backtrace + [
            "LISTEN_FDS=\(sockets)", "\(ServiceManager.socketsName)=\(sockets)",
            "\(ServiceManager.parentName)=\(getpid())",
        ]
    }
}

/// How a server ended, or that none could be started.
package enum ServerEnd: Sendable, Equatable {
    case exited(Int32)
    case died(signal: Int32)
    case notStarted(error: Int32)
}

/// When a server that ended is started again: one that died at once, but not more often than five times in ten seconds. What
/// keeps a server from its start passes, once one has run here: the sockets are not given up for it. Pure.
package struct RestartPacing: Sendable {
    static let deathsMax = 5
    static let windowSeconds = 10.0
    static let pauseSeconds = 5.0
    /// EX_UNAVAILABLE, EX_SOFTWARE (no descriptor for signals) and EX_TEMPFAIL of sysexits(3).
    static let passing: Set<Int32> = [69, 70, 75]
    private var deaths: [Instant] = []
    private var hasRun = false

    package init() {}

    /// Seconds to wait before the next start; nil: there is none.
    package mutating func pause(after end: ServerEnd, _ now: Instant) -> Double? {
        switch end {
        case .died:
            hasRun = true
            return died(now)
        case .exited(let status): return hasRun && Self.passing.contains(status) ? Self.pauseSeconds : nil
        case .notStarted: return hasRun ? Self.pauseSeconds : nil
        }
    }

    /// Seconds to wait before the next start.
    package mutating func died(_ now: Instant) -> Double {
        deaths.removeAll { now.seconds(since: $0) >= Self.windowSeconds }
        deaths.append(now)
        guard deaths.count >= Self.deathsMax else { return 0 }
        deaths.removeAll()
        return Self.pauseSeconds
    }
}

/// The server as its parent knows it. Owned by `SupervisorLoop`.
struct SupervisedChild {
    let arguments: [String]
    let environment: [String]

    /// The id, or -errno.
    func start(_ sockets: [Int32]) -> Int32 {
        let (argv, envp) = (CStrings(arguments), CStrings(environment))
        return argv.withPointer { a in
            envp.withPointer { e in mt_spawn_self(a, e, sockets, Int32(sockets.count)) }
        }
    }
}

/// Strings as `execve` wants them; freed with their owner.
private final class CStrings {
    private var pointers: [UnsafeMutablePointer<CChar>?]

    init(_ texts: [String]) { pointers = texts.map { strdup($0) } + [nil] }
    deinit { for pointer in pointers { free(pointer) } }

    func withPointer<R>(_ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> R) -> R {
        withExtendedLifetime(self) {
            pointers.withUnsafeBufferPointer { buffer in
                // Never empty: it ends with nil.
                guard let start = buffer.baseAddress else { preconditionFailure("no strings") }
                return body(start)
            }
        }
    }
}

/// Waits for signals; starts the server again when it died, passes on what it is told. Confined to the main thread.
struct SupervisorLoop {
    private let child: SupervisedChild
    private let signals: Signals
    private let output: SupervisorLog
    private var pacing = RestartPacing()
    private var pid: Int32 = 0
    private var isStopping = false
    private var restarts = 0

    init(_ child: SupervisedChild, _ signals: Signals, _ output: SupervisorLog) {
        self.child = child
        self.signals = signals
        self.output = output
    }

    consuming func run(_ sockets: inout [Int32]) -> Int32 {
        while true {
            let end = runOnce(&sockets)
            let seconds = isStopping ? nil : pacing.pause(after: end, SystemTime().monotonic())
            guard let seconds else { return Self.status(end) }
            restarts += 1
            tell(end, seconds)
            guard pause(seconds) else { return ExitStatus.success }
        }
    }

    private mutating func runOnce(_ sockets: inout [Int32]) -> ServerEnd {
        pid = child.start(sockets)
        let started = pid
        guard started > 0 else {
            output.line(.error, "cannot_start") { $0.add("reason", String(cString: strerror(-started))) }
            return .notStarted(error: -started)
        }
        output.line(.notice, "started") { $0.add("pid", Int(started)) }
        return watch(&sockets)
    }

    private static func status(_ end: ServerEnd) -> Int32 {
        switch end {
        case .exited(let status): status
        case .died(let signal): 128 + signal
        case .notStarted: ExitStatus.unavailable
        }
    }

    private func tell(_ end: ServerEnd, _ seconds: Double) {
        let count = restarts
        output.line(.error, "server_died") {
            switch end {
            case .died(let signal): $0.add("signal", SignalName.of(signal))
            case .exited(let status): $0.add("status", Int(status))
            case .notStarted(let error): $0.add("reason", String(cString: strerror(error)))
            }
            $0.add("restarts", count)
            $0.add("pause", seconds: seconds)
        }
    }

    /// Until the server has ended.
    private mutating func watch(_ sockets: inout [Int32]) -> ServerEnd {
        while true {
            switch signals.next() {
            case SIGCHLD:
                if let end = reap() { return end }
            case SIGHUP: _ = kill(pid, SIGHUP)
            case let signal:
                isStopping = true
                // Nobody is to wait in a backlog that is never emptied.
                for socket in sockets { _ = mt_close(socket) }
                sockets = []
                _ = kill(pid, signal)
            }
        }
    }

    private func reap() -> ServerEnd? {
        var (status, signal): (Int32, Int32) = (0, 0)
        guard mt_reap(pid, &status, &signal) != 0 else { return nil }
        return signal == 0 ? .exited(status) : .died(signal: signal)
    }

    /// False: told to stop meanwhile.
    private func pause(_ seconds: Double) -> Bool {
        let end = SystemTime().monotonic().advanced(bySeconds: seconds)
        while SystemTime().monotonic() < end {
            let left = end.seconds(since: SystemTime().monotonic())
            guard signals.wait(milliseconds: Int32(min(1_000, left * 1_000 + 1))) else { continue }
            let told = signals.next()
            if told == SIGTERM || told == SIGINT { return false }
        }
        return true
    }
}

/// Lines like the server's own, written on the spot: the parent has no log thread.
struct SupervisorLog {
    private let level: LogLevel
    private let format: LogFormat

    init(_ settings: Configuration.Logging) {
        level = settings.level.logLevel
        format = settings.logFormat
    }

    func line(_ level: LogLevel, _ event: StaticString, _ fields: (inout LogLine) -> Void) {
        guard level >= self.level else { return }
        var line = LogLine(format, level, event, microseconds: mt_wall_us())
        line.add("process", "supervisor")
        fields(&line)
        _ = line.finish().withUnsafeBytes { mt_write(2, $0.baseAddress, $0.count) }
    }
}
