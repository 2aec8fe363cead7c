import CEpoll
import Handoff
import Policy
import Telemetry

/// The body of the `pressure` thread: a look every 100 ms, levels from it, and who must know is told. Confined to its
/// thread. No work of mail runs here, so it sees what holds up the threads that do it.
final class PressureLoop {
    static let periodNanoseconds: UInt64 = 100_000_000

    private let monitor: PressureMonitor
    private let readings: PressureReadings
    private let gauges = ProcessGauges()
    private var settings: PressureSettings
    private var memoryMax: Int
    private var controller: PressureController
    private var trimming = HeapTrimming()
    private var isStopping = false

    init(_ monitor: PressureMonitor, settings: PressureSettings, readings: PressureReadings) {
        self.monitor = monitor
        self.readings = readings
        self.settings = settings
        memoryMax = settings.memoryLimit > 0 ? settings.memoryLimit : MemoryLimit.find()
        controller = PressureController(Self.thresholds(settings))
    }

    private static func thresholds(_ settings: PressureSettings) -> PressureThresholds {
        var thresholds = PressureThresholds()
        thresholds.commitSeconds = settings.commitSeconds
        return thresholds
    }

    func run() {
        var next = mt_monotonic_ns()
        while true {
            takeMessages()
            if isStopping { return }
            let now = mt_monotonic_ns()
            if now < next {
                monitor.inbox.wait(timeoutMilliseconds: Int32((next - now) / 1_000_000 + 1))
                continue
            }
            tick(look(at: now), at: now)
            next = now &+ Self.periodNanoseconds
        }
    }

    private func takeMessages() {
        while let message = monitor.inbox.next() {
            switch message {
            case .settings(let fresh): apply(fresh)
            case .stop: isStopping = true
            }
        }
    }

    func apply(_ fresh: PressureSettings) {
        settings = fresh
        memoryMax = fresh.memoryLimit > 0 ? fresh.memoryLimit : MemoryLimit.find()
        controller.thresholds = Self.thresholds(fresh)
        if !fresh.isEnabled { controller.reset() }
    }

    private func look(at now: UInt64) -> PressureSample {
        gauges.refresh(at: now)
        var sample = PressureSample()
        let free = mt_disk_free(settings.storePath)
        // A disk that cannot be asked says nothing.
        sample.diskFree = Int(max(0, free))
        sample.diskFreeMin = free < 0 ? 0 : settings.diskFreeMin
        sample.commitSeconds = readings.commitSeconds()
        sample.writerQueue = readings.writerQueue()
        sample.writerQueueMax = readings.writerQueueMax
        sample.memory = gauges.ownOctets
        sample.memoryMax = memoryMax
        sample.descriptors = gauges.descriptors
        sample.descriptorsMax = gauges.descriptorsMax
        sample.connections = readings.connections()
        sample.connectionsMax = settings.connectionsMax
        sample.dnsQuestions = readings.dnsQuestions()
        sample.dnsQuestionsMax = readings.dnsQuestionsMax
        sample.lagSeconds = monitor.lag.take(at: now)
        monitor.metrics.resident.set(gauges.residentOctets)
        return sample
    }

    /// One step: what `sample` says, made known.
    func tick(_ sample: PressureSample, at now: UInt64) {
        let state = settings.isEnabled ? controller.step(sample) : .calm
        setGauges(sample)
        monitor.publish(
            state, sample, room: settings.isEnabled ? controller.thresholds.descriptorsLeft(sample) : nil)
        // Memory that is free inside the heap would otherwise keep the level up for ever.
        trim(state.level(of: .memory), limit: sample.memoryMax, at: now)
    }

    private func trim(_ level: PressureLevel, limit: Int, at now: UInt64) {
        if trimming.mayKeep(level) { mt_keep_heap(Application.heapKept) }
        var began: UInt64?
        let isDue = trimming.isDue(level, limit: limit, at: now) {
            began = mt_monotonic_ns()
            return mt_heap_free()
        }
        if isDue {
            mt_trim_heap()
            readings.trimReactors()
        }
        if let began { trimming.took(mt_monotonic_ns() &- began, until: now) }
    }

    private func setGauges(_ sample: PressureSample) {
        monitor.metrics.descriptors.set(sample.descriptors)
        monitor.metrics.descriptorsMax.set(sample.descriptorsMax)
        monitor.metrics.memoryMax.set(sample.memoryMax)
        monitor.metrics.dnsQuestions.set(sample.dnsQuestions)
    }
}
