import ArgumentParser
import Base
import Protocols
import Reactor

enum TLSMode: String, ExpressibleByArgument, Sendable, CaseIterable {
    case none, starttls, implicit
}

/// Where a slow client drips.
enum DripState: String, ExpressibleByArgument, Sendable, CaseIterable {
    case greeting, command, data, bdat, tls
}

/// What connections are for.
enum LoadKind: Sendable {
    case messages
    /// Connect, introduce, perhaps TLS, and stay.
    case idle
    /// One byte every `seconds`.
    case drip(DripState, seconds: Double)
}

/// Everything a load worker needs to know; made once from the command line.
struct LoadPlan: Sendable {
    var target: SocketAddress
    var kind = LoadKind.messages
    /// Connections at most, over all workers.
    var connections: Int
    /// Messages a second; nil is a closed loop.
    var rate: Double?
    var messages: Int?
    var durationSeconds: Double?
    var sizes: SizeMix
    var recipientsPerMessage: Int
    var recipients: [[UInt8]]
    var sender: [UInt8]
    var messagesPerConnection: Int?
    var session: SMTPClientSession.Options
    var isImplicitTLS: Bool
    var tls: TLSContext?
    var serverName: String?
    /// Share of connections that offer to resume, 0 to 1.
    var resumeShare: Double
    var sources: Int
    var workers: Int
    var timeoutSeconds: Double
    var waitsForQuit: Bool
    var factory: MessageFactory
    var run: UInt32
    var seed: UInt64
    var ledger: LedgerWriter?

    /// This worker's part of `total`, spread evenly.
    func share(of total: Int, _ worker: Int) -> Int { total / workers + (worker < total % workers ? 1 : 0) }
}
