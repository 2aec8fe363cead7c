import Base
import Protocols

/// What a connection may be used for: the same server, asked for the same proof, spoken to in the same way and with the
/// same credentials. Connections are never shared across keys, so not across policies either.
struct EndpointKey: Hashable {
    let address: IPAddress
    let port: UInt16
    let name: [UInt8]
    let serverName: [UInt8]
    let security: HostSecurity
    let tested: HostSecurity?
    let isImplicitTLS: Bool
    let isLMTP: Bool
    let credentials: RouteCredentials?

    init(_ host: PlannedHost, _ address: IPAddress) {
        self.address = address
        port = host.port
        name = host.name
        serverName = host.serverName
        security = host.security
        tested = host.tested
        isImplicitTLS = host.isImplicitTLS
        isLMTP = host.isLMTP
        credentials = host.credentials
    }
}

/// One key's connections and the jobs that wait for one. Belongs to the worker's thread.
final class Endpoint {
    let key: EndpointKey
    /// Ready and without work; the last one was used last.
    var idle: [OutboundConnection] = []
    /// Opening, at work and idle.
    var open = 0
    /// Jobs that found the limit reached, oldest first from `waitingHead`.
    private var waiting: [OutboundJob] = []
    private var waitingHead = 0
    /// The cache knows it; one that was dropped is looked up again.
    var isListed = true
    /// It could not be reached: others go first until then.
    var downUntil = Instant(nanoseconds: 0)
    /// Its opportunistic TLS failed: spoken to in the clear until then.
    var plainUntil = Instant(nanoseconds: 0)

    init(_ key: EndpointKey) { self.key = key }

    var hasWaiting: Bool { waitingHead < waiting.count }
    var isUnused: Bool { open == 0 && !hasWaiting }

    func enqueue(_ job: OutboundJob) { waiting.append(job) }

    func dequeue() -> OutboundJob? {
        guard hasWaiting else { return nil }
        let job = waiting[waitingHead]
        waitingHead += 1
        if waitingHead == waiting.count {
            waiting.removeAll(keepingCapacity: true)
            waitingHead = 0
        } else if waitingHead > 64, waitingHead * 2 > waiting.count {
            waiting.removeFirst(waitingHead)
            waitingHead = 0
        }
        return job
    }
}

/// The endpoints of one worker and their idle connections. Bounded: idle connections by number, time and messages (the
/// connection's own deadline), endpoints without connections by number.
final class ConnectionCache {
    private var endpoints: [EndpointKey: Endpoint] = [:]
    private(set) var idleCount = 0
    private let idleMax: Int
    private static let unusedMax = 8_192

    init(idleMax: Int) { self.idleMax = idleMax }

    func endpoint(_ host: PlannedHost, _ address: IPAddress) -> Endpoint {
        let key = EndpointKey(host, address)
        if let known = endpoints[key] { return known }
        if endpoints.count >= Self.unusedMax { dropUnused() }
        let made = Endpoint(key)
        endpoints[key] = made
        return made
    }

    private func dropUnused() {
        for (key, endpoint) in endpoints where endpoint.isUnused {
            endpoint.isListed = false
            endpoints[key] = nil
        }
    }

    /// An idle connection, which is the caller's now.
    func checkOut(_ endpoint: Endpoint) -> OutboundConnection? {
        guard let connection = endpoint.idle.popLast() else { return nil }
        idleCount -= 1
        return connection
    }

    /// False: too many are kept.
    func keep(_ connection: OutboundConnection) -> Bool {
        guard idleCount < idleMax else { return false }
        idleCount += 1
        connection.endpoint.idle.append(connection)
        return true
    }

    /// It ended while it was idle.
    func forget(_ connection: OutboundConnection) {
        let endpoint = connection.endpoint
        guard let place = endpoint.idle.firstIndex(where: { $0 === connection }) else { return }
        endpoint.idle.remove(at: place)
        idleCount -= 1
    }

    /// Any idle connection, to give its place to a job for somebody else.
    func anyIdle() -> OutboundConnection? {
        guard idleCount > 0 else { return nil }
        for endpoint in endpoints.values {
            if let first = endpoint.idle.first { return first }
        }
        return nil
    }

    func forEachIdle(_ body: (OutboundConnection) -> Void) {
        for endpoint in endpoints.values {
            for connection in endpoint.idle { body(connection) }
        }
    }

    /// Takes every job that waits for a connection.
    func takeWaiting() -> [OutboundJob] {
        var taken: [OutboundJob] = []
        for endpoint in endpoints.values {
            while let job = endpoint.dequeue() { taken.append(job) }
        }
        return taken
    }

    var endpointCount: Int { endpoints.count }
}
