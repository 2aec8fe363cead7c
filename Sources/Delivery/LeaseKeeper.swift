import Base
import Store

/// Which leases must be made longer when: those of jobs that take more than half a lease. Pure; one entry for each job in
/// memory, in the order of their times, which is that of their coming.
struct LeaseKeeper {
    private var entries = FIFO<(at: Instant, key: QueueRowID)>()
    private let halfSeconds: Double

    init(leaseSeconds: Double) { halfSeconds = leaseSeconds / 2 }

    /// `isUrgent`: the store did not make it longer; before all others.
    mutating func add(_ key: QueueRowID, now: Instant, isUrgent: Bool = false) {
        if isUrgent { return entries.prepend((now, key)) }
        entries.append((now.advanced(bySeconds: halfSeconds), key))
    }

    /// Jobs whose leases are half over, at most `limit`. They are added again when the store has answered.
    mutating func takeDue(now: Instant, limit: Int) -> [QueueRowID] {
        var out: [QueueRowID] = []
        while out.count < limit, let first = entries.first, first.at <= now {
            entries.removeFirst()
            out.append(first.key)
        }
        return out
    }

    /// A hint: the job may have ended.
    var next: Instant? { entries.first?.at }
}
