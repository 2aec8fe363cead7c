import Ledger
import Policy
import Protocols
import Telemetry

/// Everything a reload applies: made from the configuration, an immutable value whose parts go to their owners' mailboxes.
/// A key of the schema is reloadable when it changes something in here, and only then; a test holds both together.
struct LiveSettings: Sendable, Equatable {
    let loop: LoopSettings
    let limits: LimitSettings
    let accounts: AccountLimits
    let defense: DefenseSettings
    let proxies: [IPNetwork]
    let pressure: PressureSettings
    let delivery: DeliverySettings
    let tls: ServerTLS
    let ledger: LedgerLimits
    let diskFreeMin: Int
    let logLevel: LogLevel
    let logFormat: LogFormat

    /// What the listeners' TLS contexts are made from, besides the files themselves.
    struct ServerTLS: Sendable, Equatable {
        let mode: Configuration.TLS.Mode
        let certificates: [Configuration.CertificateFiles]
        let minVersion: Configuration.TLS.Version
        let sessionTickets: Bool
    }

    init(_ configuration: Configuration) {
        loop = LoopSettings(configuration)
        limits = LimitSettings(configuration)
        accounts = LimitSettings.accounts(configuration)
        defense = DefenseSettings(configuration)
        proxies = configuration.smtp.proxyNetworks
        pressure = PressureSettings(configuration)
        delivery = DeliverySettings(configuration)
        tls = ServerTLS(
            mode: configuration.tls.mode, certificates: configuration.tls.certificates,
            minVersion: configuration.tls.minVersion, sessionTickets: configuration.tls.sessionTickets)
        ledger = LedgerLimits(octets: configuration.ledger.maxSizeBytes, age: configuration.ledger.maxAgeSeconds)
        diskFreeMin = configuration.store.minFreeBytes
        logLevel = configuration.logging.level.logLevel
        logFormat = configuration.logging.logFormat
    }
}
