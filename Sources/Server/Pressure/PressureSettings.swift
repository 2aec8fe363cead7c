/// What an operator sets about pressure, and the limits of other settings it is measured by.
package struct PressureSettings: Sendable, Equatable {
    package var isEnabled = true
    /// Octets; 0: what `MemoryLimit` finds.
    package var memoryLimit = 0
    package var commitSeconds = 0.25
    package var diskFreeMin = 0
    package var storePath = "/"
    package var connectionsMax = 0

    package init() {}

    package init(_ configuration: Configuration) {
        isEnabled = configuration.pressure.enabled
        memoryLimit = configuration.pressure.memoryLimitBytes
        commitSeconds = Double(configuration.pressure.commitLatencyMilliseconds) / 1e3
        diskFreeMin = configuration.store.minFreeBytes
        storePath = configuration.store.path
        connectionsMax = configuration.smtp.maxConnections
    }
}

/// How the pressure thread asks the owners of what it watches; each closure runs on its thread and must be quick.
package struct PressureReadings: Sendable {
    package var commitSeconds: @Sendable () -> Double = { 0 }
    package var writerQueue: @Sendable () -> Int = { 0 }
    /// The capacity of the writer's mailbox.
    package var writerQueueMax = 0
    package var connections: @Sendable () -> Int = { 0 }
    package var dnsQuestions: @Sendable () -> Int = { 0 }
    package var dnsQuestionsMax = 0
    /// Has each reactor give back what is free at the end of its own part of the heap, which nobody else can.
    package var trimReactors: @Sendable () -> Void = {}

    package init() {}
}
