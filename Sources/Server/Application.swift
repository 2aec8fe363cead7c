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
    private static let heapKept: Int32 = 64 << 20

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
                daemon.drain(until: { signals.wait(milliseconds: 20) })
                return
            default: return
            }
        }
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
