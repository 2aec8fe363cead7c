package import Base
package import Store
import Synchronization

/// How many jobs may be in memory, and for which destinations a new message may skip the queue. Accepting loops ask it,
/// the scheduler and they settle up with it.
///
/// Shareable: atomics. A slot is held from `tryReserve` (or the scheduler's own lease) until the job's end is in the store.
package final class DeliveryGate: Sendable {
    /// The owner of this process's leases: another at every start.
    package let owner: LeaseOwner
    /// How long a lease lasts from its making.
    package let leaseSeconds: Double
    package let slotsMax: Int
    private let free: Atomic<Int>
    private let isOpen = Atomic<Bool>(false)
    /// Reasons to send a destination's mail through the queue, counted by the name's hash: two destinations in one cell
    /// cost each other the short way, nothing else.
    private let closed: ClosedCells

    package init(owner: LeaseOwner, slotsMax: Int, leaseSeconds: Double = 300) {
        self.owner = owner
        self.slotsMax = max(1, slotsMax)
        self.leaseSeconds = leaseSeconds
        free = Atomic(max(1, slotsMax))
        closed = ClosedCells()
    }

    /// Takes `jobs` slots for a message to `site`. True: accept it with `leasedTo: owner` and hand its jobs to
    /// `QueueScheduler.noteAccepted`, or give the slots back with `release`.
    package func tryReserve(_ jobs: Int = 1, site: [UInt8]) -> Bool {
        guard isOpen.load(ordering: .relaxed), !closed.isClosed(site) else { return false }
        // An eighth is for what waits in the store.
        guard free.load(ordering: .relaxed) - jobs >= slotsMax / 8 else { return false }
        return take(jobs)
    }

    /// Slots for rows that are leased from the store: no destination is asked.
    func take(_ jobs: Int) -> Bool {
        if free.subtract(jobs, ordering: .acquiringAndReleasing).newValue >= 0 { return true }
        free.add(jobs, ordering: .acquiringAndReleasing)
        return false
    }

    package func release(_ jobs: Int = 1) { free.add(jobs, ordering: .acquiringAndReleasing) }

    /// When a lease made now ends.
    package func leaseEnd(_ now: WallTime) -> WallTime {
        WallTime(microseconds: now.microseconds &+ Int64(leaseSeconds * 1e6))
    }

    package var freeSlots: Int { max(0, free.load(ordering: .relaxed)) }

    /// Before `open` and after `close` every message takes the long way.
    package func open() { isOpen.store(true, ordering: .releasing) }
    package func close() { isOpen.store(false, ordering: .releasing) }

    func closeSite(_ site: [UInt8]) { closed.add(site, 1) }
    func openSite(_ site: [UInt8]) { closed.add(site, -1) }
}

/// A fixed table of counters by hash.
private final class ClosedCells: Sendable {
    private static let count = 4_096
    private let cells: [Cell]

    private final class Cell: Sendable {
        let closed = Atomic<Int>(0)
    }

    init() { cells = (0..<Self.count).map { _ in Cell() } }

    private func cell(_ site: [UInt8]) -> Cell { cells[Int(SiteHash.of(site) % UInt64(Self.count))] }

    func isClosed(_ site: [UInt8]) -> Bool { cell(site).closed.load(ordering: .relaxed) > 0 }
    func add(_ site: [UInt8], _ change: Int) { cell(site).closed.add(change, ordering: .relaxed) }
}

/// FNV-1a: the same for one name in all threads and processes.
enum SiteHash {
    static func of(_ site: [UInt8]) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in site { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return hash ^ (hash >> 29)
    }
}
