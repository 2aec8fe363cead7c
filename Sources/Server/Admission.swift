import Synchronization

/// Counts connections over all loops against `smtp.max_connections`.
///
/// Shareable: one atomic.
final class Admission: Sendable {
    private let open = Atomic<Int>(0)
    private let maximum: Int

    init(maximum: Int) { self.maximum = maximum }

    /// False: no place; `leave` must not be called then.
    func enter() -> Bool {
        if open.add(1, ordering: .relaxed).newValue <= maximum { return true }
        open.subtract(1, ordering: .relaxed)
        return false
    }

    var count: Int { open.load(ordering: .relaxed) }
    var isEmpty: Bool { count == 0 }

    func leave() { open.subtract(1, ordering: .relaxed) }
}
