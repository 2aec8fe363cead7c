import Base
import Handoff

/// Names a timer of an owner (not of a connection) until it fires or is cancelled.
package struct TimerToken: Sendable, Hashable {
    let slot: UInt32
    let generation: UInt32
}

/// The owners' timers: closures in slots, cancelled by generation.
struct OwnerTimers {
    private struct Slot {
        var generation: UInt32 = 1
        var entry: TimerWheel.Entry = -1
        var body: (() -> Void)?
    }
    private var slots: [Slot] = []
    private var free: [UInt32] = []

    mutating func add(_ body: @escaping () -> Void) -> TimerToken {
        let index: UInt32
        if let last = free.popLast() {
            index = last
        } else {
            slots.append(Slot())
            index = UInt32(slots.count - 1)
        }
        slots[Int(index)].body = body
        return TimerToken(slot: index, generation: slots[Int(index)].generation)
    }

    mutating func setEntry(_ token: TimerToken, _ entry: TimerWheel.Entry) { slots[Int(token.slot)].entry = entry }

    /// Takes the timer out; nil when it is gone already.
    mutating func take(_ token: TimerToken) -> (entry: TimerWheel.Entry, body: () -> Void)? {
        let index = Int(token.slot)
        guard index < slots.count, slots[index].generation == token.generation else { return nil }
        guard let body = slots[index].body else { return nil }
        slots[index].body = nil
        slots[index].generation = (slots[index].generation &+ 1) & 0x7FFF_FFFF
        free.append(token.slot)
        return (slots[index].entry, body)
    }
}

extension Reactor {
    /// Marks a payload of the wheel as an owner's timer. Slots of connections stay below it.
    private static let ownerBit: UInt64 = 1 << 31

    /// Runs `body` on this thread once, `seconds` from now (rounded up to the wheel's tick).
    @discardableResult
    package func after(_ seconds: Double, _ body: @escaping () -> Void) -> TimerToken {
        let token = ownerTimers.add(body)
        let payload = UInt64(token.generation) << 32 | Reactor.ownerBit | UInt64(token.slot)
        ownerTimers.setEntry(token, timers.arm(at: now.advanced(bySeconds: seconds), payload: payload))
        return token
    }

    /// Cancels; harmless when the timer has fired.
    package func cancel(_ token: TimerToken) {
        if let taken = ownerTimers.take(token) { timers.cancel(taken.entry) }
    }

    func armTimer(_ c: Connection, _ at: Instant) {
        if let timer = c.timer { timers.cancel(timer) }
        c.timer = timers.arm(at: at, payload: c.token.raw)
        c.timerDue = at
    }

    func disarmTimer(_ c: Connection) {
        if let timer = c.timer { timers.cancel(timer) }
        c.timer = nil
        c.deadline = nil
    }

    func fireTimers() {
        var budget = limits.timersPerTurn
        while budget > 0, let payload = timers.popExpired(now: now) {
            budget -= 1
            statistics.timersFired &+= 1
            if payload & Reactor.ownerBit != 0 {
                let slot = UInt32(truncatingIfNeeded: payload & ~Reactor.ownerBit)
                ownerTimers.take(TimerToken(slot: slot, generation: UInt32(truncatingIfNeeded: payload >> 32)))?.body()
            } else if let c = connections[Token(raw: payload)] {
                expire(c)
            }
            InProgress.end()
        }
    }

    private func expire(_ c: Connection) {
        c.timer = nil
        guard let deadline = c.deadline else { return }
        // The deadline moved on while its timer stayed.
        if deadline > now { return armTimer(c, deadline) }
        c.deadline = nil
        if c.state == .lingering { return c.close(c.closeWhenFlushed ?? .local) }
        if c.closeWhenFlushed != nil { return c.close(.timedOut) }
        guard c.state == .open || c.state == .connecting else { return }
        c.driver.timedOut(c)
    }
}
