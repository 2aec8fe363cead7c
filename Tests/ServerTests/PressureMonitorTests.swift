import CEpoll
import Foundation
import Handoff
import Policy
import Protocols
import Reactor
import Synchronization
import Testing

@testable import Server
@testable import Telemetry

@Suite struct PressureMonitorTests {
    /// A monitor whose loop the test steps itself.
    private final class Fixture {
        let registry = Registry()
        let metrics: PressureMetrics
        let log = Log(level: .debug)
        let changes = Changes()
        let monitor: PressureMonitor
        let loop: PressureLoop

        init(_ settings: PressureSettings = PressureSettings()) {
            metrics = PressureMetrics(registry)
            let changes = changes
            monitor = PressureMonitor(metrics: metrics, log: log) { changes.add($0, $1) }
            loop = PressureLoop(monitor, settings: settings, readings: PressureReadings())
        }

        func tick(_ count: Int = 1, _ change: (inout PressureSample) -> Void = { _ in }) {
            var sample = PressureSample()
            sample.descriptorsMax = 1_000
            change(&sample)
            for _ in 0..<count { loop.tick(sample, at: 0) }
        }

        func logged() -> [String] {
            var lines: [String] = []
            while let line = log.ring.next() { lines.append(String(decoding: line, as: UTF8.self)) }
            return lines
        }
    }

    private final class Changes: Sendable {
        private let list = Mutex<[(PressureState, PressureState)]>([])
        func add(_ a: PressureState, _ b: PressureState) { list.withLock { $0.append((a, b)) } }
        var all: [(PressureState, PressureState)] { list.withLock { $0 } }
    }

    @Test func aChangeIsPublishedCountedAndLogged() {
        let f = Fixture()
        f.tick()
        #expect(f.monitor.state.isCalm && f.monitor.limitation == nil)
        #expect(f.monitor.shed(.mail, known: false) == nil)
        #expect(f.logged().isEmpty && f.changes.all.isEmpty)

        f.tick(3) { $0.descriptors = 960 }
        #expect(f.monitor.state.limiting == .descriptors)
        #expect(f.metrics.level.value(.descriptors) == 3)
        #expect(PressureResource.allCases.map { f.metrics.limiting.value($0) } == [0, 0, 0, 1, 0, 0, 0])
        #expect(f.metrics.changes.value(.descriptors) == 1)
        #expect(f.metrics.descriptors.value == 960 && f.metrics.descriptorsMax.value == 1_000)
        #expect(f.changes.all.count == 1)
        let lines = f.logged()
        #expect(lines.count == 1)
        for part in ["warning pressure", "resource=descriptors", "level=critical", "960 of 1000 descriptors"] {
            #expect(lines.first?.contains(part) == true, "\(part)")
        }

        f.tick(20)
        #expect(f.monitor.state.isCalm)
        #expect(f.metrics.level.value(.descriptors) == 0 && f.metrics.limiting.value(.descriptors) == 0)
        #expect(f.metrics.changes.value(.descriptors) == 2)
        #expect(f.logged().first?.contains("level=calm before=critical limiting=none") == true)
    }

