/// Names one connection of one reactor for as long as it lives: slot and generation, as in epoll's 64-bit data.
/// A token of a closed connection finds nothing, even when the slot is in use again.
package struct Token: Sendable, Hashable {
    package let slot: UInt32
    package let generation: UInt32

    package init(slot: UInt32, generation: UInt32) {
        self.slot = slot
        self.generation = generation
    }

    package init(raw: UInt64) {
        slot = UInt32(truncatingIfNeeded: raw)
        generation = UInt32(truncatingIfNeeded: raw >> 32)
    }

    package var raw: UInt64 { UInt64(generation) << 32 | UInt64(slot) }
}
