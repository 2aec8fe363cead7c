import Handoff

/// Push and pop on the hand-off ring, one thread: the cost without contention.
enum RingBench {
    static func run(_ seconds: Double) -> MicroResult {
        let ring = MPSCRing<UInt64>(capacity: 1_024)
        return MicroResult.measure("ring", "hand-offs", seconds) {
            for i in 0..<1_000 { precondition(ring.push(UInt64(i)), "the ring is full") }
            for i in 0..<1_000 { precondition(ring.pop() == UInt64(i), "the ring lost an element") }
            return 1_000
        }
    }
}
