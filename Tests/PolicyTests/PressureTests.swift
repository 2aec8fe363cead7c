import Policy
import Testing

@Suite struct PressureTests {
    /// Everything at ease, with room to change one thing.
    private static var ease: PressureSample {
        var s = PressureSample()
        s.diskFree = 100 << 30
        s.diskFreeMin = 256 << 20
        s.commitSeconds = 0.01
        s.writerQueueMax = 1_000
        s.memoryMax = 1 << 30
        s.descriptorsMax = 1_000
        s.connectionsMax = 1_000
        s.dnsQuestionsMax = 1_000
        return s
    }

    private static func sample(_ change: (inout PressureSample) -> Void) -> PressureSample {
        var s = ease
        change(&s)
        return s
    }

    private static func settled(_ sample: PressureSample) -> PressureState {
        var controller = PressureController()
        for _ in 0..<3 { _ = controller.step(sample) }
        return controller.state
    }

    struct Row: Sendable, CustomTestStringConvertible {
        let resource: PressureResource
        let level: PressureLevel
        let sample: PressureSample
        var testDescription: String { "\(resource) \(level): \(sample.figures(resource))" }

        init(_ resource: PressureResource, _ level: PressureLevel, _ change: (inout PressureSample) -> Void) {
            self.resource = resource
            self.level = level
            sample = PressureTests.sample(change)
        }
    }

    static let loads: [Row] = [
        Row(.disk, .calm) { $0.diskFree = 385 << 20 },
        Row(.disk, .elevated) { $0.diskFree = 384 << 20 },
        Row(.disk, .elevated) { $0.diskFree = 257 << 20 },
        Row(.disk, .critical) { $0.diskFree = 256 << 20 },
        Row(.disk, .critical) { $0.diskFree = 0 },
        Row(.disk, .calm) {
            $0.diskFree = 0
            $0.diskFreeMin = 0
        },
        Row(.commit, .calm) { $0.commitSeconds = 0.249 },
        Row(.commit, .elevated) { $0.commitSeconds = 0.25 },
        Row(.commit, .elevated) { $0.commitSeconds = 0.5 },
        Row(.commit, .high) { $0.commitSeconds = 0.75 },
        Row(.commit, .critical) { $0.commitSeconds = 2 },
        Row(.commit, .calm) { $0.writerQueue = 299 },
        Row(.commit, .elevated) { $0.writerQueue = 300 },
        Row(.commit, .high) { $0.writerQueue = 600 },
        Row(.commit, .critical) { $0.writerQueue = 900 },
        Row(.memory, .calm) { $0.memory = 700 << 20 },
        Row(.memory, .elevated) { $0.memory = 720 << 20 },
        Row(.memory, .high) { $0.memory = 875 << 20 },
        Row(.memory, .critical) { $0.memory = 1 << 30 },
        Row(.memory, .calm) {
            $0.memory = 1 << 30
            $0.memoryMax = 0
        },
        Row(.descriptors, .calm) { $0.descriptors = 699 },
        Row(.descriptors, .elevated) { $0.descriptors = 700 },
        Row(.descriptors, .high) { $0.descriptors = 850 },
        Row(.descriptors, .critical) { $0.descriptors = 950 },
        Row(.connections, .calm) { $0.connections = 699 },
        Row(.connections, .elevated) { $0.connections = 700 },
        Row(.connections, .high) { $0.connections = 900 },
        Row(.connections, .high) { $0.connections = 5_000 },
        Row(.dns, .calm) { $0.dnsQuestions = 499 },
        Row(.dns, .elevated) { $0.dnsQuestions = 500 },
        Row(.dns, .high) { $0.dnsQuestions = 750 },
        Row(.dns, .critical) { $0.dnsQuestions = 950 },
        Row(.lag, .calm) { $0.lagSeconds = 0.249 },
        Row(.lag, .elevated) { $0.lagSeconds = 0.25 },
        Row(.lag, .high) { $0.lagSeconds = 1 },
        Row(.lag, .critical) { $0.lagSeconds = 4 },
    ]

    @Test(arguments: loads) func levelsOfLoads(_ row: Row) {
        let state = Self.settled(row.sample)
        #expect(state.level(of: row.resource) == row.level)
        #expect(state.limiting == (row.level == .calm ? nil : row.resource))
        #expect(state.level == row.level)
        for other in PressureResource.allCases where other != row.resource {
            #expect(state.level(of: other) == .calm)
        }
    }

    /// hold, idle, connection, mail, message; given up for strangers (`s`), for the known too (`k`), or not (`-`).
    static let actions: [(PressureResource, PressureLevel, String)] = PressureResource.allCases.flatMap { resource in
        let isStore = resource == .disk || resource == .commit
        let rows: [(PressureLevel, String)] = [
            (.calm, "-----"), (.elevated, "ks---"), (.high, resource == .disk ? "ks---" : "kss--"),
            (
                .critical,
                resource == .disk ? "ks-k-" : isStore ? "kssk-" : resource == .memory ? "kssss" : "ksss-"
            ),
        ]
        return rows.map { (resource, $0.0, $0.1) }
    }

    @Test(arguments: actions) func whatIsGivenUp(_ resource: PressureResource, _ level: PressureLevel, _ row: String) {
        let state = PressureState([resource: level])
        for (action, mark) in zip(PressureAction.allCases, row) {
            #expect(state.sheds(action, known: false) == (mark != "-"), "\(action)")
            #expect(state.sheds(action, known: true) == (mark == "k"), "\(action)")
        }
        #expect(state.idleSeconds(300, known: true) == 300)
        #expect(state.idleSeconds(300, known: false) == (level == .calm ? 300 : 30))
        #expect(state.idleSeconds(5, known: false) == 5)
    }

