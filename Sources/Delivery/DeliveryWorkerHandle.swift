package import Reactor
import Synchronization

/// How the scheduler speaks to one delivery worker. Any thread. Bounded by the number of jobs the worker takes.
package final class DeliveryWorkerHandle: Sendable {
    package let index: Int
    package let reactor: ReactorHandle
    package let jobsMax: Int
    private let held = Atomic<Int>(0)
    private let closed = Atomic<Bool>(false)

    init(index: Int, reactor: ReactorHandle, jobsMax: Int) {
        self.index = index
        self.reactor = reactor
        self.jobsMax = jobsMax
    }

    /// Hands a job over. False: the worker is full or stopping, and no report will come. After true exactly one does.
    package func submit(_ job: DeliveryJob) -> Bool {
        guard !closed.load(ordering: .acquiring) else { return false }
        guard held.add(1, ordering: .acquiringAndReleasing).oldValue < jobsMax else {
            release()
            return false
        }
        guard reactor.post({ DeliveryWorker.of($0)?.take(job) }) else {
            release()
            return false
        }
        return true
    }

    /// Jobs submitted and not yet reported.
    package var jobs: Int { held.load(ordering: .acquiring) }
    package var room: Int { max(0, jobsMax - jobs) }

    func release() { held.subtract(1, ordering: .acquiringAndReleasing) }
    var isClosed: Bool { closed.load(ordering: .acquiring) }
    func close() { closed.store(true, ordering: .releasing) }
}
