import Base
import Reactor

/// Arm and cancel with 10,000 other timers armed.
enum TimerBench {
    static func run(_ seconds: Double) -> MicroResult {
        let start = Instant(nanoseconds: 1_000_000_000)
        var wheel = TimerWheel(now: start)
        for i in 0..<10_000 { _ = wheel.arm(at: start.advanced(bySeconds: Double(i % 300) + 1), payload: UInt64(i)) }
        return MicroResult.measure("timer", "arm and cancel", seconds) {
            for i in 0..<1_000 {
                let entry = wheel.arm(at: start.advanced(bySeconds: Double(i % 300) + 0.5), payload: 1)
                wheel.cancel(entry)
            }
            return 1_000
        }
    }
}
