import Base
import Handoff
import Reactor
import Synchronization

struct SinkPlan: Sendable {
    var listen: SocketAddress
    var script: SinkScript
    var tls: TLSContext?
    var isImplicitTLS: Bool
    var ledger: LedgerWriter?
    var seed: UInt64
}

/// The sink's counts; copied to the main thread now and then.
struct SinkCounters: Sendable {
    var connections = 0
    var handshakes = 0
    var messages = 0
    var recipients = 0
    var bytes = 0
    /// Times the script did something.
    var scripted = 0
}

/// The sink's one thread. Thread-confined.
final class SinkWorker {
    let plan: SinkPlan
    let reactor: Reactor
    var counters = SinkCounters()
    var random: Seeded
    private let progress: LoadProgress
    private let published: SinkPublished
    private var waiting: [UInt32: SinkDriver] = [:]
    private var nextNumber: UInt32 = 0

    init(_ plan: SinkPlan, progress: LoadProgress, published: SinkPublished) throws {
        self.plan = plan
        self.progress = progress
        self.published = published
        random = Seeded(seed: plan.seed)
        var limits = ReactorLimits()
        limits.connections = 65_536
        reactor = Reactor(io: try EpollBackend(), time: SystemTime(), limits: limits)
    }

    func run() throws {
        progress.handles.withLock { $0[0] = reactor.handle }
        reactor.turnHook = { [unowned self] _ in afterTurn() }
        let bound = try reactor.listen(.inet(plan.listen)) { [unowned self] _ in SinkDriver(self) }
        publish()
        Console.error("listening on \(bound)\n")
        reactor.run()
        publish()
    }

    private func publish() {
        published.counters.withLock { $0 = counters }
        reactor.after(0.1) { [unowned self] in publish() }
    }

    private func afterTurn() {
        guard let ledger = plan.ledger else { return }
        while let mark = ledger.nextDurable(0) { waiting.removeValue(forKey: mark.number)?.ledgerIsDurable() }
    }

    func keep(_ line: [UInt8], for driver: SinkDriver) {
        nextNumber &+= 1
        waiting[nextNumber] = driver
        plan.ledger?.post(line, worker: 0, mark: DurableMark(client: 0, number: nextNumber))
    }
}

/// What the main thread reads.
final class SinkPublished: Sendable {
    let counters = Mutex(SinkCounters())
}
