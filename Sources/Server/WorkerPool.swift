import CEpoll
import Handoff
import Synchronization

/// Threads that may block: password hashing now, page rendering later. Bounded by its inbox; a caller whose job is not
/// taken says so to its peer.
///
/// Shareable because the mailboxes are, and the turn counter is atomic.
final class WorkerPool: Sendable {
    typealias Job = @Sendable () -> Void
    private enum Message: Sendable { case job(Job), stop }

    private let inboxes: [Mailbox<Message>]
    private let threads: [ThreadHandle]
    private let turn = Atomic<Int>(0)

    init(name: String, threads count: Int, inboxCapacity: Int) {
        let inboxes = (0..<count).map { _ in Mailbox<Message>(capacity: inboxCapacity) }
        self.inboxes = inboxes
        threads = inboxes.indices.map { i in
            let inbox = inboxes[i]
            return LoopThread.spawn("\(name)-\(i)") {
                while true {
                    guard let message = inbox.next() else {
                        inbox.wait()
                        continue
                    }
                    switch message {
                    case .job(let job): job()
                    case .stop: return
                    }
                }
            }
        }
    }

    /// False when the pool has as much to do as it will take.
    func run(_ job: @escaping Job) -> Bool {
        let first = turn.add(1, ordering: .relaxed).newValue
        for i in 0..<inboxes.count
        where inboxes[((first & Int.max) % inboxes.count + i) % inboxes.count].post(.job(job)) { return true }
        return false
    }

    /// Ends the threads after the jobs they have.
    func stop() {
        for inbox in inboxes {
            while !inbox.post(.stop) { _ = mt_poll_readable(-1, 1) }
        }
        for thread in threads { thread.join() }
    }
}
