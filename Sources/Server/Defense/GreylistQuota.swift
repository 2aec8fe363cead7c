import Policy
import Protocols
import Synchronization

/// How much of the greylist book the new and waiting entries of each client network take. A network by its own address has
/// all its entries in one shard; one that proves domain after domain would spread over all of them, and push out what
/// everybody else waits with. No network gets more than a shard's worth, whatever it calls itself.
///
/// Bounded: a fixed number of counters. Networks that hash to the same one share a quota; who does cannot be chosen, the
/// hash has the seed of the process.
///
/// Safety: the counters are atomics, allocated once and freed with the last reference.
final class GreylistQuota: @unchecked Sendable {
    /// A client's network, hashed: its /24, or its /48 of IPv6. 0: not known, and not counted.
    typealias Owner = UInt32

    private static let count = 16_384

    private let used: UnsafeMutablePointer<Atomic<Int>>
    private let octetsMax: Int
    private let octetsMin: Int

    /// Of one network: so many octets of keys, so many entries.
    init(octetsMax: Int, entriesMax: Int) {
        self.octetsMax = octetsMax
        octetsMin = max(1, octetsMax / max(1, entriesMax))
        used = .allocate(capacity: Self.count)
        for i in 0..<Self.count { (used + i).initialize(to: Atomic(0)) }
    }

    deinit {
        used.deinitialize(count: Self.count)
        used.deallocate()
    }

    static func owner(_ address: IPAddress) -> Owner {
        Owner(truncatingIfNeeded: ClientKey(networkOf: address.unmapped).hashValue) | 1
    }

    /// Of an entry that the journal held: where a domain was proven, nobody knows by whom.
    static func owner(identity: some Collection<UInt8>) -> Owner {
        AddressBlock(String(decoding: identity, as: UTF8.self)).map { owner($0.address) } ?? 0
    }

    func add(_ owner: Owner, octets: Int) { counter(owner).pointee.add(weight(octets), ordering: .relaxed) }

    func subtract(_ owner: Owner, octets: Int) { counter(owner).pointee.subtract(weight(octets), ordering: .relaxed) }

    /// Whether the owner has no room for one more entry.
    func isFull(_ owner: Owner, octets: Int) -> Bool {
        counter(owner).pointee.load(ordering: .relaxed) + weight(octets) > octetsMax
    }

    private func weight(_ octets: Int) -> Int { max(octets, octetsMin) }

    private func counter(_ owner: Owner) -> UnsafeMutablePointer<Atomic<Int>> { used + Int(owner >> 1) % Self.count }
}
