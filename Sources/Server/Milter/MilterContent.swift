import Base

/// The body of a message on its way to filters: what some filter still has to see. Owned by its chain; bounded by the
/// chain, which makes the client wait.
struct MilterContent {
    private(set) var bytes: [UInt8] = []
    /// Where `bytes` begins in the body.
    private(set) var base = 0
    /// Octets of `bytes` that nobody wants any more. Moved out when they are more than half, so that all of it is moved
    /// once, however small the pieces are.
    private var done = 0
    var isComplete = false
    /// The body is one that a filter made, which is kept for the outcome anyway: nothing of it is ever moved.
    private(set) var isReplacement = false

    var end: Int { base + bytes.count }
    /// Octets in memory that are not counted elsewhere.
    var kept: Int { isReplacement ? 0 : bytes.count }

    mutating func append(_ more: Span<UInt8>) { bytes.append(more) }

    /// Octets that nobody wants.
    mutating func skip(_ octets: Int) {
        base = end + octets
        bytes = []
        done = 0
    }

    /// Nobody wants what is before `place`.
    mutating func forget(before place: Int) {
        let n = min(place - base, bytes.count)
        guard n > done else { return }
        done = n
        if n == bytes.count {
            base += n
            done = 0
            if isReplacement { bytes = [] } else { bytes.removeAll(keepingCapacity: true) }
        } else if !isReplacement, done > bytes.count - done {
            bytes.removeFirst(done)
            base += done
            done = 0
        }
    }

    /// The whole body at once, when a filter replaced it.
    mutating func replace(with body: [UInt8]) {
        bytes = body
        base = 0
        done = 0
        isReplacement = true
    }
}
