/// From which load on a resource is at which level, and how fast levels rise and fall.
package struct PressureThresholds: Sendable, Hashable {
    /// A commit that takes this long is no longer a quick one: load 1.
    package var commitSeconds = 0.25
    /// Samples in a row that raise what spikes by nature: commits, DNS, lag and connections. The others rise at once.
    package var riseSamples = 2
    /// Samples in a row below a level that end it: 2 s at ten samples a second.
    package var fallSamples = 20

    /// A level ends only below this part of the load it began at, so that it does not flutter.
    static let release = 0.93

    package init() {}

    /// The least loads of elevated, high and critical.
    struct Steps {
        let elevated: Double
        let high: Double
        let critical: Double

        func level(_ load: Double) -> PressureLevel {
            load >= critical ? .critical : load >= high ? .high : load >= elevated ? .elevated : .calm
        }
    }

    static func steps(_ resource: PressureResource) -> Steps {
        switch resource {
        // Wanted by free octets. There is no use in turning clients away while mail is still taken, so no high.
        case .disk: Steps(elevated: 1 / 1.5, high: 1, critical: 1)
        // Times the usual: one commit keeps many messages, so slow is not full.
        case .commit: Steps(elevated: 1, high: 3, critical: 8)
        case .memory, .descriptors: Steps(elevated: 0.7, high: 0.85, critical: 0.95)
        // Mail of those who are in does no harm, so no critical.
        case .connections: Steps(elevated: 0.7, high: 0.9, critical: .infinity)
        case .dns: Steps(elevated: 0.5, high: 0.75, critical: 0.95)
        // Seconds. A turn of many large messages may well take a tenth of one.
        case .lag: Steps(elevated: 0.25, high: 1, critical: 4)
        }
    }

    /// Requests that wait for the writer count in the same steps as slow commits.
    static func queueLoad(_ part: Double) -> Double { part >= 0.9 ? 8 : part >= 0.6 ? 3 : part >= 0.3 ? 1 : 0 }

    func load(_ resource: PressureResource, _ s: PressureSample) -> Double {
        switch resource {
        case .disk: s.diskFreeMin <= 0 ? 0 : s.diskFree <= 0 ? .infinity : Double(s.diskFreeMin) / Double(s.diskFree)
        case .commit:
            max(
                commitSeconds > 0 && s.commitSeconds > 0 ? s.commitSeconds / commitSeconds : 0,
                Self.queueLoad(Self.part(s.writerQueue, s.writerQueueMax)))
        case .memory: Self.part(s.memory, s.memoryMax)
        case .descriptors: Self.part(s.descriptors, s.descriptorsMax)
        case .connections: Self.part(s.connections, s.connectionsMax)
        case .dns: Self.part(s.dnsQuestions, s.dnsQuestionsMax)
        case .lag: s.lagSeconds
        }
    }

    /// Descriptors that may still be taken before their use is high: new connections until the next sample are held to
    /// it, because a flood is faster than any sampling. nil: there is no limit.
    package func descriptorsLeft(_ s: PressureSample) -> Int? {
        guard s.descriptorsMax > 0 else { return nil }
        let high = Double(s.descriptorsMax) * Self.steps(.descriptors).high
        return max(0, Int(min(high, 1e15)) - max(0, s.descriptors))
    }

    private static func part(_ used: Int, _ limit: Int) -> Double { limit > 0 ? Double(used) / Double(limit) : 0 }

    func samplesToRise(_ resource: PressureResource) -> Int {
        switch resource {
        case .disk, .memory, .descriptors: 1
        case .commit, .connections, .dns, .lag: riseSamples
        }
    }
}
