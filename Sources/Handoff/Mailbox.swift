import CEpoll
import Synchronization

/// A bounded ring with a wake-up: how every thread of the server is spoken to.
///
/// Lost wake-ups cannot happen: the consumer raises `sleeping`, fences, looks at the ring once more and only then waits;
/// a producer pushes, fences, and signals only if it was the one to lower `sleeping`. Shareable because the ring is, and
/// because the descriptor is only written to by producers.
package final class Mailbox<Message>: Sendable {
    private let ring: MPSCRing<Message>
    private let sleeping = Atomic<Bool>(false)
    /// Becomes readable when a message came while the consumer slept. Owned here.
    package let eventDescriptor: Int32

    package init(capacity: Int) {
        ring = MPSCRing(capacity: capacity)
        eventDescriptor = mt_eventfd()
        precondition(eventDescriptor >= 0, "eventfd failed: no descriptors left at start")
    }

    deinit { _ = mt_close(eventDescriptor) }

    /// False when the mailbox is full; nothing was kept then. Any thread.
    package func post(_ message: sending Message) -> Bool {
        guard ring.push(message) else { return false }
        atomicMemoryFence(ordering: .sequentiallyConsistent)
        if sleeping.load(ordering: .relaxed), sleeping.exchange(false, ordering: .acquiringAndReleasing) {
            _ = mt_eventfd_signal(eventDescriptor)
        }
        return true
    }

    /// The oldest message, or nil. Only the owning thread.
    package func next() -> Message? { ring.pop() }

    package var depth: Int { ring.depth }

    /// Announces that the owner is about to wait. False when a message is there already: do not wait.
    package func prepareToWait() -> Bool {
        sleeping.store(true, ordering: .relaxed)
        atomicMemoryFence(ordering: .sequentiallyConsistent)
        if ring.isEmpty { return true }
        sleeping.store(false, ordering: .relaxed)
        return false
    }

    /// After waiting: no more signals are wanted, and the ones that came are cleared. `signalled` says that the
    /// descriptor was seen readable: only that tells, because a producer may signal long after it lowered `sleeping`.
    package func finishWait(signalled: Bool = true) {
        sleeping.store(false, ordering: .relaxed)
        if signalled { _ = mt_eventfd_drain(eventDescriptor) }
    }

    /// Waits for a message, at most `timeoutMilliseconds` (-1: for ever). Only an owner that may block calls this.
    package func wait(timeoutMilliseconds: Int32 = -1) {
        guard prepareToWait() else { return }
        finishWait(signalled: mt_poll_readable(eventDescriptor, timeoutMilliseconds) == 1)
    }
}
