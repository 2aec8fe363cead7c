import Base
import Handoff
import Policy
import Protocols
import ResolverUnbound
import Store

/// What `martlet top` shows, read from the owners of the figures. Any thread.
struct TopReading: Sendable {
    let metrics: ServerMetrics
    let defense: DefenseServices
    let gateway: StoreGateway
    let resolver: Resolver
    let hostname: String
    let started: Instant

    func snapshot() -> TopSnapshot {
        let time = SystemTime()
        let now = time.monotonic()
        var out = metrics.topSnapshot(monotonic: now, started: started, wall: time.wall())
        out.version = Application.version
        out.hostname = hostname
        out.sessionsMax = defense.limits.current.maxConnections
        out.storeQueue = gateway.writer.depth
        out.dnsInFlight = resolver.inFlight
        let state = defense.pressure.state
        let sample = defense.pressure.sample
        out.diskFree = sample.diskFree
        out.pressure = PressureResource.allCases.map {
            TopSnapshot.Resource(name: "\($0)", level: "\(state.level(of: $0))", figures: sample.figures($0))
        }
        out.limiting = state.limiting.map { "\($0)" } ?? ""
        out.slowed = defense.clients.rows(
            .tarpit, limit: TopSnapshot.slowedMax, defense.limits.current, now: now
        ).map { TopSnapshot.Slowed(ClientLine($0)) }
        return out
    }
}
