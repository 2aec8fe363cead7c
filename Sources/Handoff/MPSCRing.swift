import Synchronization

/// A bounded lock-free queue for many producers and one consumer (Vyukov's array queue).
///
/// Safety: each slot's sequence number hands its value over: a producer owns the value between winning the ticket and the
/// releasing store of the sequence, the consumer between the acquiring load and its own releasing store. Only the consumer moves
/// `head`; others may look at it.
package final class MPSCRing<Element>: @unchecked Sendable {
    // Apart from the values: to the language an access to a part of a slot is an access to all of it.
    private let sequences: UnsafeMutablePointer<Atomic<Int>>
    private let values: UnsafeMutablePointer<Element?>
    private let mask: Int
    private let tail = Atomic<Int>(0)
    private let head = Atomic<Int>(0)

    /// `capacity` is rounded up to a power of two.
    package init(capacity: Int) {
        var size = 2
        while size < capacity { size *= 2 }
        mask = size - 1
        sequences = .allocate(capacity: size)
        for i in 0..<size { (sequences + i).initialize(to: Atomic(i)) }
        values = .allocate(capacity: size)
        values.initialize(repeating: nil, count: size)
    }

    deinit {
        sequences.deinitialize(count: mask + 1)
        sequences.deallocate()
        values.deinitialize(count: mask + 1)
        values.deallocate()
    }

    /// False when the ring is full. Any thread.
    package func push(_ value: sending Element) -> Bool {
        var ticket = tail.load(ordering: .relaxed)
        while true {
            let sequence = sequences + (ticket & mask)
            let gap = sequence.pointee.load(ordering: .acquiring) - ticket
            if gap == 0 {
                let (won, seen) = tail.weakCompareExchange(expected: ticket, desired: ticket + 1, ordering: .relaxed)
                if won {
                    (values + (ticket & mask)).pointee = value
                    sequence.pointee.store(ticket + 1, ordering: .releasing)
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
        let position = head.load(ordering: .relaxed)
        let sequence = sequences + (position & mask)
        guard sequence.pointee.load(ordering: .acquiring) == position + 1 else { return nil }
        let value = (values + (position & mask)).pointee.take()
        sequence.pointee.store(position + mask + 1, ordering: .releasing)
        head.store(position + 1, ordering: .relaxed)
        return value
    }

    /// Whether the consumer would find nothing. Only the consuming thread.
    package var isEmpty: Bool {
        let position = head.load(ordering: .relaxed)
        return sequences[position & mask].load(ordering: .acquiring) != position + 1
    }

    /// Elements pushed and not yet popped; an estimate while others work. Any thread.
    package var depth: Int { max(0, tail.load(ordering: .relaxed) - head.load(ordering: .relaxed)) }
}
