import Crypto
import Protocols

/// What a loop's sessions follow of the configuration: an immutable snapshot, sent to each loop by a reload. A session keeps
/// the limits it began with; the rest counts from MAIL to the end of the message.
final class LoopSettings: Sendable {
    let limits: SMTPLimits
    /// Clients that may send to anybody.
    let relayNetworks: [IPNetwork]
    let auth: AuthSettings
    /// For each listener, in the order of the configuration: a reload changes neither.
    private let sessions: [SMTPSessionConfiguration]

    /// What `SMTPLimits.errorWeight` counts for a syntax or sequence error.
    static let errorWeightEach = 5

    init(_ configuration: Configuration) {
        var limits = SMTPLimits()
        limits.messageOctets = UInt64(configuration.smtp.maxMessageSize)
        limits.recipients = configuration.smtp.maxRecipients
        limits.commandTimeoutSeconds = Double(configuration.smtp.commandTimeoutSeconds)
        limits.dataTimeoutSeconds = Double(configuration.smtp.dataTimeoutSeconds)
        limits.errorWeight = configuration.smtp.maxErrors * Self.errorWeightEach
        self.limits = limits
        sessions = configuration.smtp.listeners.map { Self.session(configuration, $0, limits) }
        relayNetworks = configuration.smtp.relayNetworks
        auth = configuration.authSettings
    }

    func session(of listener: ListenerContext) -> SMTPSessionConfiguration { sessions[listener.index] }

    private static func session(
        _ configuration: Configuration, _ listener: Configuration.Listener, _ limits: SMTPLimits
    ) -> SMTPSessionConfiguration {
        SMTPSessionConfiguration(
            hostname: Array(configuration.hostname.utf8), kind: listener.kind.sessionKind, limits: limits,
            offersTLS: listener.tls != .off && listener.kind != .submissions, requiresTLS: listener.tls == .required,
            offersAuth: true, domainToASCII: { IDNA.toASCII($0) })
    }

    /// `smtp.max_message_size`.
    var messageOctetsMax: Int { Int(clamping: limits.messageOctets) }

    func mayRelay(_ address: [UInt8]) -> Bool { relayNetworks.contains { $0.contains(address) } }
}

extension LoopSettings: Equatable {
    static func == (a: LoopSettings, b: LoopSettings) -> Bool {
        a.limits == b.limits && a.relayNetworks == b.relayNetworks && a.auth == b.auth
    }
}
