import Base

/// One entry of the table.
struct Destination<Item> {
    var name: [UInt8]
    let generation: UInt32
    var isLive = true
    /// When the earliest row in the store that is not leased by us becomes due.
    var due: Instant?
    /// A hint that came while the store was asked.
    var hintedDue: Instant?
    var isLeasing = false
    /// Rows are due and there was no room for them.
    var wantsRows = false
    var ready = FIFO<Item>()
    var inFlight = 0
    var feedback: Feedback
    var isHeld = false
    var pausedUntil: Instant?
    /// One goes first: the pause is over, and nothing came through since.
    var isProbing = false
    /// Pauses in a row.
    var pauses = 0
    /// With a rate: when the next may start.
    var nextStart: Instant?
    /// Among those whose turn comes, and what is left of the turn.
    var isQueued = false
    var deficit = 0
    /// Among those whose rows should be leased.
    var isWishing = false
    /// To be looked at when the turn ends.
    var isTouched = false
    /// New mail goes through the queue, as it was told last.
    var isClosed = false
    var rate = RecentRate()

    init(name: [UInt8], generation: UInt32, window: Int) {
        self.name = name
        self.generation = generation
        feedback = Feedback(window: window)
    }

    /// Nothing to do, and nothing worth remembering.
    var isIdle: Bool {
        !isHeld && !isClosed && !isLeasing && !isQueued && !isWishing && inFlight == 0 && ready.isEmpty && due == nil
            && pauses == 0 && nextStart == nil
    }

    mutating func pause(until: Instant) {
        pausedUntil = until
        isProbing = false
        pauses += 1
    }

    mutating func recover(window: Int) {
        pausedUntil = nil
        isProbing = false
        pauses = 0
        feedback.recovered(window: window)
    }
}

/// Recipients done lately: an average that forgets in about a minute.
struct RecentRate {
    private var value = 0.0
    private var last: Instant?
    private static let forgetSeconds = 60.0

    private func decayed(_ now: Instant) -> Double {
        guard let last else { return 0 }
        let age = now.seconds(since: last) / Self.forgetSeconds
        return age > 20 ? 0 : value * Self.exponential(-age)
    }

    mutating func add(_ count: Int, _ now: Instant) {
        value = decayed(now) + Double(count)
        last = now
    }

    func perMinute(_ now: Instant) -> Double { decayed(now) * 60 / Self.forgetSeconds }

    /// e^x for x ≤ 0 without the C library: (1 + x/1024)^1024.
    private static func exponential(_ x: Double) -> Double {
        var y = max(0, 1 + x / 1024)
        for _ in 0..<10 { y *= y }
        return y
    }
}

/// A queue that gives its room back.
struct FIFO<Element> {
    private var items: [Element?] = []
    private var head = 0

    var count: Int { items.count - head }
    var isEmpty: Bool { head == items.count }
    var first: Element? { head < items.count ? items[head] : nil }

    mutating func append(_ item: Element) { items.append(item) }

    mutating func prepend(_ item: Element) {
        if head > 0 {
            head -= 1
            items[head] = item
        } else {
            items.insert(item, at: 0)
        }
    }

    mutating func popFirst() -> Element? {
        guard head < items.count else { return nil }
        let item = items[head]
        items[head] = nil
        head += 1
        if head == items.count {
            items.removeAll(keepingCapacity: items.count <= 64)
            head = 0
        } else if head >= 256, head * 2 >= items.count {
            items.removeFirst(head)
            head = 0
        }
        return item
    }

    mutating func removeFirst() { _ = popFirst() }
}

/// When which destination is to be looked at: a binary heap by time. Entries are hints, several for one destination do no harm.
struct DueHeap {
    private var items: [(time: Instant, id: DestinationID)] = []

    var first: Instant? { items.first?.time }
    var count: Int { items.count }

    mutating func push(_ time: Instant, _ id: DestinationID) {
        items.append((time, id))
        var child = items.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            if items[parent].time <= items[child].time { break }
            items.swapAt(parent, child)
            child = parent
        }
    }

    mutating func popDue(_ now: Instant) -> (time: Instant, id: DestinationID)? {
        guard let top = items.first, top.time <= now else { return nil }
        let last = items.removeLast()
        if !items.isEmpty {
            items[0] = last
            sift()
        }
        return top
    }

    private mutating func sift() {
        var parent = 0
        while true {
            let left = 2 * parent + 1
            guard left < items.count else { return }
            let right = left + 1
            let child = right < items.count && items[right].time < items[left].time ? right : left
            if items[parent].time <= items[child].time { return }
            items.swapAt(parent, child)
            parent = child
        }
    }
}
