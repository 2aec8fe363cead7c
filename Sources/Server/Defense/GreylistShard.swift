import Base
import Policy

/// A part of the greylist book: entries by key, and one list for each state with the stalest entry first. A value behind
/// its shard's lock; bounded in entries and in octets of keys.
///
/// A client network that has its quota loses its own stalest entry for each new one. When the shard is full the stalest new entry goes, then the stalest waiting one. Known ones have seven eighths of the room
/// and are pushed out by known ones only: no flood of new triplets reaches them.
struct GreylistShard {
    struct Slot {
        var key: [UInt8]
        var record: GreylistRecord
        /// It was counted as caught.
        var hasLapsed = false
        /// When the journal was last told, microseconds.
        var journaledAt: Int64 = 0
        /// Whose first attempt made it.
        fileprivate var owner: GreylistQuota.Owner = 0
        private var ofState = Links()
        private var ofOwner = Links()
        var isUsed = true

        fileprivate init(
            key: [UInt8], record: GreylistRecord, hasLapsed: Bool, journaledAt: Int64, owner: GreylistQuota.Owner
        ) {
            self.key = key
            self.record = record
            self.hasLapsed = hasLapsed
            self.journaledAt = journaledAt
            self.owner = owner
        }

        fileprivate subscript(_ chain: Chain) -> Links {
            get { chain == .ofState ? ofState : ofOwner }
            set { if chain == .ofState { ofState = newValue } else { ofOwner = newValue } }
        }
    }

    /// The lists that an entry is in.
    fileprivate enum Chain { case ofState, ofOwner }

    fileprivate struct Links {
        var previous: Int32 = -1
        var next: Int32 = -1
    }

    private struct List {
        var head: Int32 = -1
        var tail: Int32 = -1
        var count = 0
    }

    /// What one client network has here that is not known, the stalest first.
    private struct Owned {
        var new = List()
        var waiting = List()
    }

    private(set) var slots: [Slot] = []
    private var index: [[UInt8]: Int32] = [:]
    private var free: [Int32] = []
    private var lists: (new: List, waiting: List, known: List) = (List(), List(), List())
    private(set) var octets = 0
    private var knownOctets = 0
    private var owned: [GreylistQuota.Owner: Owned] = [:]
    private let quota: GreylistQuota
    private let entriesMax: Int
    private let octetsMax: Int

    init(entriesMax: Int, octetsMax: Int, quota: GreylistQuota) {
        self.quota = quota
        self.entriesMax = max(8, entriesMax)
        self.octetsMax = max(16_384, octetsMax)
    }

    var count: Int { index.count }

    func find(_ key: [UInt8]) -> Slot? { index[key].map { slots[Int($0)] } }

    /// Stores or replaces; what was pushed out for it, by state. An entry stays its first owner's.
    mutating func put(
        _ key: [UInt8], _ record: GreylistRecord, hasLapsed: Bool = false, journaledAt: Int64 = 0,
        owner: GreylistQuota.Owner = 0, pushed: (GreylistRecord.State) -> Void
    ) {
        if let at = index[key] {
            unlink(at)
            slots[Int(at)].record = record
            slots[Int(at)].hasLapsed = hasLapsed
            slots[Int(at)].journaledAt = journaledAt
            link(at)
            return
        }
        if record.state != .known { pushOutOwn(owner, octets: key.count, pushed) }
        makeRoom(for: record.state, octets: key.count, pushed: pushed)
        let slot = Slot(key: key, record: record, hasLapsed: hasLapsed, journaledAt: journaledAt, owner: owner)
        let at: Int32
        if let reused = free.popLast() {
            at = reused
            slots[Int(at)] = slot
        } else {
            at = Int32(truncatingIfNeeded: slots.count)
            slots.append(slot)
        }
        index[key] = at
        octets += key.count
        link(at)
    }

    /// What was there.
    @discardableResult
    mutating func remove(_ key: [UInt8]) -> GreylistRecord? {
        guard let at = index.removeValue(forKey: key) else { return nil }
        let record = slots[Int(at)].record
        unlink(at)
        octets -= key.count
        slots[Int(at)].key = []
        slots[Int(at)].isUsed = false
        free.append(at)
        return record
    }

