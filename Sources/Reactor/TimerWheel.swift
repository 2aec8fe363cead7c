package import Base

/// A hashed timer wheel: entries hang in the slot of their tick modulo the wheel's size, so arming and cancelling cost the
/// same whatever the number of timers. Entries live in a pool and name each other by index.
package struct TimerWheel {
    /// Names an armed entry until it fires or is cancelled.
    package typealias Entry = Int32
    package static let tickNanoseconds: UInt64 = 50_000_000
    private static let slots = 4_096
    private static let unused: Entry = -1

    private struct Node {
        var due: UInt64
        var payload: UInt64
        var next: Entry
        var previous: Entry
    }

    private var nodes: ContiguousArray<Node> = []
    private var heads: ContiguousArray<Entry>
    /// One bit per slot, and one bit per word of those.
    private var occupied: ContiguousArray<UInt64>
    private var cursor: UInt64
    private var scan: Entry = unused
    private var free: Entry = unused
    package private(set) var count = 0

    package init(now: Instant) {
        heads = ContiguousArray(repeating: TimerWheel.unused, count: TimerWheel.slots)
        occupied = ContiguousArray(repeating: 0, count: TimerWheel.slots / 64)
        cursor = now.nanoseconds / TimerWheel.tickNanoseconds
    }

    /// Fires at the first tick that begins at or after `at`.
    package mutating func arm(at: Instant, payload: UInt64) -> Entry {
        let (rounded, overflow) = at.nanoseconds.addingReportingOverflow(TimerWheel.tickNanoseconds - 1)
        let tick = (overflow ? UInt64.max : rounded) / TimerWheel.tickNanoseconds
        let due = max(tick, cursor + 1)
        let entry = allocate(due, payload)
        let slot = Int(due % UInt64(TimerWheel.slots))
        let head = heads[slot]
        nodes[Int(entry)].next = head
        if head != TimerWheel.unused { nodes[Int(head)].previous = entry }
        heads[slot] = entry
        occupied[slot / 64] |= 1 << UInt64(slot % 64)
        count += 1
        return entry
    }

    package mutating func cancel(_ entry: Entry) {
        let node = nodes[Int(entry)]
        if entry == scan { scan = node.next }
        let slot = Int(node.due % UInt64(TimerWheel.slots))
        if node.previous == TimerWheel.unused {
            heads[slot] = node.next
        } else {
            nodes[Int(node.previous)].next = node.next
        }
        if node.next != TimerWheel.unused { nodes[Int(node.next)].previous = node.previous }
        if heads[slot] == TimerWheel.unused { occupied[slot / 64] &= ~(1 << UInt64(slot % 64)) }
        nodes[Int(entry)].next = free
        free = entry
        count -= 1
    }

    /// The payload of one entry that is due, which is disarmed by this; nil when there is none left.
    package mutating func popExpired(now: Instant) -> UInt64? {
        let nowTick = now.nanoseconds / TimerWheel.tickNanoseconds
        while true {
            while scan != TimerWheel.unused {
                let entry = scan
                scan = nodes[Int(entry)].next
                if nodes[Int(entry)].due <= cursor {
                    let payload = nodes[Int(entry)].payload
                    cancel(entry)
                    return payload
                }
            }
            guard cursor < nowTick else { return nil }
            // A jump past a whole turn of the wheel must still look at every slot once.
            let next = nextOccupied(after: cursor)
            guard let next, next <= nowTick else {
                cursor = nowTick
                return nil
            }
            cursor = next
            scan = heads[Int(cursor % UInt64(TimerWheel.slots))]
        }
    }

    /// When to look again: never later than the next entry is due. nil when no timer is armed.
    package func nextLook() -> Instant? {
        if scan != TimerWheel.unused { return Instant(nanoseconds: 0) }
        guard let tick = nextOccupied(after: cursor) else { return nil }
        let (ns, overflow) = tick.multipliedReportingOverflow(by: TimerWheel.tickNanoseconds)
        return Instant(nanoseconds: overflow ? .max : ns)
    }

    /// The first tick after `tick` whose slot holds something.
    private func nextOccupied(after tick: UInt64) -> UInt64? {
        guard count > 0 else { return nil }
        let start = Int((tick + 1) % UInt64(TimerWheel.slots))
        let words = TimerWheel.slots / 64
        var word = start / 64
        var bits = occupied[word] & (~0 << UInt64(start % 64))
        for _ in 0...words {
            if bits != 0 {
                let slot = word * 64 + bits.trailingZeroBitCount
                let distance = (slot - start + TimerWheel.slots) % TimerWheel.slots
                return tick + 1 + UInt64(distance)
            }
            word = (word + 1) % words
            bits = occupied[word]
        }
        return nil
    }

    private mutating func allocate(_ due: UInt64, _ payload: UInt64) -> Entry {
        let node = Node(due: due, payload: payload, next: TimerWheel.unused, previous: TimerWheel.unused)
        guard free != TimerWheel.unused else {
            nodes.append(node)
            return Entry(nodes.count - 1)
        }
        let entry = free
        free = nodes[Int(entry)].next
        nodes[Int(entry)] = node
        return entry
    }
}