    @Test func refusalsSayWhyAndAreCounted() throws {
        let f = Fixture()
        f.tick { $0.descriptors = 960 }
        let refused = try #require(f.monitor.shed(.connection, known: false))
        #expect(refused.control == .pressure && refused.effect == .closed)
        #expect(refused.reply?.code == 421)
        #expect(
            String(decoding: refused.detail, as: UTF8.self)
                == "new clients are turned away: use of descriptors is critical: 960 of 1000 descriptors in use")
        #expect(f.monitor.shed(.connection, known: true) == nil)
        let deferred = try #require(f.monitor.shed(.mail, known: false))
        #expect(deferred.effect == .deferred && deferred.reply?.code == 452)
        #expect(f.monitor.shed(.mail, known: true) == nil)
        #expect(f.monitor.shed(.hold, known: true)?.effect == .noted)
        #expect(f.monitor.idleSeconds(300, known: false) == 30)
        #expect(f.metrics.shed.value(.connection, .descriptors) == 1)
        #expect(f.metrics.shed.value(.mail, .descriptors) == 1)
        #expect(f.metrics.shed.value(.hold, .descriptors) == 1)
    }

    /// A flood between two looks does not get the last descriptors either.
    @Test func aFloodFasterThanTheLooksIsHeldBack() throws {
        let f = Fixture()
        f.tick { $0.descriptors = 845 }
        #expect(f.monitor.state.level(of: .descriptors) == .elevated)
        let answers = (0..<8).map { _ in f.monitor.shed(.connection, known: false) }
        #expect(answers.map { $0 != nil } == [false, false, false, false, false, true, true, true])
        #expect(answers.last??.reply?.code == 421)
        #expect(f.monitor.shed(.connection, known: true) == nil)
        #expect(f.metrics.shed.value(.connection, .descriptors) == 3)
        f.tick()
        #expect(f.monitor.shed(.connection, known: false) == nil)
        // Without a limit there is no end of room.
        f.tick { $0.descriptorsMax = 0 }
        #expect((0..<2_000).allSatisfy { _ in f.monitor.shed(.connection, known: false) == nil })
        var off = PressureSettings()
        off.isEnabled = false
        f.loop.apply(off)
        f.tick { $0.descriptors = 999 }
        #expect((0..<2_000).allSatisfy { _ in f.monitor.shed(.connection, known: false) == nil })
    }

    /// What arrives already goes only for want of memory, and says that it was memory, whatever else is scarce.
    @Test func arrivingMessagesAreGivenUpForMemory() throws {
        let f = Fixture()
        f.tick(3) {
            $0.memory = 90
            $0.memoryMax = 100
            $0.commitSeconds = 5
        }
        #expect(f.monitor.state.limiting == .commit)
        #expect(f.monitor.shed(.message, known: false) == nil)
        f.tick(3) {
            $0.memory = 96
            $0.memoryMax = 100
            $0.commitSeconds = 5
        }
        let event = try #require(f.monitor.shed(.message, known: false))
        #expect(event.effect == .closed && event.reply?.code == 421)
        #expect(String(decoding: event.detail, as: UTF8.self).contains("memory use is critical"))
        #expect(f.monitor.shed(.message, known: true) == nil)
        #expect(f.metrics.shed.value(.message, .memory) == 1)
    }

    @Test func reactorsTrimTheirOwnPartWhileMemoryIsScarce() {
        let asked = Atomic<Int>(0)
        let registry = Registry()
        let monitor = PressureMonitor(metrics: PressureMetrics(registry), log: Log(level: .debug))
        var readings = PressureReadings()
        readings.trimReactors = { asked.add(1, ordering: .relaxed) }
        let loop = PressureLoop(monitor, settings: PressureSettings(), readings: readings)
        var sample = PressureSample()
        sample.memoryMax = 100
        sample.memory = 50
        loop.tick(sample, at: HeapTrimming.periodNanoseconds)
        #expect(asked.load(ordering: .relaxed) == 0)
        sample.memory = 90
        loop.tick(sample, at: HeapTrimming.periodNanoseconds * 2)
        loop.tick(sample, at: HeapTrimming.periodNanoseconds * 2 + 1)
        #expect(asked.load(ordering: .relaxed) == 1)
    }

    @Test func theHeapIsTrimmedAsLongAsItIsWorthIt() {
        var trimming = HeapTrimming()
        let second = HeapTrimming.periodNanoseconds
        var asked = 0
        func isDue(_ level: PressureLevel, _ free: Int, _ seconds: UInt64) -> Bool {
            trimming.isDue(level, limit: 6_400, at: seconds * second) {
                asked += 1
                return free
            }
        }
        #expect(!isDue(.calm, 5_000, 1))
        #expect(asked == 0)
        // At a lower level only when something came free, at a higher one each second.
        #expect(!isDue(.elevated, 100, 2))
        #expect(isDue(.elevated, 101, 3))
        #expect(!isDue(.elevated, 201, 4))
        #expect(!isDue(.elevated, 20, 5))
        #expect(isDue(.elevated, 121, 6))
        #expect(isDue(.high, 121, 7))
        let before = asked
        #expect(!isDue(.critical, 5_000, 7))
        #expect(asked == before)
        #expect(isDue(.critical, 121, 8))
        // A walk that took 50 ms is followed by 5 s without one.
        trimming.took(second / 20, until: 8 * second)
        #expect(!isDue(.critical, 121, 12))
        #expect(isDue(.critical, 121, 13))
        let kept = [PressureLevel.elevated, .calm, .calm].map { trimming.mayKeep($0) }
        #expect(kept == [false, true, false])
    }

    @Test func nobodyIsSparedWhenTheDiskIsFull() {
        let f = Fixture()
        f.tick {
            $0.diskFree = 1
            $0.diskFreeMin = 2
        }
        #expect(f.monitor.shed(.mail, known: true)?.reply?.code == 452)
        #expect(f.monitor.shed(.connection, known: true) == nil)
    }

    @Test func settingsApplyWhileRunning() {
        let f = Fixture()
        f.tick(3) { $0.commitSeconds = 0.2 }
        #expect(f.monitor.state.isCalm)
        var settings = PressureSettings()
        settings.commitSeconds = 0.1
        f.loop.apply(settings)
        f.tick(3) { $0.commitSeconds = 0.2 }
        #expect(f.monitor.state.level(of: .commit) == .elevated)
        settings.isEnabled = false
        f.loop.apply(settings)
        f.tick { $0.commitSeconds = 9 }
        #expect(f.monitor.state.isCalm)
        // The levels of before do not come back with it.
        settings.isEnabled = true
        f.loop.apply(settings)
        f.tick()
        #expect(f.monitor.state.isCalm)
    }

    @Test func settingsComeFromTheConfiguration() throws {
        let loaded = try ConfigLoadTests.load(
            nil,
            sets: [
                "pressure.enabled=false", "pressure.memory_limit=3MiB", "pressure.commit_latency_ms=70",
                "store.min_free_bytes=5MiB", "store.path=/s", "smtp.max_connections=9",
            ])
        let settings = PressureSettings(loaded.configuration)
        #expect(!settings.isEnabled && settings.memoryLimit == 3 << 20 && settings.commitSeconds == 0.07)
        #expect(settings.diskFreeMin == 5 << 20 && settings.storePath == "/s" && settings.connectionsMax == 9)
    }

    /// The real thread, from what it is told to the notice of the change, and its end.
    @Test func theThreadLooksByItself() {
        let noticed = DispatchSemaphore(value: 0)
        let monitor = PressureMonitor(metrics: PressureMetrics(Registry()), log: Log()) { _, to in
            if to.level(of: .connections) == .high { noticed.signal() }
        }
        var settings = PressureSettings()
        settings.connectionsMax = 10
        settings.storePath = "/"
        var readings = PressureReadings()
        readings.connections = { 10 }
        monitor.start(settings, readings)
        #expect(noticed.wait(timeout: .now() + 60) == .success)
        let sample = monitor.sample
        #expect(sample.connections == 10 && sample.connectionsMax == 10)
        #expect(sample.descriptors > 3 && sample.memory > 1 << 20 && sample.memoryMax > 1 << 20)
        #expect(sample.diskFree > 0)
        monitor.stop()
        monitor.stop()
    }

    @Test func descriptorsAreCounted() throws {
        let gauges = ProcessGauges()
        var held: [Int32] = []
        for _ in 0..<300 { held.append(mt_eventfd()) }
        defer { for descriptor in held { _ = mt_close(descriptor) } }
        gauges.refresh(at: 1)
        #expect(gauges.descriptors >= 300)
        #expect(gauges.descriptorsMax >= gauges.descriptors)
        #expect(gauges.residentOctets >= gauges.ownOctets && gauges.ownOctets > 0)
    }
}

