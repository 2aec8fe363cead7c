import Base
import Reactor

/// Which filters failed lately, for one loop: one that keeps failing is left alone for a while, so that not every message
/// waits for it to time out. Bounded by the filters configured.
struct MilterHealth {
    private struct Entry {
        var target: ConnectTarget
        var failures = 0
        var restSeconds = 0.0
        var restUntil = Instant(nanoseconds: 0)
    }
    private var entries: [[UInt8]: Entry] = [:]

    /// False: it rests.
    mutating func mayTry(_ server: MilterServer, _ now: Instant) -> Bool {
        guard let entry = entries[server.name], entry.target == server.target else { return true }
        guard entry.failures > 0, entry.restSeconds > 0 else { return true }
        guard now >= entry.restUntil else { return false }
        // One message tries; the others wait for what it finds.
        entries[server.name]?.restUntil = now.advanced(bySeconds: entry.restSeconds)
        return true
    }

    mutating func succeeded(_ server: MilterServer) {
        if entries[server.name] != nil { entries[server.name] = nil }
    }

    /// True when a rest begins here.
    mutating func failed(_ server: MilterServer, _ limits: MilterLimits, _ now: Instant) -> Bool {
        var entry = entries[server.name] ?? Entry(target: server.target)
        if entry.target != server.target { entry = Entry(target: server.target) }
        entry.failures += 1
        defer { entries[server.name] = entry }
        guard entry.failures >= limits.failuresMax else { return false }
        entry.restSeconds = min(limits.restSecondsMax, max(limits.restSeconds, entry.restSeconds * 2))
        entry.restUntil = now.advanced(bySeconds: entry.restSeconds)
        return true
    }
}
