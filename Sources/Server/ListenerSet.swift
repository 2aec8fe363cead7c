import Base
import CEpoll
import Crypto
import Protocols
import Reactor
import Telemetry

/// The SMTP listeners of the configuration: opened once on every loop (SO_REUSEPORT spreads the connections), and the TLS
/// contexts behind them, which a reload replaces.
final class ListenerSet: Sendable {
    /// RFC 5321 §3.1: who cannot be served is told so before the close.
    private static let overflow = Array("421 4.3.2 Too many connections, try again later\r\n".utf8)

    private struct Entry: Sendable {
        let address: ListenEndpoint
        let context: ListenerContext
    }

    private let entries: [Entry]
    private let tls: [Bool: TLSPublisher]

    init(_ configuration: Configuration) throws {
        var publishers: [Bool: TLSPublisher] = [:]
        let wanted = Set(configuration.smtp.listeners.filter { $0.tls != .off }.map(\.sessionTickets))
        for tickets in wanted {
            publishers[tickets] = TLSPublisher(try Self.makeTLS(configuration, tickets: tickets))
        }
        tls = publishers
        entries = configuration.smtp.listeners.enumerated().map { index, listener in
            let usesTLS = listener.tls != .off
            return Entry(
                address: listener.address,
                context: ListenerContext(
                    index: index, kind: listener.kind.sessionKind, label: listener.kind.label,
                    tls: usesTLS ? publishers[listener.sessionTickets] : nil,
                    implicitTLS: listener.kind == .submissions && usesTLS, isProxied: listener.proxyProtocol))
        }
    }

    var summary: String { entries.map { "\($0.address)/\($0.context.label.text)" }.joined(separator: ",") }

    func open(on reactor: Reactor, _ loop: LoopContext, inherited: [Int32?]) throws {
        for (index, (entry, socket)) in zip(entries, inherited).enumerated() {
            let context = entry.context
            let target: ListenTarget
            switch (socket, entry.address) {
            case (let socket?, _): target = .inherited(socket)
            case (nil, .inet(let address)): target = .inet(try address.socketAddress())
            case (nil, .unix(let path)): target = .unix(path: path)
            }
            try reactor.listen(target, tag: index, overflowReply: Self.overflow) { [unowned loop] c in
                if context.isProxied { return loop.proxied(c, context) }
                let origin = ClientOrigin(address: IPAddress(bytes: c.peer.addressBytes), isKnown: true)
                return loop.admit(c, origin, context)
            }
        }
    }

    /// New contexts from the files as they are now, by whether they give tickets.
    func prepareTLS(_ configuration: Configuration) throws -> [Bool: TLSContext] {
        var fresh: [Bool: TLSContext] = [:]
        for tickets in tls.keys { fresh[tickets] = try Self.makeTLS(configuration, tickets: tickets) }
        return fresh
    }

    func publish(_ fresh: [Bool: TLSContext]) {
        for (tickets, context) in fresh { tls[tickets]?.publish(context) }
    }

    private static func makeTLS(_ configuration: Configuration, tickets: Bool) throws -> TLSContext {
        var options = TLSServerOptions(identities: try identities(configuration))
        options.minimumVersion = configuration.tls.minVersion == .tls13 ? .tls13 : .tls12
        options.sessionTickets = tickets && configuration.tls.sessionTickets
        do {
            return try TLSContext(server: options)
        } catch {
            throw StartupError.configuration("TLS: \(error)")
        }
    }

    private static func identities(_ configuration: Configuration) throws -> [TLSIdentity] {
        switch configuration.tls.mode {
        case .acme:
            throw StartupError.configuration("tls.mode acme is not available yet; set it to files or self-signed")
        case .files:
            return grouped(configuration.tls.certificates)
        case .selfSigned:
            let pair = TLSKeyPair(
                chainPath: configuration.selfSignedCertificatePath, keyPath: configuration.selfSignedKeyPath)
            try SelfSignedFiles.ensure(configuration)
            return [TLSIdentity(names: [configuration.hostname], keyPairs: [pair])]
        }
    }

    /// Certificates for the same names are offered side by side, RSA and ECDSA; the order of the file is kept.
    private static func grouped(_ files: [Configuration.CertificateFiles]) -> [TLSIdentity] {
        var identities: [TLSIdentity] = []
        for file in files {
            let given = file.names.map { $0.lowercased() }
            let names = given.isEmpty ? CertificateNames.read(file.certificate) : given
            let pair = TLSKeyPair(chainPath: file.certificate, keyPath: file.key)
            if let same = identities.firstIndex(where: { Set($0.names) == Set(names) }) {
                identities[same].keyPairs.append(pair)
            } else {
                identities.append(TLSIdentity(names: names, keyPairs: [pair]))
            }
        }
        return identities
    }
}

extension Configuration.Listener.Kind {
    var label: ListenerLabel {
        switch self {
        case .mx: .mx
        case .submission: .submission
        case .submissions: .submissions
        case .lmtp: .lmtp
        }
    }

    var sessionKind: SMTPListenerKind {
        switch self {
        case .mx: .mx
        case .submission: .submission
        case .submissions: .submissions
        case .lmtp: .lmtp
        }
    }
}