@Suite struct CommitClockTests {
    private static let second: UInt64 = 1_000_000_000

    @Test func theOneUnderWayCountsWhileItLasts() {
        let clock = CommitClock()
        let s = Self.second
        #expect(clock.seconds(at: s) == 0)
        clock.began(at: s)
        #expect(clock.seconds(at: s + s / 2) == 0.5)
        #expect(clock.seconds(at: 9 * s) == 8)
        clock.ended(0.4, at: 10 * s)
        #expect(clock.seconds(at: 10 * s + s / 2) == 0.4)
        // A quick one under way does not hide the slow one before it, and a slow one is seen at once.
        clock.began(at: 10 * s + s / 2)
        #expect(clock.seconds(at: 10 * s + 6 * s / 10) == 0.4)
        #expect(clock.seconds(at: 11 * s + s / 2) == 1)
        clock.ended(0.002, at: 12 * s)
        #expect(clock.seconds(at: 12 * s) == 0.002)
    }

    @Test func theLatestGrowsStale() {
        let clock = CommitClock()
        let s = Self.second
        clock.ended(3, at: s)
        #expect(clock.seconds(at: 2 * s) == 3)
        #expect(clock.seconds(at: 2 * s + 1) == 0)
    }

    @Test func failuresAndBodies() {
        let clock = CommitClock()
        let s = Self.second
        clock.began(at: s)
        clock.ended(0.7, at: 2 * s, underWay: false)
        #expect(clock.seconds(at: 3 * s) == 2)
        clock.failed()
        #expect(clock.seconds(at: 3 * s) == 0.7)
        #expect(clock.seconds(at: 4 * s) == 0)
        clock.ended(.infinity, at: s)
        clock.ended(-1, at: s)
        #expect(clock.seconds(at: s) == 0)
    }
}

