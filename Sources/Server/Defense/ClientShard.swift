import Base
import Policy
import Synchronization

/// One part of a table of clients: a fixed number of sets of `ways` records behind one lock. A client has one set it can
/// be in; when that is full, the record that is worth least makes room.
///
/// Shareable because everything is behind the lock, which is held for one record, or while an operator's command copies
/// or releases the records.
/// Bounded: both arrays are made at the start and never grow.
final class ClientShard: Sendable {
    static let ways = 32

    private struct Records {
        var keys: [ClientKey]
        var records: [ClientRecord]
    }

    private let sets: Int
    private let state: Mutex<Records>

    init(sets: Int) {
        self.sets = sets
        let count = sets * Self.ways
        state = Mutex(
            Records(
                keys: Array(repeating: .nobody, count: count), records: Array(repeating: ClientRecord(), count: count)))
    }

    /// nil: the client is not known.
    func known<R>(_ key: ClientKey, _ hash: UInt64, _ body: (inout ClientRecord) -> R) -> R? {
        let first = first(hash)
        return state.withLock { state in
            guard let i = Self.find(key, first, state.keys) else { return nil }
            return body(&state.records[i])
        }
    }

    /// nil: every record of the set has a connection open.
    func claim<R>(_ key: ClientKey, _ hash: UInt64, _ now: Instant, _ body: (inout ClientRecord) -> R) -> R? {
        let first = first(hash)
        return state.withLock { state in
            if let i = Self.find(key, first, state.keys) { return body(&state.records[i]) }
            guard let i = Self.room(first, state, now) else { return nil }
            state.keys[i] = key
            state.records[i] = ClientRecord()
            return body(&state.records[i])
        }
    }

    /// Every record; `body` must be quick.
    func walk(_ body: (ClientKey, inout ClientRecord) -> Void) {
        state.withLock { state in
            for i in state.keys.indices where !state.keys[i].isNobody { body(state.keys[i], &state.records[i]) }
        }
    }

    /// Every record, copied one by one: sharing the arrays would make the next loop that changes one copy them all.
    var copies: [(ClientKey, ClientRecord)] {
        var out: [(ClientKey, ClientRecord)] = []
        out.reserveCapacity(sets * Self.ways)
        state.withLock { state in
            for i in state.keys.indices where !state.keys[i].isNobody { out.append((state.keys[i], state.records[i])) }
        }
        return out
    }

    private func first(_ hash: UInt64) -> Int { Int(truncatingIfNeeded: hash % UInt64(sets)) * Self.ways }

    private static func find(_ key: ClientKey, _ first: Int, _ keys: [ClientKey]) -> Int? {
        for i in first..<first + ways where keys[i] == key { return i }
        return nil
    }

    /// A free place; else the stalest record without a connection, one of a client that is known to be good last.
    private static func room(_ first: Int, _ state: borrowing Records, _ now: Instant) -> Int? {
        var stalest: Int?
        var stalestGood: Int?
        for i in first..<first + ways {
            if state.keys[i].isNobody { return i }
            let record = state.records[i]
            guard record.open == 0 else { continue }
            if record.isKnownGood(now) {
                if stalestGood.map({ record.touched < state.records[$0].touched }) ?? true { stalestGood = i }
            } else if stalest.map({ record.touched < state.records[$0].touched }) ?? true {
                stalest = i
            }
        }
        return stalest ?? stalestGood
    }
}
