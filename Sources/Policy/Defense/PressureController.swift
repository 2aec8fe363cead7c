/// Turns samples into levels: up at once or nearly so, down only after a time without a reason. Pure; the monitor's
/// thread steps it ten times a second.
package struct PressureController: Sendable {
    package var thresholds: PressureThresholds
    package private(set) var state = PressureState.calm
    private var tracks = [Track](repeating: Track(), count: PressureResource.allCases.count)

    package init(_ thresholds: PressureThresholds = PressureThresholds()) { self.thresholds = thresholds }

    /// The state after one more sample.
    package mutating func step(_ sample: PressureSample) -> PressureState {
        for resource in PressureResource.allCases {
            let load = thresholds.load(resource, sample)
            let steps = PressureThresholds.steps(resource)
            tracks[resource.rawValue].step(
                rising: steps.level(load), falling: steps.level(load / PressureThresholds.release),
                rise: thresholds.samplesToRise(resource), fall: thresholds.fallSamples)
            state = state.setting(resource, to: tracks[resource.rawValue].level)
        }
        return state
    }

    /// As if nothing had been seen.
    package mutating func reset() { self = PressureController(thresholds) }

    /// One resource: its level, and what has been seen in a row above or below it.
    private struct Track: Sendable {
        var level = PressureLevel.calm
        private var above = 0
        private var leastAbove = PressureLevel.critical
        private var below = 0
        private var mostBelow = PressureLevel.calm

        /// `rising` is where the load would put a level that goes up, `falling` one that goes down.
        mutating func step(rising: PressureLevel, falling: PressureLevel, rise: Int, fall: Int) {
            if rising > level {
                leastAbove = above == 0 ? rising : min(leastAbove, rising)
                above += 1
                below = 0
                if above >= rise { move(to: leastAbove) }
            } else if falling < level {
                mostBelow = below == 0 ? falling : max(mostBelow, falling)
                below += 1
                above = 0
                if below >= fall { move(to: mostBelow) }
            } else {
                above = 0
                below = 0
            }
        }

        private mutating func move(to next: PressureLevel) {
            level = next
            above = 0
            below = 0
        }
    }
}
