import Base
import Delivery
import Policy
import Protocols
import Synchronization

/// What all loops defend themselves with: shared state, and the settings of the moment. Made once by the daemon.
struct DefenseServices: Sendable {
    let clients: ClientTable
    let limits: LimitPublisher
    let accounts: AccountTable
    let settings: DefenseSettingsPublisher
    let proxies: ProxyNetworks
    let greylist: GreylistBook
    let pressure: PressureMonitor

    /// Trusted, or excepted by an operator: not held to limits, not kept waiting.
    func isExempt(_ client: IPAddress?) -> Bool {
        guard let client else { return true }
        return limits.current.trusts(client) || greylist.exceptions.index.limits.contains(client)
    }
}

/// The settings of defence that hold for the whole server and are not limits; a reload makes new ones.
struct DefenseSettings: Sendable, Equatable {
    /// Before the banner, for who is not known; 0: none.
    var greetWaitSeconds = 0.0
    /// Whose LMTP is taken, besides this machine's.
    var lmtpNetworks: [AddressBlock] = []
    /// Filters by the kind of listener.
    var milters: [SMTPListenerKind: [MilterServer]] = [:]
    /// Of all filters that the configuration has, as domains name them.
    var filterNames: [[UInt8]] = []

    init(_ configuration: Configuration) {
        greetWaitSeconds = Double(configuration.smtp.greetWaitMilliseconds) / 1e3
        lmtpNetworks = configuration.smtp.lmtpNetworks.compactMap { AddressBlock($0.description) }
        filterNames = configuration.milterNames
        for kind in Configuration.Listener.Kind.allCases {
            milters[kind.sessionKind] = configuration.milterServers(for: kind)
        }
    }
}

extension DefenseSettings {
    /// Whether what comes from there is a front end of ours; nil is a Unix socket, whose mode decided already.
    func isFrontEnd(_ client: IPAddress?) -> Bool {
        guard let client else { return true }
        return client.isLoopback || lmtpNetworks.contains { $0.contains(client) }
    }
}

/// The settings in force. Shareable because the value is behind a lock that is held for one load or store.
final class DefenseSettingsPublisher: Sendable {
    private let settings: Mutex<DefenseSettings>

    init(_ settings: DefenseSettings) { self.settings = Mutex(settings) }

    var current: DefenseSettings { settings.withLock { $0 } }

    func publish(_ new: DefenseSettings) {
        settings.withLock { $0 = new }
    }
}
