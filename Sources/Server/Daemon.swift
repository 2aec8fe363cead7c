import Base
import CEpoll
import Crypto
import Handoff
import Ledger
import Policy
import Protocols
import Reactor
import ResolverUnbound
import Store
import StoreSQLite
import Telemetry

/// The running server: store, threads and listeners, in the order they are started and stopped. Owned by the main thread.
final class Daemon {
    /// For transactions under way to finish after SIGTERM.
    private static let drainSeconds = 30.0
    /// For deliveries under way after that.
    private static let deliveryGraceSeconds = 10.0
    private static let workerThreads = 2
    private static let workerInbox = 256
    private static let signerInbox = 2_048

    /// What is in force: keys that wait for a restart have the values of the start.
    private var loaded: LoadedConfiguration
    private let reloads = ReloadRequests()
    private let certificateFiles: CertificateFiles
    private let log: Log
    private let registry = Registry()
    private let metrics: ServerMetrics
    private let health = Health()
    private let directory = DirectoryPublisher()
    private let store: SQLiteStore
    private let workers: WorkerPool
    private let signers: WorkerPool
    private let delivery: DeliveryService
    private let defense: DefenseService
    private let poison: PoisonService
    private let commits = CommitClock()
    private let loopHandles = LoopHandles()
    private let resolver: Resolver
    private let ledger: LedgerWriter?
    private let services: ServerServices
    private let listeners: ListenerSet
    private var loops: [RunningLoop] = []
    /// For how many filters each loop has connections to spare.
    private let filtersAtStart: Int

    private struct RunningLoop {
        let handle: ReactorHandle
        let thread: ThreadHandle
    }

    init(_ loaded: LoadedConfiguration, log: Log) throws {
        let configuration = loaded.configuration
        self.loaded = loaded
        filtersAtStart = Self.filtersMax(configuration)
        certificateFiles = CertificateFiles(configuration)
        self.log = log
        metrics = ServerMetrics(registry)
        store = try Self.openStore(
            configuration, StoreMetrics(metrics: metrics, log: log, health: health, commits: commits), directory)
        poison = PoisonService.open(configuration, metrics: metrics.poison, log: log)
        poison.holdQueued(
            store.gateway, hostname: Array(configuration.hostname.utf8), directory: directory,
            now: SystemTime().wall())
        resolver = try Self.startResolver(configuration, metrics)
        ledger = try Self.openLedger(configuration, metrics)
        workers = WorkerPool(name: "auth", threads: Self.workerThreads, inboxCapacity: Self.workerInbox)
        let resolver = self.resolver
        signers = WorkerPool(name: "sign", threads: Self.workerThreads, inboxCapacity: Self.signerInbox)
        listeners = try ListenerSet(configuration)
        delivery = try DeliveryService(
            configuration,
            DeliveryService.Parts(
                gateway: store.gateway, directory: directory, resolver: resolver, ledger: ledger, metrics: metrics,
                log: log))
        defense = try DefenseService(
            configuration, directory: directory, metrics: metrics, log: log, loops: loopHandles)
        services = ServerServices(
            hostname: Array(configuration.hostname.utf8), inlineBodyMax: SQLiteOptions.inlineMax,
            gateway: store.gateway, directory: directory,
            authenticator: Authenticator(gateway: store.gateway, workers: workers),
            defense: defense.services, poison: poison,
            resolver: resolver,
            dnsHasAnswered: { resolver.hasAnswered }, ledger: ledger,
            delivery: delivery, signers: signers, metrics: metrics, log: log)
        try startLoops(configuration)
        defense.start(configuration, pressureReadings, loops: loops.map(\.handle))
        health.setListening(true)
    }

    // MARK: Start

