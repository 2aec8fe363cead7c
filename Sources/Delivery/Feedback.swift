/// How many transactions one destination bears at once: grows while they succeed, shrinks while they fail, with a step of one
/// only after a whole window's worth of news, so that a single failure among many changes nothing. Pure.
package struct Feedback: Sendable, Hashable {
    /// Transactions allowed at once; at least 1.
    package private(set) var window: Int
    /// Windows' worth of failures in a row.
    package private(set) var failedCohorts = 0.0
    /// News since the window last changed, in windows: successes above 0, failures below.
    private var balance = 0.0

    package init(window: Int) { self.window = max(1, window) }

    /// Ten tenths are one.
    static let rounding = 1e-9

    /// `isUsed`: as many transactions were under way as the window allows, else its size was not put to the test.
    package mutating func succeeded(max limit: Int, isUsed: Bool) {
        failedCohorts = 0
        if window > limit { window = Swift.max(1, limit) }
        balance = Swift.max(0, balance)
        guard isUsed, window < limit else { return }
        balance += 1 / Double(window)
        if balance >= 1 - Self.rounding {
            window += 1
            balance = 0
        }
    }

    package mutating func failed() {
        failedCohorts += 1 / Double(window)
        shrink()
    }

    /// Asked for less: half of it at once, and no news of death.
    package mutating func throttled() {
        window = Swift.max(1, window / 2)
        balance = 0
    }

    private mutating func shrink() {
        balance = Swift.min(0, balance) - 1 / Double(window)
        if balance <= Self.rounding - 1 {
            window = Swift.max(1, window - 1)
            balance = 0
        }
    }

    /// After a pause: one goes first.
    package mutating func probe() {
        window = 1
        balance = 0
        failedCohorts = 0
    }

    /// The probe came through: as at the beginning.
    package mutating func recovered(window: Int) {
        self = Feedback(window: window)
    }
}
