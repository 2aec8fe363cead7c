package import Base
package import Ledger
package import Policy
package import Protocols

/// Refused connections in a flood: those of one network that were told the same share an id, and one record that says how
/// many they are. Holds about a second of them; owned by a loop, which writes the records down. Bounded by `networksMax`
/// groups of a network and `othersMax` of all others, one for each thing that is said.
package struct RefusalDigest {
    package static let seconds = 1.0
    package static let networksMax = 16
    package static let othersMax = 16

    private struct Key: Hashable {
        /// nil: whoever found no group of the network.
        let network: ClientKey?
        let control: DefenseEvent.Control
        let reply: Reply
    }

    private struct Group {
        var record: ConnectionRecord
        let began: Instant
    }

    private var groups: [Key: Group] = [:]
    private var networks = 0

    package init() {}

    package var isEmpty: Bool { groups.isEmpty }

    /// Counts one that is told `reply`; the reply with the id of its group. nil: all groups are taken, only if far more
    /// kinds of reply came than there are. `make` draws the id for a new group.
    package mutating func add(
        _ event: DefenseEvent, _ reply: Reply, from client: IPAddress?, at now: Instant, _ make: () -> ConnectionRecord
    ) -> Reply? {
        let network = client.map { ClientKey(networkOf: $0) }
        let own = Key(network: network, control: event.control, reply: reply)
        if let known = count(own, now) { return known }
        if network != nil, networks < Self.networksMax {
            networks += 1
            return begin(own, now, make)
        }
        let other = Key(network: nil, control: event.control, reply: reply)
        if let known = count(other, now) { return known }
        guard groups.count - networks < Self.othersMax else { return nil }
        return begin(other, now, make)
    }

    private mutating func count(_ key: Key, _ now: Instant) -> Reply? {
        guard let at = groups.index(forKey: key) else { return nil }
        groups.values[at].record.connections += 1
        groups.values[at].record.elapsedMicroseconds = UInt64(now.seconds(since: groups.values[at].began) * 1e6)
        return groups.values[at].record.reply
    }

    private mutating func begin(_ key: Key, _ now: Instant, _ make: () -> ConnectionRecord) -> Reply? {
        var record = make()
        record.reason = Array("refused before their greeting, in a flood; this record stands for all of them".utf8)
        record.network = key.network?.block.map { Array("\($0)".utf8) } ?? []
        groups[key] = Group(record: record, began: now)
        return record.reply
    }

    package func record(_ id: MessageID) -> ConnectionRecord? {
        guard var record = groups.values.first(where: { $0.record.id == id })?.record else { return nil }
        record.isOpen = true
        return record
    }

    package mutating func takeAll() -> [ConnectionRecord] {
        defer {
            groups = [:]
            networks = 0
        }
        return groups.values.map(\.record).sorted { $0.id < $1.id }
    }
}
