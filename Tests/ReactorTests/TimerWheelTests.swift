import Base
import Reactor
import Testing

/// Small, seeded, and the same everywhere.
struct SeededRandom: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

@Suite struct TimerWheelTests {
    /// Against a sorted list: never early, never more than a tick late, each once, cancelled ones never.
    @Test(arguments: 1...20) func behavesLikeASortedList(_ seed: UInt64) {
        var random = SeededRandom(state: seed)
        var now: UInt64 = 7_000_000_000
        var wheel = TimerWheel(now: Instant(nanoseconds: now))
        var armed: [UInt64: (at: UInt64, entry: TimerWheel.Entry)] = [:]
        var next: UInt64 = 0
        for _ in 0..<2_000 {
            switch Int.random(in: 0..<10, using: &random) {
            case 0..<5:
                let range: UInt64 = Bool.random(using: &random) ? 3_000_000_000 : 900_000_000_000
                let at = now + UInt64.random(in: 0..<range, using: &random)
                armed[next] = (at, wheel.arm(at: Instant(nanoseconds: at), payload: next))
                next += 1
            case 5..<7:
                if let (key, value) = armed.min(by: { $0.key < $1.key }) {
                    wheel.cancel(value.entry)
                    armed[key] = nil
                }
            default:
                let step: UInt64 = Int.random(in: 0..<20, using: &random) == 0 ? 500_000_000_000 : 400_000_000
                now += UInt64.random(in: 0..<step, using: &random)
                let look = wheel.nextLook()
                if let first = armed.values.map(\.at).min() {
                    #expect(look != nil && look!.nanoseconds <= first + TimerWheel.tickNanoseconds)
                } else {
                    #expect(look == nil)
                }
                while let payload = wheel.popExpired(now: Instant(nanoseconds: now)) {
                    let fired = armed.removeValue(forKey: payload)
                    #expect(fired != nil && fired!.at <= now)
                }
                let late = armed.values.filter { $0.at + 2 * TimerWheel.tickNanoseconds < now }
                #expect(late.isEmpty)
            }
            #expect(wheel.count == armed.count)
        }
    }

    @Test func armedWhileFiringWaitsForTheNextTick() {
        var wheel = TimerWheel(now: Instant(nanoseconds: 0))
        let now = Instant(nanoseconds: 1_000_000_000)
        _ = wheel.arm(at: now, payload: 1)
        #expect(wheel.popExpired(now: now) == 1)
        _ = wheel.arm(at: now, payload: 2)
        #expect(wheel.popExpired(now: now) == nil)
        #expect(wheel.popExpired(now: Instant(nanoseconds: 1_050_000_000)) == 2)
    }
}
