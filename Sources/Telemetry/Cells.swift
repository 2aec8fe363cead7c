import CEpoll
import Synchronization

/// The numbers behind one metric family: `width` slots for each of 8 shards, each shard on cache lines of its own.
///
/// A thread adds to the shard of its loop id, so two reactors do not fight over a line; a scrape sums the shards.
/// Owned by the family's handles and by the `Registry`; bounded by the label sets fixed at definition.
// Safety: the memory is allocated once, never moved, and only reached through the atomics it holds.
@usableFromInline
package final class Cells: @unchecked Sendable {
    private static let shards = 8
    private static let line = 64

    private let base: UnsafeMutablePointer<Atomic<UInt64>>
    private let stride: Int
    package let width: Int

    package init(width: Int) {
        self.width = width
        let words = Self.line / MemoryLayout<Atomic<UInt64>>.stride
        stride = (width + words - 1) / words * words
        let raw = UnsafeMutableRawPointer.allocate(
            byteCount: stride * Self.shards * MemoryLayout<Atomic<UInt64>>.stride, alignment: Self.line)
        base = raw.bindMemory(to: Atomic<UInt64>.self, capacity: stride * Self.shards)
        for i in 0..<(stride * Self.shards) { (base + i).initialize(to: Atomic(0)) }
    }

    deinit {
        base.deinitialize(count: stride * Self.shards)
        base.deallocate()
    }

    /// Adds `n` (two's complement, so gauges may go down) to `slot` in this thread's shard.
    @usableFromInline
    package func add(_ n: UInt64, to slot: Int) {
        precondition(slot >= 0 && slot < stride, "a label outside its set")
        let shard = Int(truncatingIfNeeded: mt_get_loop_id()) & (Self.shards - 1)
        base[shard * stride + slot].wrappingAdd(n, ordering: .relaxed)
    }

    /// Makes the sum of `slot` equal to `n`. Only for slots with one writer.
    package func set(_ n: UInt64, of slot: Int) {
        precondition(slot >= 0 && slot < width, "a label outside its set")
        for shard in 1..<Self.shards { base[shard * stride + slot].store(0, ordering: .relaxed) }
        base[slot].store(n, ordering: .relaxed)
    }

    /// The sum over all shards.
    package func sum(_ slot: Int) -> UInt64 {
        precondition(slot >= 0 && slot < width, "a label outside its set")
        var total: UInt64 = 0
        for shard in 0..<Self.shards { total &+= base[shard * stride + slot].load(ordering: .relaxed) }
        return total
    }
}