    @Test func whatIsScarceRisesAtOnceAndASpikeDoesNot() {
        var controller = PressureController()
        #expect(controller.step(Self.sample { $0.descriptors = 990 }).level(of: .descriptors) == .critical)
        controller = PressureController()
        #expect(controller.step(Self.sample { $0.commitSeconds = 3 }).isCalm)
        #expect(controller.step(Self.ease).isCalm)
        #expect(controller.step(Self.sample { $0.commitSeconds = 3 }).isCalm)
        // The lesser of the two is what both have seen.
        #expect(controller.step(Self.sample { $0.commitSeconds = 0.3 }).level(of: .commit) == .elevated)
    }

    @Test func aLevelEndsAfterAQuietTimeInOneStep() {
        var controller = PressureController()
        _ = controller.step(Self.sample { $0.descriptors = 990 })
        for _ in 0..<19 { #expect(controller.step(Self.ease).level == .critical) }
        #expect(controller.step(Self.ease).isCalm)
    }

    @Test func aQuietTimeThatIsBrokenStartsAnew() {
        var controller = PressureController()
        let bad = Self.sample { $0.descriptors = 990 }
        _ = controller.step(bad)
        for _ in 0..<19 { _ = controller.step(Self.ease) }
        #expect(controller.step(bad).level == .critical)
        for _ in 0..<19 { #expect(controller.step(Self.ease).level == .critical) }
        #expect(controller.step(Self.ease).isCalm)
    }

    @Test func aLevelFallsToTheWorstOfTheQuietTime() {
        var controller = PressureController()
        _ = controller.step(Self.sample { $0.descriptors = 990 })
        for i in 0..<20 { _ = controller.step(i == 7 ? Self.sample { $0.descriptors = 720 } : Self.ease) }
        #expect(controller.state.level(of: .descriptors) == .elevated)
        for _ in 0..<20 { _ = controller.step(Self.ease) }
        #expect(controller.state.isCalm)
    }

    /// A load that hovers about a step neither raises nor ends the level over and over.
    @Test func aHoveringLoadKeepsItsLevel() {
        var controller = PressureController()
        var changes = 0
        for i in 0..<1_000 {
            let before = controller.state
            let after = controller.step(Self.sample { $0.descriptors = i % 50 < 25 ? 860 : 840 })
            if after != before { changes += 1 }
        }
        #expect(changes == 1)
        #expect(controller.state.level(of: .descriptors) == .high)
    }

    @Test func theWorstLimitsAndCausesComeFirst() {
        #expect(PressureState([.lag: .high, .disk: .elevated]).limiting == .lag)
        #expect(PressureState([.lag: .high, .descriptors: .high, .commit: .high]).limiting == .commit)
        #expect(PressureState([.connections: .high, .memory: .high]).limiting == .memory)
        #expect(PressureState.calm.limiting == nil)
    }

    @Test func theWordHoldsEveryLevel() {
        var state = PressureState.calm
        for (i, resource) in PressureResource.allCases.enumerated() {
            state = state.setting(resource, to: PressureLevel(rawValue: (i + 1) % 4) ?? .calm)
        }
        for (i, resource) in PressureResource.allCases.enumerated() {
            #expect(PressureState(word: state.word).level(of: resource).rawValue == (i + 1) % 4)
        }
        for resource in PressureResource.allCases { state = state.setting(resource, to: .calm) }
        #expect(state.isCalm)
    }

    /// From wherever it is, twenty quiet samples end it all: 2 s, so that full service is back within five.
    @Test(arguments: 1...20) func everythingEndsWithinTheQuietTime(_ seed: Int) {
        var random = Generator(seed: UInt64(seed))
        var controller = PressureController()
        for _ in 0..<200 {
            _ = controller.step(
                Self.sample {
                    $0.diskFree = Int.random(in: 0...1 << 30, using: &random)
                    $0.commitSeconds = Double.random(in: 0...4, using: &random)
                    $0.writerQueue = Int.random(in: 0...1_000, using: &random)
                    $0.memory = Int.random(in: 0...1 << 30, using: &random)
                    $0.descriptors = Int.random(in: 0...1_000, using: &random)
                    $0.connections = Int.random(in: 0...1_000, using: &random)
                    $0.dnsQuestions = Int.random(in: 0...1_000, using: &random)
                    $0.lagSeconds = Double.random(in: 0...6, using: &random)
                })
        }
        #expect(!controller.state.isCalm)
        for _ in 0..<20 { _ = controller.step(Self.ease) }
        #expect(controller.state.isCalm)
    }

    @Test func absurdSamplesDoNotTrap() {
        var sample = PressureSample()
        sample.diskFree = .min
        sample.diskFreeMin = .max
        sample.commitSeconds = .nan
        sample.writerQueue = .max
        sample.writerQueueMax = 1
        sample.memory = .max
        sample.memoryMax = 1
        sample.descriptors = -1
        sample.descriptorsMax = .max
        sample.lagSeconds = .infinity
        let state = Self.settled(sample)
        #expect(state.level(of: .disk) == .critical)
        #expect(state.level(of: .commit) == .critical)
        #expect(state.level(of: .lag) == .critical)
        #expect(state.level(of: .descriptors) == .calm)
        for resource in PressureResource.allCases { #expect(!sample.figures(resource).isEmpty) }
    }

    @Test func resetForgets() {
        var controller = PressureController()
        _ = controller.step(Self.sample { $0.descriptors = 990 })
        controller.reset()
        #expect(controller.state.isCalm)
        #expect(controller.step(Self.ease).isCalm)
    }

    private struct Generator: RandomNumberGenerator {
        var state: UInt64
        init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 }
        mutating func next() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return state ^ (state >> 29)
        }
    }
}