    private static func openStore(
        _ configuration: Configuration, _ observer: StoreMetrics, _ directory: DirectoryPublisher
    ) throws -> SQLiteStore {
        var options = SQLiteOptions()
        options.diskFreeMin = configuration.store.minFreeBytes
        do throws(StoreError) {
            let store = try SQLiteStore.open(path: configuration.store.path, options: options)
            // Before anybody can ask: a directory that is not there yet would refuse mail for good.
            directory.publish(store.initialSnapshot)
            store.start(observer: observer) { snapshot in
                directory.publish(snapshot)
            }
            return store
        } catch {
            throw StartupError.temporary("the store at \(configuration.store.path) cannot be opened: \(error)")
        }
    }

    private static func openLedger(_ configuration: Configuration, _ metrics: ServerMetrics) throws -> LedgerWriter? {
        guard configuration.ledger.enabled else { return nil }
        do throws(LedgerError) {
            return try LedgerWriter.open(
                configuration.ledgerPath, LiveSettings(configuration).ledger, observer: metrics.ledger)
        } catch {
            throw StartupError.temporary("the record of decisions cannot be opened: \(error)")
        }
    }

    private static func startResolver(_ configuration: Configuration, _ metrics: ServerMetrics) throws -> Resolver {
        do throws(ResolverError) {
            return try Resolver(configuration.dns.resolver, observer: metrics.dns)
        } catch {
            throw StartupError.configuration(error.description)
        }
    }

    private func startLoops(_ configuration: Configuration) throws {
        defineReadings(configuration)
        let inherited = try UnixListener.open(
            configuration.smtp.listeners, inherited: try ServiceManager.inheritedListeners(for: configuration))
        for index in 0..<configuration.reactorCount {
            let plan = LoopPlan(
                index: index, configuration: configuration, services: services, listeners: listeners,
                // The first loop takes the descriptors themselves, the others copies: each closes its own.
                inherited: index == 0 ? inherited : try inherited.map { try $0.map(Self.copy) },
                operators: index == 0 ? operatorServices() : nil)
            let loop = try Self.start(plan)
            loops.append(loop)
            loopHandles.add(loop.handle)
        }
    }

    private static func copy(_ descriptor: Int32) throws -> Int32 {
        let copy = mt_duplicate(descriptor)
        guard copy >= 0 else { throw IOError("copy an inherited socket", -copy) }
        return copy
    }

    /// What one loop is built from.
    private struct LoopPlan: Sendable {
        let index: Int
        let configuration: Configuration
        let services: ServerServices
        let listeners: ListenerSet
        /// For each listener; nil: it is to be opened.
        let inherited: [Int32?]
        /// The first loop also serves metrics and control.
        let operators: OperatorServices?
    }

    private struct OperatorServices: Sendable {
        let routes: MetricsRoutes
        let control: ControlService
    }

    private func operatorServices() -> OperatorServices {
        let started = SystemTime().monotonic()
        let hostname = loaded.configuration.hostname
        let files = certificateFiles
        let certificateKeys: @Sendable () -> [[UInt8]] = { ControlHooks.certificateKeys(files.current) }
        let health = health
        let clients = services.defense.clients
        var hooks = ControlHooks(
            reload: reloads.hook,
            status: {
                [
                    JSONMember("version", .text(Application.version)),
                    JSONMember("hostname", .text(hostname)),
                    JSONMember("ready", .boolean(health.isReady)),
                    JSONMember("uptime_seconds", .integer(Int(SystemTime().monotonic().seconds(since: started)))),
                    JSONMember("smtp_sessions", .integer(clients.open)),
                ]
            },
            hostname: { hostname }, now: { SystemTime().wall() },
            certificateKeys: certificateKeys)
        hooks.ledgerPath = loaded.configuration.ledgerPath
        let loopHandles = loopHandles
        hooks.openRecord = { loopHandles.openRecord($0) }
        hooks.queue = delivery.controlHooks
        hooks.defense = defense.hooks
        hooks.poison.folder = loaded.configuration.poisonFolder
        let poison = poison
        hooks.poison.changed = { poison.book.replace($0) }
        hooks.poison.perform = { poison.intake.perform($0) }
        hooks.poison.server = ControlPoisonHooks.Server(gateway: store.gateway, directory: directory)
        let reading = TopReading(
            metrics: metrics, defense: services.defense, gateway: store.gateway, resolver: resolver,
            hostname: hostname, started: started)
        hooks.defense.top = { reading.snapshot() }
        return OperatorServices(
            routes: MetricsRoutes(registry: registry, health: health), control: ControlService(hooks: hooks))
    }

