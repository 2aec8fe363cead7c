import Policy

/// When the heap should give back to the system what is free inside it: while memory is scarce, because the level is
/// measured by what the process has, and would otherwise stay where the worst moment left it. Confined to the pressure
/// thread.
struct HeapTrimming {
    static let periodNanoseconds: UInt64 = 1_000_000_000
    /// The part of the limit that must have come free since the last time to be worth the walk through the heap.
    static let worthwhilePart = 64
    /// The walk through the heap stops whoever needs memory meanwhile: it may take one part of the time in so many.
    static let restParts: UInt64 = 100

    private var next: UInt64 = 0
    /// Free octets that are known to be given back, or not worth it.
    private var settled = 0
    private var hasTrimmed = false

    /// Makes glibc look at the end of this thread's arena: it does so when a block of this size is freed, and only there.
    static func trimOwnArena() {
        let block = UnsafeMutableRawPointer.allocate(byteCount: 96 << 10, alignment: 16)
        block.storeBytes(of: 0, as: UInt8.self)
        block.deallocate()
    }

    /// The last question, and what followed from it, took so long: the next one waits accordingly.
    mutating func took(_ nanoseconds: UInt64, until now: UInt64) {
        next = max(next, now &+ min(nanoseconds, 1 << 40) &* Self.restParts)
    }

    /// True once when memory is no longer scarce after a trim: the heap may keep again what comes free.
    mutating func mayKeep(_ level: PressureLevel) -> Bool {
        guard hasTrimmed, level == .calm else { return false }
        hasTrimmed = false
        return true
    }

    /// Asks for the free octets at most once a period. True: trim now.
    mutating func isDue(_ level: PressureLevel, limit: Int, at now: UInt64, free: () -> Int) -> Bool {
        guard level > .calm, now >= next else { return false }
        next = now &+ Self.periodNanoseconds
        let octets = free()
        // What was given back and is used again is worth giving back again.
        settled = min(settled, octets)
        guard level >= .high || octets - settled > limit / Self.worthwhilePart else { return false }
        settled = octets
        hasTrimmed = true
        return true
    }
}
