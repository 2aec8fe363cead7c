import Base
import CEpoll
import Handoff
import Policy
import Protocols
import Store
import Synchronization
import Telemetry

/// Mail that ends the process: who is to blame is read at start, what did it twice is kept from doing it again. Made and
/// stopped by `Daemon`; what loops need of it is `Sendable`.
package final class PoisonService: Sendable {
    let book: PoisonBook
    let intake: PoisonIntake
    let metrics: PoisonMetrics
    let log: Log
    /// What the last run died of.
    let fresh: [DeathRegister.Entry]
    private let reports = Mutex(ReportBudget())

    /// Reads who died before, then lets this run's threads note what they do. Never keeps the server from starting: without
    /// the file it runs as it would without this.
    static func open(_ configuration: Configuration, metrics: PoisonMetrics, log: Log) -> PoisonService {
        let folder = configuration.poisonFolder
        let path = configuration.inProgressPath
        var status = folder.make()
        folder.clean()
        var register = folder.register()
        register.expire(now: SystemTime().wall())
        let entries = register.note(InProgressTable.deaths(path))
        // Before the table is cleared: a death is counted once, and not less.
        if status == 0, !entries.isEmpty { status = folder.write(register) }
        if status == 0 { status = InProgressTable.begin(path) }
        if status < 0 { log.error("in_progress_unavailable") { $0.add("error", String(cString: strerror(-status))) } }
        return PoisonService(folder: folder, register: register, fresh: entries, metrics: metrics, log: log)
    }

    init(
        folder: PoisonFolder, register: DeathRegister, fresh: [DeathRegister.Entry], metrics: PoisonMetrics, log: Log
    ) {
        book = PoisonBook(register)
        intake = PoisonIntake(folder: folder)
        self.fresh = fresh
        self.metrics = metrics
        self.log = log
        intake.start()
        for entry in fresh {
            metrics.deaths.add(PoisonStage(entry.kind))
            log.error("died_of_message") {
                $0.add("stage", entry.kind.name)
                $0.add("signal", SignalName.of(entry.signal))
                $0.add("deaths", entry.deaths)
                $0.add("label", entry.label)
                $0.add("fingerprint", Hex.encode(entry.fingerprint.bytes))
            }
        }
    }

    func stop() { intake.stop() }

    // MARK: Reports

    /// A message `id` for postmaster, through the door that all mail takes. Any thread.
    func tell(
        _ report: PoisonReport, as id: MessageID, hostname: [UInt8], directory: DirectorySnapshot,
        gateway: StoreGateway, now: WallTime
    ) {
        guard reports.withLock({ $0.take(now) }) else { return }
        let log = self.log
        guard let request = report.request(id: id, hostname: hostname, directory: directory, now: now) else {
            return log.warning("poison_report_undeliverable")
        }
        let posted = gateway.accept(request) { result in
            if case .failure(let error) = result { log.error("poison_report_lost") { $0.add("error", "\(error)") } }
        }
        if !posted { log.error("poison_report_lost") { $0.add("error", "the store is busy") } }
    }

    /// Reports of one hour; beyond, the log has to do.
    private struct ReportBudget {
        static let most = 20
        var hour: Int64 = 0
        var sent = 0

        mutating func take(_ now: WallTime) -> Bool {
            if now.seconds / 3_600 != hour {
                hour = now.seconds / 3_600
                sent = 0
            }
            sent += 1
            return sent <= Self.most
        }
    }
}
