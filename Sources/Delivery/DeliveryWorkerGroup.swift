import Base
import CEpoll
import Handoff
package import Reactor
package import Store
import Synchronization

/// The delivery workers: threads, each with a reactor of outbound connections. Started once, stopped once.
package final class DeliveryWorkerGroup: Sendable {
    package let handles: [DeliveryWorkerHandle]
    private let threads: Mutex<[ThreadHandle]>

    private init(_ handles: [DeliveryWorkerHandle], _ threads: [ThreadHandle]) {
        self.handles = handles
        self.threads = Mutex(threads)
    }

    /// Starts `count` workers. `report` is called on a worker's thread, once for each job taken, and must not block.
    package static func start(
        count: Int, options: DeliveryWorkerOptions, planner: any DeliveryPlanner, gateway: StoreGateway,
        observer: any DeliveryObserver = SilentDeliveryObserver(),
        report: @escaping @Sendable (JobReport) -> Void
    ) throws(IOError) -> DeliveryWorkerGroup {
        var handles: [DeliveryWorkerHandle] = []
        var threads: [ThreadHandle] = []
        for index in 0..<max(1, count) {
            let parts = WorkerParts(
                options: options, planner: planner, gateway: gateway, observer: observer, report: report)
            let worker = try DeliveryWorker(index: index, io: EpollBackend(), time: SystemTime(), parts)
            handles.append(worker.handle)
            threads.append(LoopThread.spawn("deliver-\(index)") { worker.run() })
        }
        return DeliveryWorkerGroup(handles, threads)
    }

    /// New connections are made by `options`; those made before are given no more work. Bounds (jobs, connections) stay as
    /// they were at the start. May block. False: a worker does not take it.
    package func configure(_ options: DeliveryWorkerOptions) -> Bool {
        var isTold = true
        for handle in handles {
            isTold =
                Patience.insist {
                    handle.isClosed || handle.reactor.post { DeliveryWorker.of($0)?.configure(options) }
                } && isTold
        }
        return isTold
    }

    /// Takes no more jobs, lets transactions under way end within `graceSeconds`, reports the others as not tried, and
    /// returns when the threads have ended.
    package func stop(graceSeconds: Double = 30) {
        for handle in handles {
            handle.close()
            if !handle.reactor.post({ DeliveryWorker.of($0)?.stop(graceSeconds: graceSeconds) }) {
                handle.reactor.stop()
            }
        }
        let waiting = threads.withLock { threads in
            let all = threads
            threads = []
            return all
        }
        for thread in waiting { thread.join() }
    }
}

/// What a worker is made of, besides its own thread.
struct WorkerParts: Sendable {
    var options: DeliveryWorkerOptions
    let planner: any DeliveryPlanner
    let gateway: StoreGateway
    let observer: any DeliveryObserver
    let report: @Sendable (JobReport) -> Void
}