    private static func start(_ plan: LoopPlan) throws -> RunningLoop {
        var limits = ReactorLimits()
        limits.connections =
            plan.configuration.smtp.maxConnections * (1 + filtersMax(plan.configuration))
            + ReactorLimits.spareConnections
        limits.mailboxCapacity = max(limits.mailboxCapacity, limits.connections * 4)
        let reactor = Reactor(io: try EpollBackend(), time: SystemTime(), limits: limits)
        let loop = LoopContext(
            services: plan.services, settings: LoopSettings(plan.configuration), reactor: reactor, loop: plan.index)
        reactor.owner = loop
        try plan.listeners.open(on: reactor, loop, inherited: plan.inherited)
        if let operators = plan.operators { try openOperatorListeners(plan, operators, reactor) }
        let metrics = plan.services.metrics
        let lag = plan.services.defense.pressure.lag
        reactor.turnHook = { nanoseconds in
            // The last event of a turn has waited as long as the turn took.
            metrics.reactorTurn.observe(nanoseconds)
            metrics.reactorLag.observe(nanoseconds)
            lag.note(nanoseconds)
        }
        let handle = reactor.handle
        let thread = LoopThread.spawn("smtp-\(plan.index)") {
            // The listeners know their loop without owning it; this keeps it until the last turn.
            withExtendedLifetime(loop) {
                reactor.run()
                loop.flushDigest()
            }
        }
        return RunningLoop(handle: handle, thread: thread)
    }

    /// Connections to filters that one session may hold.
    private static func filtersMax(_ configuration: Configuration) -> Int {
        Configuration.Listener.Kind.allCases.map { configuration.milterServers(for: $0).count }.max() ?? 0
    }

    private static func openOperatorListeners(
        _ plan: LoopPlan, _ operators: OperatorServices, _ reactor: Reactor
    ) throws {
        if let address = plan.configuration.metrics.listen {
            let routes = operators.routes
            try reactor.listen(.inet(try address.socketAddress())) { _ in HTTPConnection { routes.answer($0) } }
        }
        let control = operators.control
        let log = plan.services.log
        let metrics = plan.services.metrics
        let gateway = plan.services.gateway
        let handle = reactor.handle
        let user = UInt32(geteuid())
        try reactor.listen(.unix(path: plan.configuration.controlSocketPath)) { _ in
            ControlConnection(
                service: control, gateway: gateway, handle: handle, ownUser: user, metrics: metrics,
                changed: { $0.write(to: log) })
        }
    }

    private func defineReadings(_ configuration: Configuration) {
        var readings = ServerMetrics.Readings()
        let gateway = store.gateway
        let path = configuration.store.path
        readings.storeQueueDepth = { gateway.writer.depth }
        readings.diskFreeBytes = { Int(max(0, mt_disk_free(path))) }
        ServerMetrics.define(registry, version: Application.version, log: log, readings: readings)
        metrics.startTime.set(Int(SystemTime().wall().seconds))
    }

    private var pressureReadings: PressureReadings {
        var out = PressureReadings()
        let gateway = store.gateway
        let clients = services.defense.clients
        let commits = commits
        let resolver = resolver
        out.commitSeconds = { commits.seconds() }
        out.writerQueue = { gateway.writer.depth }
        out.writerQueueMax = StoreGateway.writerCapacityUsual
        out.connections = { clients.open }
        out.dnsQuestions = { resolver.inFlight }
        out.dnsQuestionsMax = resolver.inFlightMax
        return out
    }

    func announceReady() {
        log.notice("ready") {
            $0.add("version", Application.version)
            $0.add("hostname", services.hostname)
            $0.add("listeners", listeners.summary)
        }
        ServiceManager.notify("READY=1")
    }

    // MARK: While running

