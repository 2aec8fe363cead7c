import Protocols

/// In which order hosts and their addresses are tried: by preference, and at random among equals.
package enum HostOrder {
    /// SplitMix64: the seed is a value, so the order is.
    struct Seeded: RandomNumberGenerator {
        private var state: UInt64

        init(_ seed: UInt64) { state = seed }

        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var z = state
            z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
            z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
            return z ^ (z >> 31)
        }
    }

    /// The least preference first, equal ones shuffled.
    // RFC 5321 §5.1
    static func sorted<T>(_ hosts: [T], by preference: (T) -> UInt16, seed: UInt64) -> [T] {
        guard hosts.count > 1 else { return hosts }
        var random = Seeded(seed)
        return hosts.map { (preference($0), random.next(), $0) }
            .sorted { ($0.0, $0.1) < ($1.0, $1.1) }.map(\.2)
    }

    /// One of each family in turn, IPv6 first, each family in random order: a family that does not work here costs every
    /// second attempt and not all of them.
    static func interleaved(_ addresses: [IPAddress], max: Int, seed: UInt64) -> [IPAddress] {
        guard addresses.count > 1 else { return addresses }
        var random = Seeded(seed)
        var seen: Set<IPAddress> = []
        let unique = addresses.filter { seen.insert($0).inserted }
        let six = unique.filter { !$0.isIPv4 }.shuffled(using: &random)
        let four = unique.filter(\.isIPv4).shuffled(using: &random)
        var out: [IPAddress] = []
        for i in 0..<Swift.max(six.count, four.count) {
            if i < six.count { out.append(six[i]) }
            if i < four.count { out.append(four[i]) }
        }
        return Array(out.prefix(max))
    }

    /// The hosts of an earlier verdict, equals shuffled anew, for another message.
    package static func reshuffled(_ hosts: [PlannedHost], seed: UInt64) -> [PlannedHost] {
        sorted(hosts, by: \.preference, seed: seed)
    }
}
