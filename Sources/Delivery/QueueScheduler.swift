package import Base
import CEpoll
package import Handoff
package import Store
import Synchronization

/// Takes a job to a worker; false: it is full or stopping, and no report will come. After true exactly one does.
package typealias JobTaker = @Sendable (DeliveryJob) -> Bool

/// The queue's scheduler as other threads see it: decides which rows are worked on when. The store's rows are the truth, what
/// comes by its mailbox are hints.
///
/// Shareable: a mailbox and atomics. Bounded by the gate's slots; hints beyond the mailbox are dropped and made good by
/// reading the store again.
package final class QueueScheduler: Sendable {
    package let gate: DeliveryGate
    package let inbox: Mailbox<SchedulerMessage>
    let gateway: StoreGateway
    let isHintLost = Atomic<Bool>(false)
    let isStopping = Atomic<Bool>(false)
    private let hintsMax: Int
    private let configuration: SchedulerConfiguration
    private let thread = Mutex<ThreadHandle?>(nil)

    /// `owner`: another at every start of the process.
    package init(owner: LeaseOwner, gateway: StoreGateway, configuration: SchedulerConfiguration) {
        self.gateway = gateway
        self.configuration = configuration
        gate = DeliveryGate(owner: owner, slotsMax: configuration.slotsMax)
        // Each slot has at most one message under way, and the store at most a few answers; the rest is for hints.
        let capacity = 2 * configuration.slotsMax + 8_192
        hintsMax = configuration.slotsMax + 4_096
        inbox = Mailbox(capacity: capacity)
    }

    /// Starts the thread: takes back what a dead process leased, reads the destinations, goes on. Once only.
    package func start(
        rules: OutcomeRules, workers: [JobTaker], observer: any SchedulerObserver = SilentSchedulerObserver()
    ) {
        let configuration = configuration
        let handle = LoopThread.spawn("queue") { [self] in
            SchedulerCore(
                self, configuration: configuration, rules: rules, workers: workers, observer: observer,
                time: SystemTime()
            ).run()
        }
        thread.withLock { $0 = handle }
    }

    /// Rows that were accepted with `gate.owner`'s lease: one job for each slot reserved. Any thread.
    package func noteAccepted(_ jobs: [DeliveryJob]) {
        if jobs.isEmpty || inbox.post(.accepted(jobs)) { return }
        // The rows' leases run out, then they are found in the store.
        gate.release(jobs.count)
        loseHint()
    }

    /// Rows that were accepted without a lease. Any thread.
    package func noteQueued(_ sites: [[UInt8]], due: WallTime) {
        if sites.isEmpty { return }
        if !hint(.queued(sites: sites, due: due)) { loseHint() }
    }

    /// How a worker ends a job. Any thread.
    package func report(_ report: JobReport) {
        // Cannot be full: a place is kept for each slot. Were it, the lease would run out.
        if !inbox.post(.report(report)) { loseHint() }
    }

    /// What an operator's command did to the rows. Any thread.
    package func noteChanged(_ change: QueueChange) {
        if !hint(.changed(change)) { loseHint() }
    }

    /// Other limits and times hold from the scheduler's next turn on. It is no hint: waits for a place. May block.
    /// False: the thread does not take it.
    @discardableResult
    package func configure(_ configuration: SchedulerConfiguration, _ times: OutcomeRules.Times) -> Bool {
        Patience.insist { inbox.post(.configure(configuration, times)) }
    }

    /// The answer comes on the scheduler's thread. False: it is too busy to tell.
    package func status(_ answer: @escaping @Sendable (SchedulerStatus) -> Void) -> Bool { hint(.status(answer)) }

    /// Hands out nothing more, settles what workers report, gives the rest back, and ends the thread. Call it before or while
    /// the workers stop, and the store after. Blocks.
    package func stop() {
        gate.close()
        isStopping.store(true, ordering: .releasing)
        while !inbox.post(.wake) { sched_yield() }
        let running = thread.withLock { thread in
            let running = thread
            thread = nil
            return running
        }
        running?.join()
    }

    private func hint(_ message: sending SchedulerMessage) -> Bool {
        guard inbox.depth < hintsMax else { return false }
        return inbox.post(message)
    }

    private func loseHint() {
        isHintLost.store(true, ordering: .releasing)
    }
}
