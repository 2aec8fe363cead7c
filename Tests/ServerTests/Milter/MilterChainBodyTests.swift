import Policy
import Testing

@testable import Server

/// What of a body is kept for filters, and when the client waits for them.
@Suite struct MilterChainBodyTests {
    private typealias F = FakeMilter

    private func begin(_ world: MilterWorld) {
        #expect(world.mail() == .proceed)
        #expect(world.recipient() == .proceed)
        world.chain.beginMessage(header: Array(MilterWorld.header.utf8))
        world.turns()
    }

    private func end(_ world: MilterWorld) -> MilterVerdict? {
        var outcome: MilterOutcome?
        world.chain.endOfMessage { outcome = $0 }
        world.turns()
        return outcome?.verdict
    }

    /// A filter without a body (SMFIP_NOBODY), and one that has seen enough of it.
    @Test(arguments: [0x10, 0x400] as [UInt32], [1, 2]) func aBodyNobodyWantsIsNotKept(
        _ steps: UInt32, _ filters: Int
    ) throws {
        let world = try MilterWorld(Array(repeating: .tempfail, count: filters))
        for filter in world.filters {
            filter.steps = steps
            filter.answer = { letter, _ in letter == "B" ? .say(F.packet("s")) : nil }
        }
        begin(world)
        var most = 0
        for _ in 0..<200 {
            world.chain.body([UInt8](repeating: 0x61, count: 16_384).span)
            world.turns(10)
            most = max(most, world.chain.content.bytes.count)
            // All that was kept for the second comes to it at once.
            if filters == 1 { #expect(!world.chain.wantsPause) }
        }
        #expect(!world.chain.wantsPause)
        // The second filter's turn has not come when the first has seen enough.
        let kept = steps == 0x10 ? 0 : filters == 1 ? 65_536 + 16_384 : world.context.limits.keptMax + 16_384
        #expect(most <= kept)
        #expect(world.chain.content.bytes.count <= (steps == 0x10 ? 0 : 65_536))
        #expect(end(world) == .proceed)
        #expect(world.context.keptOctets == 0)
    }

    /// The next filter begins with what was kept for it, which may be too much at once.
    @Test func theNextFilterMakesTheClientWaitToo() throws {
        let world = try MilterWorld([.tempfail, .tempfail])
        world.filters[0].steps = 0x10
        world.filters[0].answer = { letter, _ in letter == "N" ? .silence : nil }
        var slow = true
        world.filters[1].answer = { letter, _ in letter == "B" && slow ? .silence : nil }
        var drained = 0
        world.chain.onDrain = { drained += 1 }
        begin(world)
        for _ in 0..<40 { world.chain.body([UInt8](repeating: 0x61, count: 16_384).span) }
        #expect(!world.chain.wantsPause)
        world.filters[0].say(F.packet("a"))
        world.turns()
        #expect(world.chain.wantsPause)
        #expect(drained == 0)
        slow = false
        world.filters[1].say(F.packet("c"))
        world.turns()
        #expect(!world.chain.wantsPause)
        #expect(drained == 1)
        #expect(end(world) == .proceed)
        #expect(world.filters[1].body.count == 40 * 16_384)
    }

    @Test func theClientWaitsUntilHalfIsTaken() throws {
        let world = try MilterWorld()
        world.filter.answer = { letter, _ in letter == "B" ? .silence : nil }
        var drained = 0
        world.chain.onDrain = {
            drained += 1
            #expect(!world.chain.wantsPause)
        }
        begin(world)
        while !world.chain.wantsPause { world.chain.body([UInt8](repeating: 0x61, count: 16_384).span) }
        for step in 1...3 {
            #expect(world.chain.wantsPause, "\(step)")
            #expect(drained == 0)
            // One piece taken, the next on its way.
            world.turns()
            world.filter.say(F.packet("c"))
            world.turns()
        }
        #expect(!world.chain.wantsPause)
        #expect(drained == 1)
    }

    /// A filter that leaves lets the client go on.
    @Test(arguments: ["a", "r", "d"] as [Character]) func whoLeavesHoldsNobodyUp(_ word: Character) throws {
        let world = try MilterWorld()
        world.filter.answer = { letter, _ in letter == "B" ? .silence : nil }
        var drained = 0
        world.chain.onDrain = { drained += 1 }
        begin(world)
        while !world.chain.wantsPause { world.chain.body([UInt8](repeating: 0x61, count: 16_384).span) }
        world.turns()
        world.filter.say(F.packet(word))
        world.turns()
        #expect(!world.chain.wantsPause)
        #expect(drained == 1)
        #expect(world.chain.content.bytes.isEmpty)
    }

    // MARK: A body that is too large to be kept

    private func spread(_ world: MilterWorld, _ pieces: Int = 20) -> MilterOutcome? {
        for _ in 0..<pieces {
            world.chain.body([UInt8](repeating: 0x61, count: 16_384).span)
            world.turns()
        }
        var outcome: MilterOutcome?
        world.chain.endOfMessage { outcome = $0 }
        world.turns()
        return outcome
    }

    /// The second takes all of it at once, before the third has begun.
    @Test func aFilterThatNeverAnswersTakesNothingFromTheNext() throws {
        var limits = MilterLimits()
        limits.keptMax = 200_000
        let world = try MilterWorld([.tempfail, .tempfail, .tempfail], limits: limits)
        var pieces = 0
        world.filters[0].answer = { letter, _ in
            if letter == "B" { pieces += 1 }
            return pieces == 3 ? .silence : nil
        }
        world.filters[1].steps = 0x80 | 0xDF000
        begin(world)
        for _ in 0..<20 {
            world.chain.body([UInt8](repeating: 0x61, count: 16_384).span)
            world.turns()
        }
        world.filters[0].answer = { _, _ in nil }
        world.filters[0].say(F.packet("c"))
        world.turns()
        #expect(end(world) == .proceed)
        #expect(world.filters.map(\.body.count) == [Int](repeating: 20 * 16_384, count: 3))
    }

    /// The second was there for MAIL and RCPT and is gone when its turn comes.
    @Test func aFilterThatIsGoneTakesNothingFromTheNext() throws {
        var limits = MilterLimits()
        limits.keptMax = 200_000
        let world = try MilterWorld([.tempfail, .accept, .tempfail], limits: limits)
        begin(world)
        world.filters[1].hangUp()
        world.turns()
        let outcome = try #require(spread(world))
        #expect(outcome.verdict == .proceed)
        #expect(outcome.events.map(\.effect) == [.passed])
        #expect(world.filters[0].body.count == 20 * 16_384)
        #expect(world.filters[2].body.count == 20 * 16_384)
    }
}
