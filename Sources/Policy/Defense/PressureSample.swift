/// One look at every resource. A limit of 0 means that there is none, or that it is not known.
package struct PressureSample: Sendable, Hashable {
    package var diskFree = 0
    /// `store.min_free_bytes`.
    package var diskFreeMin = 0
    /// The latest commit, or the one under way when that is longer.
    package var commitSeconds = 0.0
    package var writerQueue = 0
    package var writerQueueMax = 0
    package var memory = 0
    package var memoryMax = 0
    package var descriptors = 0
    package var descriptorsMax = 0
    package var connections = 0
    package var connectionsMax = 0
    package var dnsQuestions = 0
    package var dnsQuestionsMax = 0
    package var lagSeconds = 0.0

    package init() {}

    /// The figures behind a resource's level, for people.
    package func figures(_ resource: PressureResource) -> String {
        switch resource {
        case .disk: "\(Self.size(diskFree)) of disk space free, at least \(Self.size(diskFreeMin)) wanted"
        case .commit:
            "a commit takes \(Self.milliseconds(commitSeconds)), \(writerQueue) of \(writerQueueMax) requests waiting"
        case .memory: "\(Self.size(memory)) of \(Self.size(memoryMax)) memory in use"
        case .descriptors: "\(descriptors) of \(descriptorsMax) descriptors in use"
        case .connections: "\(connections) of \(connectionsMax) connections open"
        case .dns: "\(dnsQuestions) of \(dnsQuestionsMax) DNS questions in flight"
        case .lag: "a reactor is \(Self.milliseconds(lagSeconds)) late"
        }
    }

    private static func milliseconds(_ seconds: Double) -> String {
        seconds >= 0 && seconds < 9e9 ? "\(Int(seconds * 1e3)) ms" : "very long"
    }

    private static func size(_ octets: Int) -> String {
        octets >= 10 << 20 ? "\(octets >> 20) MiB" : "\(octets >> 10) KiB"
    }
}
