import Base
import Protocols
import Reactor
import Store

/// One delivery worker: a reactor of outbound connections, the jobs it works on, its plans and its connections. Belongs
/// to its thread. Bounded by `DeliveryWorkerOptions`.
final class DeliveryWorker {
    let handle: DeliveryWorkerHandle
    let reactor: Reactor
    let parts: WorkerParts

    init(index: Int, io: any IOBackend, time: any TimeSource, _ parts: WorkerParts) {
        self.parts = parts
        var limits = ReactorLimits()
        limits.connections = parts.options.connectionsPerWorker
        reactor = Reactor(io: io, time: time, limits: limits)
        handle = DeliveryWorkerHandle(index: index, reactor: reactor.handle, jobsMax: parts.options.jobsPerWorker)
        reactor.owner = self
    }

    static func of(_ reactor: Reactor) -> DeliveryWorker? { reactor.owner as? DeliveryWorker }

    func run() { reactor.run() }
    func take(_ job: DeliveryJob) {}
    func stop(graceSeconds: Double) { reactor.handle.stop() }
}
