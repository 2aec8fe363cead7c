import Base
import Crypto
import Ledger
import Policy
import Protocols
import Reactor
import Store
import Telemetry

/// What every thread of the server may use: made once by `Application`, immutable. By reference, because each message's
/// way to the store and back takes it along.
final class ServerServices: Sendable {
    let hostname: [UInt8]
    let inlineBodyMax: Int
    let gateway: StoreGateway
    let directory: DirectoryPublisher
    let authenticator: Authenticator
    let defense: DefenseServices
    let poison: PoisonService
    let resolver: any DNSResolver
    /// Whether DNS has answered since the start; until then nothing is put off for its sake.
    let dnsHasAnswered: @Sendable () -> Bool
    /// nil: nothing is recorded.
    let ledger: LedgerWriter?
    let delivery: DeliveryService
    /// Threads for signatures of our own.
    let signers: WorkerPool
    let metrics: ServerMetrics
    let log: Log

    init(
        hostname: [UInt8],
        inlineBodyMax: Int,
        gateway: StoreGateway,
        directory: DirectoryPublisher,
        authenticator: Authenticator,
        defense: DefenseServices,
        poison: PoisonService,
        resolver: any DNSResolver,
        dnsHasAnswered: @escaping @Sendable () -> Bool,
        ledger: LedgerWriter?,
        delivery: DeliveryService,
        signers: WorkerPool,
        metrics: ServerMetrics,
        log: Log
    ) {
        self.hostname = hostname
        self.inlineBodyMax = inlineBodyMax
        self.gateway = gateway
        self.directory = directory
        self.authenticator = authenticator
        self.defense = defense
        self.poison = poison
        self.resolver = resolver
        self.dnsHasAnswered = dnsHasAnswered
        self.ledger = ledger
        self.delivery = delivery
        self.signers = signers
        self.metrics = metrics
        self.log = log
    }
}

/// What the drivers of one loop share. Confined to that loop's thread.
final class LoopContext {
    let services: ServerServices
    let reactor: Reactor
    var ids: MessageIDSource
    var isDraining = false
    var memo = DNSMemo()
    var plans = QuestionPlans()
    let signingKeys = SigningKeyCache()
    let filters: MilterContext
    /// Replaced by a reload, between two turns.
    private(set) var settings: LoopSettings
    /// How many refused connections a second get a record of their own.
    var refusalRecords = RecordBudget()
    /// Those beyond.
    var refusalDigest = RefusalDigest()
    /// Open sessions whose client was told their id, each once.
    var explainable: [MessageID: Token] = [:]

    init(services: ServerServices, settings: LoopSettings, reactor: Reactor, loop: Int) {
        self.settings = settings
        self.services = services
        self.reactor = reactor
        ids = MessageIDSource(loop: loop)
        var limits = MilterLimits()
        limits.bodyMax = settings.messageOctetsMax
        filters = MilterContext(
            reactor: reactor, metrics: services.metrics.milter, log: services.log, limits: limits)
    }

    static func of(_ reactor: Reactor) -> LoopContext? { reactor.owner as? LoopContext }

    func follow(_ fresh: LoopSettings) {
        settings = fresh
        filters.limits.bodyMax = fresh.messageOctetsMax
    }
}

extension LoopContext {
    /// What will be in the ledger under `id` some time, as it stands: of a session that is open, or of connections that
    /// were refused just now. nil: it is there already, or not of this loop.
    func openRecord(_ id: MessageID) -> ConnectionRecord? {
        if let token = explainable[id] { return SMTPConnection.on(reactor, token)?.openRecord }
        return refusalDigest.record(id)
    }

    /// What stands for several refused connections goes to the ledger.
    func flushDigest() {
        for record in refusalDigest.takeAll() { services.ledger?.record(LedgerRecord.connection(record).encoded()) }
    }
}

/// One SMTP listener as its connections see it. `tls` is replaced by a reload, for new handshakes.
final class ListenerContext: Sendable {
    /// Its place in the configuration, by which `LoopSettings` knows it.
    let index: Int
    let kind: SMTPListenerKind
    let label: ListenerLabel
    /// The label as records have it.
    let name: [UInt8]
    let tls: TLSPublisher?
    let implicitTLS: Bool
    /// A proxy says first whom it speaks for.
    let isProxied: Bool

    init(
        index: Int, kind: SMTPListenerKind, label: ListenerLabel, tls: TLSPublisher?, implicitTLS: Bool,
        isProxied: Bool
    ) {
        self.index = index
        self.kind = kind
        self.label = label
        name = Array(label.text.utf8)
        self.tls = tls
        self.implicitTLS = implicitTLS
        self.isProxied = isProxied
    }
}

/// So many records a second, so that a flood of refusals does not push what matters out of the ledger. On one loop.
struct RecordBudget {
    private static let perSecond = 50

    private var second: UInt64 = 0
    private var left = perSecond

    mutating func take(at now: Instant) -> Bool {
        let current = now.nanoseconds / 1_000_000_000
        if current != second {
            second = current
            left = Self.perSecond
        }
        guard left > 0 else { return false }
        left -= 1
        return true
    }
}
