import Base
import Handoff
import Store
import Synchronization

/// The scheduler's thread. Confined to it.
final class SchedulerCore {
    private let shared: QueueScheduler

    init(
        _ shared: QueueScheduler, configuration: SchedulerConfiguration, rules: OutcomeRules, workers: [JobTaker],
        observer: any SchedulerObserver, time: any TimeSource
    ) {
        self.shared = shared
    }

    func run() {
        while !shared.isStopping.load(ordering: .acquiring) { shared.inbox.wait() }
    }
}
