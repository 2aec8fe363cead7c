import Base
import Policy

/// Shards by the hash of the client, so that loops seldom wait for each other.
struct ClientShards: Sendable {
    private static let count = 64

    private let shards: [ClientShard]

    init(records: Int) {
        let each = Self.count * ClientShard.ways
        let sets = max(1, (records + each - 1) / each)
        shards = (0..<Self.count).map { _ in ClientShard(sets: sets) }
    }

    @discardableResult
    func known<R>(_ key: ClientKey, _ body: (inout ClientRecord) -> R) -> R? {
        let hash = Self.hash(key)
        return shard(hash).known(key, hash >> 6, body)
    }

    @discardableResult
    func claim<R>(_ key: ClientKey, _ now: Instant, _ body: (inout ClientRecord) -> R) -> R? {
        let hash = Self.hash(key)
        return shard(hash).claim(key, hash >> 6, now, body)
    }

    /// One shard after the other: no picture of one moment.
    func walk(_ body: (ClientKey, inout ClientRecord) -> Void) {
        for shard in shards { shard.walk(body) }
    }

    /// The same, with no lock held while `body` looks: it may take its time.
    func look(_ body: (ClientKey, ClientRecord) -> Void) {
        for shard in shards {
            for (key, record) in shard.copies { body(key, record) }
        }
    }

    private func shard(_ hash: UInt64) -> ClientShard { shards[Int(truncatingIfNeeded: hash % UInt64(Self.count))] }

    private static func hash(_ key: ClientKey) -> UInt64 { UInt64(bitPattern: Int64(key.hashValue)) }
}
