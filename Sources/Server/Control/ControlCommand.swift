package import Base
import CEpoll
import Crypto
import Handoff
package import Store
import StoreSQLite

/// Runs a request for the command line: through the daemon's control socket when one is running on the configuration,
/// else on the store itself, held exclusively. Blocking.
package enum ControlCommand {
    package static func run(
        _ request: ControlRequest, _ format: ControlFormat, _ configuration: Configuration,
        into sink: ControlClient.Sink
    ) -> Int32 {
        let socket = configuration.controlSocketPath
        do throws(ControlClient.Failure) {
            return try ControlClient.run(request, format, socketPath: socket, into: sink)
        } catch {
            switch error {
            case .notRunning: return runDirectly(request, format, configuration, into: sink)
            case .notPermitted:
                return complain(
                    "\(socket): permission denied; run as the server's user or root", ExitStatus.permission, sink)
            case .failed(let why): return complain("\(why); see the server's log", ExitStatus.temporary, sink)
            }
        }
    }

    /// Whether a daemon answers on the configuration's control socket.
    package static func isDaemonRunning(_ configuration: Configuration) -> Bool {
        let quiet = ControlClient.Sink(output: { _ in }, complaint: { _ in })
        do throws(ControlClient.Failure) {
            _ = try ControlClient.run(.status, .json, socketPath: configuration.controlSocketPath, into: quiet)
            return true
        } catch {
            return error != .notRunning
        }
    }

    private static func complain(_ text: String, _ status: Int32, _ sink: ControlClient.Sink) -> Int32 {
        sink.complaint(Array("martlet: \(text)\n".utf8))
        return status
    }

    private static func runDirectly(
        _ request: ControlRequest, _ format: ControlFormat, _ configuration: Configuration,
        into sink: ControlClient.Sink
    ) -> Int32 {
        switch request {
        case .reload, .status, .defense, .top:
            return complain(
                "no server is running on \(configuration.controlSocketPath); start one with `martlet serve`",
                ExitStatus.unavailable, sink)
        default: break
        }
        let path = configuration.store.path
        guard access(path, F_OK) == 0 || makesStore(request) else {
            return complain(
                "there is no store at \(path); `martlet init` makes one, or name another configuration with --config",
                ExitStatus.configuration, sink)
        }
        do throws(StoreError) {
            let store = try DirectStore(path: path)
            var status = ExitStatus.success
            if case .storeVerify = request { status = verify(store, sink) }
            let direct = DirectControl(
                service: ControlService(hooks: hooks(configuration)),
                write: { (job) throws(StoreError) in try store.write(job) },
                read: { (job) throws(StoreError) in try store.read(job) })
            return max(status, direct.run(request, format, into: sink))
        } catch .unavailable(.busy) {
            return complain(
                "\(path) is in use by another process that does not answer on \(configuration.controlSocketPath); "
                    + "is a server running with another control.socket?", ExitStatus.temporary, sink)
        } catch {
            return complain(
                openFailure(path, error), access(path, W_OK) == 0 ? ExitStatus.failure : ExitStatus.permission, sink)
        }
    }

    private static func makesStore(_ request: ControlRequest) -> Bool {
        if case .domainAdd = request { true } else { false }
    }

    private static func openFailure(_ path: String, _ error: StoreError) -> String {
        if access(path, W_OK) != 0 {
            return "\(path): cannot be written; run as the server's user, or choose another store.path"
        }
        return ControlAnswer(error, "store \(path)").complaint
    }

    /// What only a store that is not in use can be asked: the database's own check.
    private static func verify(_ store: DirectStore, _ sink: ControlClient.Sink) -> Int32 {
        do throws(StoreError) {
            let report = try store.verify()
            for problem in report.problems { sink.complaint(Array("\(problem)\n".utf8)) }
            return report.problems.isEmpty ? ExitStatus.success : ExitStatus.problemsFound
        } catch {
            return complain(ControlAnswer(error, "store").complaint, ExitStatus.failure, sink)
        }
    }

    private static func hooks(_ configuration: Configuration) -> ControlHooks {
        var hooks = ControlHooks(
            reload: { _ in .failed("no server is running", ExitStatus.unavailable) }, status: { [] },
            hostname: { configuration.hostname }, now: { SystemTime().wall() },
            certificateKeys: { ControlHooks.certificateKeys(configuration.certificateFiles) })
        hooks.ledgerPath = configuration.ledgerPath
        hooks.defense.filterNames = { configuration.milterNames }
        hooks.poison.folder = configuration.poisonFolder
        return hooks
    }
}

/// What the store keeps of a new password. Slow on purpose: on the command line or a worker thread, never on a reactor.
package enum NewCredentials {
    /// nil: no such password can be kept (empty, a NUL, or over 511 octets).
    package static func make(_ password: Secret) -> Credentials? {
        var random = SystemRandom()
        guard !password.bytes.isEmpty, let hash = PasswordHash.make(password, using: &random),
            let keys = SCRAMCredentials.derive(password, salt: random.bytes(16))
        else { return nil }
        return Credentials(
            passwordHash: hash,
            scram: ScramVerifier(
                salt: keys.salt, iterations: keys.iterations, storedKey: keys.storedKey, serverKey: keys.serverKey))
    }
}
