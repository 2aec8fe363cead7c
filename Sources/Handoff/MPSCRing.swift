import Synchronization

/// A bounded lock-free queue for many producers and one consumer (Vyukov's array queue).
///
/// Safe to share because each slot's sequence number hands its value over: a producer owns a slot between winning the
/// ticket and the releasing store of the sequence, the consumer between the acquiring load and its own releasing store.
package final class MPSCRing<Element>: @unchecked Sendable {
    // Safety: see above; `slots` and `head` are touched only by the slot's owner and the one consumer.
    private struct Slot: ~Copyable {
        let sequence: Atomic<Int>
        var value: Element?

        init(_ index: Int) {
            sequence = Atomic(index)
            value = nil
        }
    }

    private let slots: UnsafeMutablePointer<Slot>
    private let mask: Int
    private let tail = Atomic<Int>(0)
    private var head = 0

    /// `capacity` is rounded up to a power of two.
    package init(capacity: Int) {
        var size = 2
        while size < capacity { size *= 2 }
        mask = size - 1
        slots = .allocate(capacity: size)
        for i in 0..<size { (slots + i).initialize(to: Slot(i)) }
    }

    deinit {
        (slots).deinitialize(count: mask + 1)
        slots.deallocate()
    }

    /// False when the ring is full. Any thread.
    package func push(_ value: sending Element) -> Bool {
        var ticket = tail.load(ordering: .relaxed)
        while true {
            let slot = slots + (ticket & mask)
            let gap = slot.pointee.sequence.load(ordering: .acquiring) - ticket
            if gap == 0 {
                let (won, seen) = tail.weakCompareExchange(
                    expected: ticket, desired: ticket + 1, ordering: .relaxed)
                if won {
                    slot.pointee.value = value
                    slot.pointee.sequence.store(ticket + 1, ordering: .releasing)
                    return true
                }
                ticket = seen
            } else if gap < 0 {
                return false
            } else {
                ticket = tail.load(ordering: .relaxed)
            }
        }
    }

    /// The oldest element, or nil. Only the consuming thread.
    package func pop() -> Element? {
        let slot = slots + (head & mask)
        guard slot.pointee.sequence.load(ordering: .acquiring) == head + 1 else { return nil }
        let value = slot.pointee.value.take()
        slot.pointee.sequence.store(head + mask + 1, ordering: .releasing)
        head += 1
        return value
    }

    /// Whether the consumer would find nothing. Only the consuming thread.
    package var isEmpty: Bool {
        (slots + (head & mask)).pointee.sequence.load(ordering: .acquiring) != head + 1
    }

    /// Elements pushed and not yet popped, seen from the consuming thread.
    package var depth: Int { max(0, tail.load(ordering: .relaxed) - head) }
}
