import Base
import Protocols

/// A destination's plan while it is good, and the jobs that wait for it. Belongs to the worker's thread.
final class KnownPlan {
    let question: PlanQuestion
    /// nil: asked for.
    var verdict: DeliveryPlanVerdict?
    var goodUntil = Instant(nanoseconds: 0)
    var waiting: [OutboundJob] = []
    /// By host and address; looked up once.
    private var endpoints: [[Endpoint?]] = []

    init(_ question: PlanQuestion) { self.question = question }

    var hosts: [PlannedHost] {
        if case .hosts(let hosts)? = verdict?.outcome { return hosts }
        return []
    }

    func learn(_ verdict: DeliveryPlanVerdict) {
        self.verdict = verdict
        endpoints = hosts.map { Array(repeating: nil, count: $0.addresses.count) }
    }

    func endpoint(_ place: OutboundJob.Candidate, _ cache: ConnectionCache) -> Endpoint {
        if let known = endpoints[place.host][place.address], known.isListed { return known }
        let host = hosts[place.host]
        let found = cache.endpoint(host, host.addresses[place.address])
        endpoints[place.host][place.address] = found
        return found
    }
}
