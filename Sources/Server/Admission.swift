import Base
import Synchronization

/// Counts SMTP connections over all loops, in all and by client address: SO_REUSEPORT spreads one client over every loop,
/// so a count for each would multiply the limit.
///
/// Shareable: atomics only. Bounded: a fixed table; addresses that fall on one place of it share its count, which can only
/// refuse too early, and rarely.
final class Admission: Sendable {
    enum Verdict { case admitted, full, fullForPeer }

    private static let places = 1 << 16

    private let open = Atomic<Int>(0)
    private let maximum: Int
    private let maximumPerPeer: Int
    private let counts: PeerCounts

    init(maximum: Int, perPeer: Int) {
        self.maximum = maximum
        maximumPerPeer = perPeer
        counts = PeerCounts(places: Self.places)
    }

    /// Unless admitted, `leave` must not be called.
    func enter(_ peer: [UInt8]) -> Verdict {
        guard open.add(1, ordering: .relaxed).newValue <= maximum else {
            open.subtract(1, ordering: .relaxed)
            return .full
        }
        guard counts.raise(Self.place(peer)) <= maximumPerPeer else {
            leave(peer)
            return .fullForPeer
        }
        return .admitted
    }

    func leave(_ peer: [UInt8]) {
        counts.lower(Self.place(peer))
        open.subtract(1, ordering: .relaxed)
    }

    var count: Int { open.load(ordering: .relaxed) }
    var isEmpty: Bool { count == 0 }

    /// Seeded at each start by the standard library, so that nobody can aim at a place.
    private static func place(_ peer: [UInt8]) -> Int { peer.hashValue & (places - 1) }
}

/// A fixed array of atomic counters.
///
/// Safety: the memory lives as long as the object, and every access to it is atomic.
private final class PeerCounts: @unchecked Sendable {
    private let cells: UnsafeMutablePointer<Atomic<Int32>>
    private let places: Int

    init(places: Int) {
        self.places = places
        cells = .allocate(capacity: places)
        for i in 0..<places { (cells + i).initialize(to: Atomic(0)) }
    }

    deinit {
        cells.deinitialize(count: places)
        cells.deallocate()
    }

    func raise(_ place: Int) -> Int { Int(cells[place].add(1, ordering: .relaxed).newValue) }
    func lower(_ place: Int) { cells[place].subtract(1, ordering: .relaxed) }
}
