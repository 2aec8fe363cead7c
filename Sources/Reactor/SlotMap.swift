/// A table of fixed capacity whose keys die with their value (the generation check).
struct SlotMap<Value: AnyObject> {
    private struct Slot {
        var generation: UInt32
        var value: Value?
    }

    private var slots: ContiguousArray<Slot>
    private var free: [UInt32]
    private(set) var count = 0
    let capacity: Int

    init(capacity: Int) {
        self.capacity = capacity
        slots = ContiguousArray(repeating: Slot(generation: 1, value: nil), count: capacity)
        free = (0..<UInt32(capacity)).reversed()
    }

    /// The key the next value will get, or nil when the table is full.
    var nextToken: Token? {
        guard let slot = free.last else { return nil }
        return Token(slot: slot, generation: slots[Int(slot)].generation)
    }

    /// Stores `value` under `nextToken`, which must have been asked for just before.
    mutating func insert(_ value: Value) {
        let slot = Int(free.removeLast())
        slots[slot].value = value
        count += 1
    }

    subscript(token: Token) -> Value? {
        let index = Int(token.slot)
        guard index < slots.count, slots[index].generation == token.generation else { return nil }
        return slots[index].value
    }

    mutating func remove(_ token: Token) {
        guard self[token] != nil else { return }
        slots[Int(token.slot)].value = nil
        slots[Int(token.slot)].generation &+= 1
        free.append(token.slot)
        count -= 1
    }

    /// Every value, for shutting down and for sweeps.
    var values: [Value] { slots.compactMap(\.value) }
}
