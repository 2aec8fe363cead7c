import Base
import CEpoll
import Crypto
import Delivery
import Handoff
import Ledger
import MailAuth
import Policy
import Protocols
import Reactor
import Store
import Telemetry

/// Everything that sends mail: scheduler, workers, the policies of other domains. Made and stopped by `Daemon`; what loops
/// need of it is `Sendable`.
final class DeliveryService: Sendable {
    let scheduler: QueueScheduler
    let forwarding: SRS?
    private let planner: PlanDriver
    private let policies: STSPolicyService
    private let workers: DeliveryWorkerGroup
    private let notices: DeliveryNotices

    struct Parts {
        let gateway: StoreGateway
        let directory: DirectoryPublisher
        let resolver: any DNSResolver
        let ledger: LedgerWriter?
        let metrics: ServerMetrics
        let log: Log
    }

    init(_ configuration: Configuration, _ parts: Parts) throws {
        let log = parts.log
        let forwarding = SRS(keys: [try ForwarderKey.load(configuration)])
        self.forwarding = forwarding
        var factory = DSNFactory(hostname: Array(configuration.hostname.utf8))
        factory.forwarding = forwarding
        notices = DeliveryNotices(factory: factory, directory: parts.directory, log: log)
        var options = STSPolicyService.Options()
        let settings = DeliverySettings(configuration)
        options.access = settings.fetch
        options.note = { DeliveryLog.policy($0, log) }
        policies = STSPolicyService(
            resolver: parts.resolver, storage: StoredPolicies(gateway: parts.gateway, log: log), options: options,
            wall: { SystemTime().wall() })
        let random = SystemRandom()
        planner = PlanDriver(
            resolver: parts.resolver, sts: policies, rules: try configuration.startRules(),
            seed: random.bytes(8).reduce(0) { $0 << 8 | UInt64($1) })
        let owner = random.bytes(7).reduce(Int64(0)) { $0 << 8 | Int64($1) } | 1
        scheduler = QueueScheduler(
            owner: LeaseOwner(rawValue: owner), gateway: parts.gateway,
            configuration: settings.scheduler)
        let scheduler = scheduler
        let workerOptions = try settings.workerOptions(helloName: factory.hostname)
        do throws(IOError) {
            workers = try DeliveryWorkerGroup.start(
                count: configuration.delivery.queueWorkers, options: workerOptions, planner: planner,
                gateway: parts.gateway, observer: parts.metrics.delivery, report: { scheduler.report($0) })
        } catch {
            throw StartupError.unavailable("delivery workers: \(error)")
        }
        scheduler.start(
            rules: Self.rules(settings, parts, notices),
            workers: workers.handles.map { handle in { handle.submit($0) } },
            observer: QueueObserver(metrics: parts.metrics.queue, log: log))
    }

    private static func rules(_ settings: DeliverySettings, _ parts: Parts, _ notices: DeliveryNotices) -> OutcomeRules
    {
        let ledger = parts.ledger
        let log = parts.log
        return OutcomeRules(
            settings.times,
            notice: { (notice, session) throws(StoreError) in try notices.make(notice, session) },
            remember: { attempts in
                for attempt in attempts {
                    DeliveryLog.attempt(attempt, log)
                    ledger?.record(LedgerRecord.attempt(attempt).encoded())
                }
            })
    }

    /// The report that mailboxes here have taken the message, when its sender asked for it.
    func deliveredReport(_ notice: DeliveryNotice, original: [UInt8]) -> AcceptRequest? {
        notices.make(notice, original)
    }

    /// What `queue …` commands ask of the running process.
    var controlHooks: ControlQueueHooks {
        var out = ControlQueueHooks()
        let scheduler = scheduler
        let notices = notices
        out.owner = scheduler.gate.owner
        out.changed = { scheduler.noteChanged($0) }
        out.notice = { (notice, session) throws(StoreError) in try notices.make(notice, session) }
        out.status = {
            let answer = Awaited<SchedulerStatus>()
            guard scheduler.status({ answer.give($0) }) else { return nil }
            return answer.wait(seconds: Self.statusSeconds)
        }
        return out
    }

    /// A scheduler that needs longer is too busy to be asked.
    private static let statusSeconds = 2.0

    /// What a reload needs of files; nothing has changed yet.
    struct Prepared {
        fileprivate let rules: DeliveryRules
        fileprivate let workers: DeliveryWorkerOptions
    }

    func prepare(_ configuration: Configuration, _ settings: DeliverySettings) throws(StartupError) -> Prepared {
        Prepared(
            rules: try configuration.startRules(),
            workers: try settings.workerOptions(helloName: Array(configuration.hostname.utf8)))
    }

    /// Called by the main thread only; may block. The parts that do not take it.
    func follow(_ settings: DeliverySettings, _ prepared: Prepared) -> [String] {
        planner.update(prepared.rules)
        var deaf: [String] = []
        if !policies.configure(settings.fetch) { deaf.append("mta-sts") }
        if !scheduler.configure(settings.scheduler, settings.times) { deaf.append("queue") }
        // Last: they look destinations up anew.
        if !workers.configure(prepared.workers) { deaf.append("delivery workers") }
        return deaf
    }

    /// Transactions under way may end; everything else is given back to the queue. The store must still run.
    func stop(graceSeconds: Double) {
        scheduler.gate.close()
        workers.stop(graceSeconds: graceSeconds)
        scheduler.stop()
        policies.stop()
    }
}

/// Log lines of delivery.
enum DeliveryLog {
    /// One line a recipient: what became of it at one host.
    static func attempt(_ attempt: AttemptRecord, _ log: Log) {
        for recipient in attempt.recipients {
            switch recipient.result {
            case .delivered(let code, let text):
                line("delivered", attempt, recipient, log) {
                    $0.add("reply", Int(code))
                    $0.add("text", text)
                }
            case .failed(let failure): line(event(failure), attempt, recipient, log) { fields(failure, &$0) }
            case .passedOn(let failure): line("host_passed_over", attempt, recipient, log) { fields(failure, &$0) }
            }
        }
    }

    private static func event(_ failure: DeliveryFailure) -> StaticString {
        failure.permanence == .permanent ? "undeliverable" : "deferred"
    }

    private static func line(
        _ event: StaticString, _ attempt: AttemptRecord, _ recipient: AttemptRecord.Recipient, _ log: Log,
        _ more: (inout LogLine) -> Void
    ) {
        log.info(event) {
            $0.add("id", attempt.message.text)
            $0.add("to", recipient.address)
            $0.add("host", attempt.host)
            $0.add("address", attempt.address)
            if let tls = attempt.tls { $0.add("tls", tls.version.isEmpty ? Array("none".utf8) : tls.version) }
            more(&$0)
        }
    }

    private static func fields(_ failure: DeliveryFailure, _ line: inout LogLine) {
        if let code = failure.code { line.add("reply", Int(code)) }
        line.add("source", failure.source.rawValue)
        line.add("text", failure.text)
    }

    static func policy(_ note: STSPolicyService.Note, _ log: Log) {
        switch note {
        case .fetched(let domain, let id, let mode):
            log.info("mta_sts_policy") {
                $0.add("domain", domain)
                $0.add("policy_id", id)
                $0.add("mode", mode.rawValue)
            }
        case .failed(let domain, let result, let detail, let hasCached):
            log.warning("mta_sts_failed") {
                $0.add("domain", domain)
                $0.add("result", result.rawValue)
                $0.add("detail", detail)
                $0.add("cached", hasCached ? "yes" : "no")
            }
        }
    }
}
