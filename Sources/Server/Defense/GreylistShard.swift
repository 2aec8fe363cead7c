import Base
import Policy

/// A part of the greylist book: entries by key, and one list for each state with the stalest entry first. A value behind
/// its shard's lock; bounded in entries and in octets of keys.
///
/// When it is full the stalest new entry goes, then the stalest waiting one. Known ones have seven eighths of the room
/// and are pushed out by known ones only: no flood of new triplets reaches them.
struct GreylistShard {
    struct Slot {
        var key: [UInt8]
        var record: GreylistRecord
        /// It was counted as caught.
        var hasLapsed = false
        /// When the journal was last told, microseconds.
        var journaledAt: Int64 = 0
        fileprivate var previous: Int32 = -1
        fileprivate var next: Int32 = -1
        var isUsed = true
    }

    private struct List {
        var head: Int32 = -1
        var tail: Int32 = -1
        var count = 0
    }

    private(set) var slots: [Slot] = []
    private var index: [[UInt8]: Int32] = [:]
    private var free: [Int32] = []
    private var lists: (new: List, waiting: List, known: List) = (List(), List(), List())
    private(set) var octets = 0
    private var knownOctets = 0
    private let entriesMax: Int
    private let octetsMax: Int

    init(entriesMax: Int, octetsMax: Int) {
        self.entriesMax = max(8, entriesMax)
        self.octetsMax = max(16_384, octetsMax)
    }

    var count: Int { index.count }

    func find(_ key: [UInt8]) -> Slot? { index[key].map { slots[Int($0)] } }

    /// Stores or replaces; what was pushed out for it, by state.
    mutating func put(
        _ key: [UInt8], _ record: GreylistRecord, hasLapsed: Bool = false, journaledAt: Int64 = 0,
        pushed: (GreylistRecord.State) -> Void
    ) {
        if let at = index[key] {
            unlink(at)
            slots[Int(at)].record = record
            slots[Int(at)].hasLapsed = hasLapsed
            slots[Int(at)].journaledAt = journaledAt
            link(at)
            return
        }
        makeRoom(for: record.state, octets: key.count, pushed: pushed)
        let slot = Slot(key: key, record: record, hasLapsed: hasLapsed, journaledAt: journaledAt)
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

    // MARK: Room

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
        let state = slots[Int(at)].record.state
        if state == .known { knownOctets += slots[Int(at)].key.count }
        with(state) { list, slots in
            slots[Int(at)].previous = list.tail
            slots[Int(at)].next = -1
            if list.tail >= 0 { slots[Int(list.tail)].next = at } else { list.head = at }
            list.tail = at
            list.count += 1
        }
    }

    private mutating func unlink(_ at: Int32) {
        let slot = slots[Int(at)]
        if slot.record.state == .known { knownOctets -= slot.key.count }
        with(slot.record.state) { list, slots in
            if slot.previous >= 0 { slots[Int(slot.previous)].next = slot.next } else { list.head = slot.next }
            if slot.next >= 0 { slots[Int(slot.next)].previous = slot.previous } else { list.tail = slot.previous }
            list.count -= 1
        }
    }

    private mutating func with(_ state: GreylistRecord.State, _ change: (inout List, inout [Slot]) -> Void) {
        switch state {
        case .new: change(&lists.new, &slots)
        case .waiting: change(&lists.waiting, &slots)
        case .known: change(&lists.known, &slots)
        }
    }

    func count(_ state: GreylistRecord.State) -> Int {
        switch state {
        case .new: lists.new.count
        case .waiting: lists.waiting.count
        case .known: lists.known.count
        }
    }
}
