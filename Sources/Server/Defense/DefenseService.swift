import Base
import CEpoll
import Handoff
import Policy
import Protocols
import Reactor
import Store
import Telemetry

/// The daemon's part of the defences: builds what the loops share, starts and stops the threads behind it, passes on what
/// a reload changed.
final class DefenseService {
    /// Commands of operators that wait; those beyond are told that the server is busy.
    private static let commandsMax = 64

    let services: DefenseServices
    private let state: DefenseState
    private let directory: DirectoryPublisher
    /// One thread: they walk tables that loops lock, and two at once would only keep mail waiting.
    private let commands = WorkerPool(name: "defense-ctl", threads: 1, inboxCapacity: commandsMax)

    init(
        _ configuration: Configuration, directory: DirectoryPublisher, metrics: ServerMetrics, log: Log,
        loops: LoopHandles
    ) throws {
        self.directory = directory
        do throws(DefenseJournalError) {
            state = try DefenseState.open(storePath: configuration.store.path, metrics: metrics.greylist, log: log) {
                directory.current.policy(ofDomain: $0)?.defense.greylist
            }
        } catch {
            throw StartupError.temporary("the journal of the defences cannot be opened: \(error)")
        }
        services = DefenseServices(
            clients: state.clients, limits: LimitPublisher(LimitSettings(configuration)),
            accounts: AccountTable(LimitSettings.accounts(configuration)),
            settings: DefenseSettingsPublisher(DefenseSettings(configuration)),
            proxies: ProxyNetworks(configuration.smtp.proxyNetworks), greylist: state.greylist,
            pressure: PressureMonitor(metrics: metrics.pressure, log: log) { _, _ in
                loops.post { reactor in
                    reactor.forEachConnection { c in (c.driver as? SMTPConnection)?.pressureChanged(c) }
                }
            })
    }

    /// Once the loops run.
    func start(_ configuration: Configuration, _ readings: PressureReadings, loops: [ReactorHandle]) {
        var readings = readings
        readings.trimReactors = {
            for loop in loops { _ = loop.post { _ in HeapTrimming.trimOwnArena() } }
        }
        services.pressure.lag.watch(loops)
        services.pressure.start(PressureSettings(configuration), readings)
    }

    /// May block. False: the pressure thread does not take it.
    func follow(_ live: LiveSettings) -> Bool {
        services.limits.publish(live.limits)
        services.accounts.publish(live.accounts)
        services.settings.publish(live.defense)
        services.proxies.publish(live.proxies)
        var pressure = live.pressure
        // The slots were made at the start.
        pressure.connectionsMax = services.limits.current.maxConnections
        return services.pressure.update(pressure)
    }

    /// Before the loops end: the pressure thread speaks to them.
    func stopWatching() { services.pressure.stop() }

    /// After the loops: what they changed is written down.
    func stop() {
        // First: it answers the commands that wait for it.
        state.stop()
        commands.stop()
    }

    /// For the operators' commands.
    var hooks: ControlDefenseHooks {
        var hooks = ControlDefenseHooks(
            clients: services.clients, limits: services.limits, accounts: services.accounts, state: state)
        let directory = directory
        hooks.tarpitSeconds = { directory.current.strongestTarpitSeconds }
        let settings = services.settings
        hooks.filterNames = { settings.current.filterNames }
        let commands = commands
        hooks.perform = { commands.run($0) }
        return hooks
    }
}
