import Handoff
import Synchronization

/// How other threads speak to a reactor: jobs that run on its thread, in order.
package final class ReactorHandle: Sendable {
    package typealias Job = @Sendable (Reactor) -> Void

    let mailbox: Mailbox<Job>
    private let stopping = Atomic<Bool>(false)

    init(capacity: Int) { mailbox = Mailbox(capacity: capacity) }

    /// False when the mailbox is full; the job will not run then. Any thread.
    package func post(_ job: @escaping Job) -> Bool { mailbox.post(job) }

    /// Ends `run()` at its next turn; its connections are closed with `.stopping`. Any thread.
    package func stop() {
        stopping.store(true, ordering: .releasing)
        // A full mailbox means the reactor is awake.
        _ = mailbox.post { _ in }
    }

    package var isStopping: Bool { stopping.load(ordering: .acquiring) }
}