    /// Reads the configuration again; a bad one changes nothing. Whoever asked for it is told.
    func reload() {
        let askers = reloads.take()
        ServiceManager.notify("RELOADING=1")
        let report = reloaded()
        ServiceManager.notify("READY=1")
        for asker in askers { asker.give(report) }
    }

    private func reloaded() -> ReloadReport {
        do {
            let fresh = try loaded.reloaded()
            let changes = loaded.changes(to: fresh)
            let next = try loaded.followed(by: fresh)
            let live = LiveSettings(next.configuration)
            let tls = try listeners.prepareTLS(next.configuration)
            let delivery = try self.delivery.prepare(next.configuration, live.delivery)
            let deaf = follow(live, tls, delivery)
            certificateFiles.follow(next.configuration)
            loaded = next
            metrics.configReloads.add(.applied)
            var report = ReloadReport(changes)
            report.note(filters: Self.filtersMax(next.configuration), atStart: filtersAtStart)
            report.note(deaf: deaf)
            logReload(report)
            return report
        } catch {
            metrics.configReloads.add(.refused)
            log.error("reload_refused") { $0.add("reason", "\(error)") }
            return ReloadReport(refused: "\(error)", status: (error as? StartupError)?.exitCode)
        }
    }

    /// Nothing in here can be refused: it is all or nothing. The parts whose threads take nothing any more.
    private func follow(
        _ live: LiveSettings, _ tls: [Bool: TLSContext], _ delivery: DeliveryService.Prepared
    ) -> [String] {
        listeners.publish(tls)
        var deaf = self.delivery.follow(live.delivery, delivery)
        if !defense.follow(live) { deaf.append("pressure") }
        for (index, loop) in loops.enumerated() {
            let isTold = Patience.insist { loop.handle.post { LoopContext.of($0)?.follow(live.loop) } }
            if !isTold { deaf.append("reactor \(index)") }
        }
        store.setDiskFreeMin(live.diskFreeMin)
        if ledger?.configure(live.ledger) == false { deaf.append("ledger") }
        log.level = live.logLevel
        log.format = live.logFormat
        return deaf
    }

    private func logReload(_ report: ReloadReport) {
        for key in report.applied { log.notice("setting_changed") { $0.add("key", key) } }
        for key in report.waiting { log.notice("setting_needs_restart") { $0.add("key", key) } }
        for note in report.notes { log.warning("setting_note") { $0.add("reason", note) } }
        log.notice("reloaded") {
            $0.add("applied", report.applied.count)
            $0.add("need_restart", report.waiting.count)
        }
    }

    /// No new connections; transactions under way may finish; idle sessions get their 421. Ends early when all are gone or
    /// `interrupted` says so.
    func drain(until interrupted: () -> Bool) {
        log.notice("draining")
        reloads.close()
        ServiceManager.notify("STOPPING=1")
        health.setDraining()
        for loop in loops {
            _ = loop.handle.post { reactor in
                reactor.stopListening()
                reactor.forEachConnection { c in (c.driver as? SMTPConnection)?.drain(c) }
            }
        }
        let deadline = SystemTime().monotonic().advanced(bySeconds: Self.drainSeconds)
        while SystemTime().monotonic() < deadline, !services.defense.clients.isEmpty, !interrupted() {}
    }

    func stop() {
        defense.stopWatching()
        for loop in loops { loop.handle.stop() }
        for loop in loops { loop.thread.join() }
        delivery.stop(graceSeconds: Self.deliveryGraceSeconds)
        resolver.stop()
        workers.stop()
        signers.stop()
        defense.stop()
        poison.stop()
        store.stop()
        // Last: the store's answers are recorded too.
        ledger?.stop()
        log.notice("stopped")
    }
}

extension ReactorLimits {
    /// Slots for metrics and control connections beside SMTP's.
    static let spareConnections = 128
}

extension ListenAddress {
    func socketAddress() throws -> SocketAddress {
        guard let address = SocketAddress(ip: host, port: port) else {
            throw StartupError.configuration("\(self) is not an address to listen on")
        }
        return address
    }
}
