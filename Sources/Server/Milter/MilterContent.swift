import Base

/// The body of a message on its way to filters: what some filter still has to see. Owned by its chain; bounded by the
/// chain, which makes the client wait.
struct MilterContent {
    private(set) var bytes: [UInt8] = []
    /// Where `bytes` begins in the body.
    private(set) var base = 0
    var isComplete = false

    var end: Int { base + bytes.count }

    mutating func append(_ more: Span<UInt8>) { bytes.append(more) }

    /// Octets that nobody wants.
    mutating func skip(_ octets: Int) {
        base = end + octets
        bytes = []
    }

    /// Nobody wants what is before `place`. Moved rarely: a copy of the rest each time.
    mutating func forget(before place: Int) {
        let n = min(place - base, bytes.count)
        guard n > 0, n == bytes.count || n >= 65_536 else { return }
        if n == bytes.count { bytes.removeAll(keepingCapacity: true) } else { bytes.removeFirst(n) }
        base += n
    }

    /// The whole body at once, when a filter replaced it.
    mutating func replace(with body: [UInt8]) {
        bytes = body
        base = 0
    }
}
