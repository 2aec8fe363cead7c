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

    /// One resource: its level, the samples in a row above it, and how long ago each level was last called for.
    private struct Track: Sendable {
        var level = PressureLevel.calm
        private var above = 0
        private var leastAbove = PressureLevel.critical
        private var ages = [Int](repeating: .max, count: PressureLevel.allCases.count)

        /// `rising` is where the load would put a level that goes up, `falling` one that goes down.
        mutating func step(rising: PressureLevel, falling: PressureLevel, rise: Int, fall: Int) {
            for each in PressureLevel.allCases {
                let age = ages[each.rawValue]
                ages[each.rawValue] = falling >= each ? 0 : age < .max ? age + 1 : age
            }
            if rising > level {
                leastAbove = above == 0 ? rising : min(leastAbove, rising)
                above += 1
                if above >= rise { move(to: leastAbove) }
            } else {
                above = 0
                // The worst that the quiet time has seen, in one step.
                if ages[level.rawValue] >= fall { move(to: PressureLevel.allCases.last { ages[$0.rawValue] < fall }) }
            }
        }

        private mutating func move(to next: PressureLevel?) {
            level = next ?? .calm
            above = 0
        }
    }
}
