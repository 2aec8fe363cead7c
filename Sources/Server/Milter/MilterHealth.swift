import Base
import Reactor

/// Which filters failed lately, for one loop: one that keeps failing is left alone for a while, so that not every message
/// waits for it to time out. Any answer ends the rest; failures are forgotten when it gets past the stage it failed at, so
/// that one which greets everybody and then hangs at the end of each message is still found out. Bounded by the filters
/// configured.
struct MilterHealth {
    private struct Entry {
        var target: ConnectTarget
        /// In a row, the last of them at `stage`.
        var failures = 0
        var stage = MilterStageLabel.connect
        var isResting = false
        var restSeconds = 0.0
        var restUntil = Instant(nanoseconds: 0)
    }
    private var entries: [[UInt8]: Entry] = [:]

    /// False: it rests.
    mutating func mayTry(_ server: MilterServer, _ now: Instant) -> Bool {
        guard let entry = entries[server.name], entry.target == server.target, entry.isResting else { return true }
        guard now >= entry.restUntil else { return false }
        // One message tries; the others wait for what it finds.
        entries[server.name]?.restUntil = now.advanced(bySeconds: entry.restSeconds)
        return true
    }

    /// It did what is asked of it at `stage`.
    mutating func succeeded(_ server: MilterServer, at stage: MilterStageLabel) {
        guard !entries.isEmpty, let entry = entries[server.name], entry.target == server.target else { return }
        if stage.rawValue >= entry.stage.rawValue {
            entries[server.name] = nil
        } else {
            entries[server.name]?.isResting = false
        }
    }

    /// True when a rest begins here.
    mutating func failed(
        _ server: MilterServer, at stage: MilterStageLabel, _ limits: MilterLimits, _ now: Instant
    ) -> Bool {
        var entry = entries[server.name] ?? Entry(target: server.target)
        if entry.target != server.target { entry = Entry(target: server.target) }
        entry.failures += 1
        entry.stage = stage
        defer { entries[server.name] = entry }
        guard entry.failures >= limits.failuresMax else { return false }
        entry.isResting = true
        entry.restSeconds = min(limits.restSecondsMax, max(limits.restSeconds, entry.restSeconds * 2))
        entry.restUntil = now.advanced(bySeconds: entry.restSeconds)
        return true
    }
}