    /// It was counted as caught; its place among the others stays.
    mutating func setLapsed(_ at: Int) { slots[at].hasLapsed = true }

    // MARK: Room

    /// Where the owner's entries are all in other shards, it gets this one: a few more than its quota.
    private mutating func pushOutOwn(
        _ owner: GreylistQuota.Owner, octets: Int, _ pushed: (GreylistRecord.State) -> Void
    ) {
        guard owner != 0 else { return }
        while quota.isFull(owner, octets: octets), let own = owned[owner] {
            if pushOut(own.new.head, .new, pushed) { continue }
            guard pushOut(own.waiting.head, .waiting, pushed) else { return }
        }
    }

    private mutating func makeRoom(
        for state: GreylistRecord.State, octets more: Int, pushed: (GreylistRecord.State) -> Void
    ) {
        if state == .known {
            while lists.known.count >= entriesMax / 8 * 7 || knownOctets + more > octetsMax / 8 * 7 {
                guard pushOut(lists.known.head, .known, pushed) else { break }
            }
        }
        while count >= entriesMax || octets + more > octetsMax {
            if pushOut(lists.new.head, .new, pushed) || pushOut(lists.waiting.head, .waiting, pushed) { continue }
            guard pushOut(lists.known.head, .known, pushed) else { return }
        }
    }

    private mutating func pushOut(
        _ at: Int32, _ state: GreylistRecord.State, _ pushed: (GreylistRecord.State) -> Void
    ) -> Bool {
        guard at >= 0 else { return false }
        remove(slots[Int(at)].key)
        pushed(state)
        return true
    }

    // MARK: Lists

    private mutating func link(_ at: Int32) {
        let (state, octets, owner) = facts(at)
        switch state {
        case .new: Self.append(at, to: &lists.new, .ofState, &slots)
        case .waiting: Self.append(at, to: &lists.waiting, .ofState, &slots)
        case .known:
            knownOctets += octets
            return Self.append(at, to: &lists.known, .ofState, &slots)
        }
        guard owner != 0 else { return }
        quota.add(owner, octets: octets)
        if state == .new {
            Self.append(at, to: &owned[owner, default: Owned()].new, .ofOwner, &slots)
        } else {
            Self.append(at, to: &owned[owner, default: Owned()].waiting, .ofOwner, &slots)
        }
    }

    private mutating func unlink(_ at: Int32) {
        let (state, octets, owner) = facts(at)
        switch state {
        case .new: Self.remove(at, from: &lists.new, .ofState, &slots)
        case .waiting: Self.remove(at, from: &lists.waiting, .ofState, &slots)
        case .known:
            knownOctets -= octets
            return Self.remove(at, from: &lists.known, .ofState, &slots)
        }
        guard owner != 0, var own = owned[owner] else { return }
        quota.subtract(owner, octets: octets)
        if state == .new {
            Self.remove(at, from: &own.new, .ofOwner, &slots)
        } else {
            Self.remove(at, from: &own.waiting, .ofOwner, &slots)
        }
        owned[owner] = own.new.count + own.waiting.count > 0 ? own : nil
    }

    private func facts(_ at: Int32) -> (GreylistRecord.State, Int, GreylistQuota.Owner) {
        let slot = slots[Int(at)]
        return (slot.record.state, slot.key.count, slot.owner)
    }

    private static func append(
        _ at: Int32, to list: inout List, _ chain: Chain, _ slots: inout [Slot]
    ) {
        slots[Int(at)][chain] = Links(previous: list.tail, next: -1)
        if list.tail >= 0 { slots[Int(list.tail)][chain].next = at } else { list.head = at }
        list.tail = at
        list.count += 1
    }

    private static func remove(
        _ at: Int32, from list: inout List, _ chain: Chain, _ slots: inout [Slot]
    ) {
        let own = slots[Int(at)][chain]
        if own.previous >= 0 { slots[Int(own.previous)][chain].next = own.next } else { list.head = own.next }
        if own.next >= 0 {
            slots[Int(own.next)][chain].previous = own.previous
        } else {
            list.tail = own.previous
        }
        list.count -= 1
    }

    func count(_ state: GreylistRecord.State) -> Int {
        switch state {
        case .new: lists.new.count
        case .waiting: lists.waiting.count
        case .known: lists.known.count
        }
    }
}