@Suite struct LagMeterTests {
    @Test func theLongestTurnIsToldOnce() {
        let meter = LagMeter()
        meter.note(5_000_000)
        meter.note(200_000_000)
        meter.note(7_000_000)
        #expect(meter.take(at: 0) == 0.2)
        #expect(meter.take(at: 0) == 0)
    }

    /// A reactor that does not come back is late from the moment it was pinged.
    @Test func aStuckReactorIsSeen() throws {
        let reactor = Reactor(io: try EpollBackend(), time: SystemTime(), limits: ReactorLimits())
        let meter = LagMeter()
        meter.watch([reactor.handle])
        let start = mt_monotonic_ns()
        for _ in 0..<5 { #expect(meter.take(at: start) == 0) }
        #expect(meter.take(at: start + 3_000_000_000) == 3)
        #expect(meter.take(at: start + 4_000_000_000) == 4)
        reactor.turn()
        _ = meter.take(at: start)
        #expect(meter.take(at: start + 9_000_000_000) == 0)
    }
}

@Suite struct MemoryLimitTests {
    @Test func groupsOfVersionTwoAndAllAboveThem() {
        #expect(
            MemoryLimit.limitFiles(Array("0::/system.slice/martlet.service\n".utf8)) == [
                "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/system.slice/memory.max",
                "/sys/fs/cgroup/system.slice/martlet.service/memory.max",
            ])
    }

    @Test func groupsOfVersionOne() {
        let text = "9:name=systemd:/x\n4:cpu,memory:/a\n3:cpuset:/\nrubbish\n1:memory\n"
        #expect(
            MemoryLimit.limitFiles(Array(text.utf8)) == [
                "/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/a/memory.limit_in_bytes",
            ])
        // A group outside of this view has no path here.
        #expect(MemoryLimit.limitFiles(Array("0::/../b\n".utf8)).last == "/sys/fs/cgroup/b/memory.max")
    }

    @Test(arguments: [
        ("536870912\n", 536_870_912), ("max\n", nil), ("9223372036854771712\n", nil), ("", nil), ("0\n", nil),
        ("99999999999999999999999\n", nil),
    ])
    func numbers(_ text: String, _ expected: Int?) {
        #expect(MemoryLimit.octets(Array(text.utf8)) == expected)
    }

    @Test func theMachineHasALimit() { #expect(MemoryLimit.find() > 64 << 20) }
}
