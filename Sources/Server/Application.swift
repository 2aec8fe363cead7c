import Base
import CEpoll
import Crypto
import Handoff
import Policy
import Protocols
import Reactor
import Store
import StoreSQLite
import Synchronization
import Telemetry

/// The composition root: names the concrete back-ends, builds everything, starts the threads, waits for signals.
package enum Application {
    package static let version = "0.1.0"

    /// Free memory at the top of the heap that is not given back to the system.
    static let heapKept: Int32 = 64 << 20

    // sysexits(3)
    private static let unavailable: Int32 = 69
    private static let software: Int32 = 70

    /// Runs the daemon until SIGTERM or SIGINT; the exit status.
    package static func serve(_ loaded: LoadedConfiguration) -> Int32 {
        mt_ignore_sigpipe()
        _ = mt_raise_nofile()
        mt_tune_heap(heapKept)
        let log = Log(
            level: loaded.configuration.logging.level.logLevel, format: loaded.configuration.logging.logFormat)
        // Before any thread starts: a thread inherits the mask.
        guard let signals = try? Signals([SIGTERM, SIGINT, SIGHUP]) else { return software }
        let logThread = LogThread.start(log)
        defer { logThread.stop() }
        do {
            let daemon = try Daemon(loaded, log: log)
            defer { daemon.stop() }
            daemon.announceReady()
            waitForSignals(signals, daemon)
            return 0
        } catch let error as StartupError {
            log.error("cannot_start") { $0.add("reason", error.description) }
            return error.exitCode
        } catch {
            log.error("cannot_start") { $0.add("reason", "\(error)") }
            return unavailable
        }
    }

    private static func waitForSignals(_ signals: Signals, _ daemon: Daemon) {
        while true {
            switch signals.next() {
            case SIGHUP: daemon.reload()
            case SIGTERM, SIGINT:
                let stop = StopRequest(SystemTime().monotonic())
                daemon.drain(until: {
                    guard signals.wait(milliseconds: 20) else { return false }
                    return stop.isInsistedOn(by: signals.next(), SystemTime().monotonic())
                })
                return
            default: return
            }
        }
    }
}

/// A stop that was asked for, and whether somebody wants it at once. A terminal or a service manager signals the server and
/// its supervisor, which passes it on: the same request comes twice. Pure.
struct StopRequest {
    static let echoSeconds = 2.0
    private let asked: Instant

    init(_ asked: Instant) { self.asked = asked }

    /// Whether `signal` ends the wait for transactions under way.
    func isInsistedOn(by signal: Int32, _ now: Instant) -> Bool {
        guard signal == SIGTERM || signal == SIGINT else { return false }
        return now.seconds(since: asked) >= Self.echoSeconds
    }
}

/// Why the daemon did not start, with the exit status that says so.
struct StartupError: Error, CustomStringConvertible {
    let description: String
    let exitCode: Int32

    static func configuration(_ text: String) -> StartupError { StartupError(description: text, exitCode: 78) }
    static func unavailable(_ text: String) -> StartupError { StartupError(description: text, exitCode: 69) }
    static func temporary(_ text: String) -> StartupError { StartupError(description: text, exitCode: 75) }
}

extension Configuration.Logging.Level {
    var logLevel: LogLevel {
        switch self {
        case .debug: .debug
        case .info: .info
        case .notice: .notice
        case .warning: .warning
        case .error: .error
        }
    }
}

extension Configuration.Logging {
    var logFormat: LogFormat { format == .json ? .json : .text }
}
