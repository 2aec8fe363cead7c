import Base
import MailAuth
import Policy
import Store
import Telemetry
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

    // MARK: Bodies that filters make

    private func replacing(_ world: MilterWorld, _ pieces: [[UInt8]]) {
        let bytes = pieces.flatMap { F.packet("b", $0) } + F.packet("c")
        world.filter.answer = { letter, _ in letter == "E" ? .say(bytes) : nil }
    }

    @Test func lineEndsBecomeWhole() throws {
        let world = try MilterWorld()
        replacing(world, ["a\nb\r", "\nc\rd\n", "\n\r", "e\r\n\r"].map { Array($0.utf8) })
        begin(world)
        var outcome: MilterOutcome?
        world.chain.endOfMessage { outcome = $0 }
        world.turns()
        #expect(outcome?.modifications.body == Array("a\r\nb\r\nc\r\nd\r\n\r\n\r\ne\r\n\r\n".utf8))
    }

    @Test func lineEndsAreTheSameInAnyPieces() {
        let text = Array("\n\r\na\r\rb\n\n\r\n\rc".utf8)
        let expected = Array("\r\n\r\na\r\n\r\nb\r\n\r\n\r\n\r\nc".utf8)
        for first in 0...text.count {
            for second in first...text.count {
                var out: [UInt8] = []
                var ends = WholeLineEnds()
                for piece in [text[..<first], text[first..<second], text[second...]] {
                    ends.append(Array(piece).span, to: &out)
                }
                ends.finish(&out)
                #expect(out == expected, "\(first), \(second)")
            }
        }
    }

    /// What a filter makes is counted once while later filters hear it, and until it is handed over.
    @Test func newBodiesAreCounted() throws {
        let world = try MilterWorld([.tempfail, .tempfail])
        let body = [UInt8](repeating: 0x61, count: 300_000)
        replacing(world, stride(from: 0, to: body.count, by: 60_000).map { Array(body[$0..<$0 + 60_000]) })
        world.filters[1].answer = { letter, _ in letter == "N" ? .silence : nil }
        begin(world)
        var outcome: MilterOutcome?
        world.chain.endOfMessage { outcome = $0 }
        world.turns()
        #expect(outcome == nil && world.context.keptOctets == body.count)
        #expect(world.chain.content.isReplacement && world.chain.content.kept == 0)
        world.filters[1].answer = { _, _ in nil }
        world.filters[1].say(F.packet("c"))
        world.turns()
        #expect(outcome?.modifications.body == body)
        #expect(world.filters[1].body == body)
        #expect(world.context.keptOctets == 0)
    }

    /// Others hold what there is: the message is put off whatever the policy is, and the filter is not blamed.
    @Test(arguments: MilterServer.FailurePolicy.allCases)
    func newBodiesWithoutRoomPutMailOff(_ policy: MilterServer.FailurePolicy) throws {
        var limits = MilterLimits()
        limits.keptByLoopMax = 400_000
        limits.failuresMax = 1
        let world = try MilterWorld([policy], limits: limits)
        replacing(world, (0..<5).map { _ in [UInt8](repeating: 0x61, count: 60_000) })
        world.context.keptOctets = 200_000
        begin(world)
        #expect(end(world) == .refuse(StoreReplies.storeBusy))
        #expect(world.context.keptOctets == 200_000 && world.metrics.resting.value == 0)
        // A small one always has room, and a large one when there is some.
        for (size, others) in [(50_000, 400_000), (60_000, 0)] {
            replacing(world, (0..<5).map { _ in [UInt8](repeating: 0x61, count: size) })
            world.context.keptOctets = others
            begin(world)
            #expect(end(world) == .proceed)
            #expect(world.context.keptOctets == others)
        }
    }

    /// What is done with is moved out when it is more than half, a replacement never.
    @Test func contentIsMovedSeldom() {
        var content = MilterContent()
        var moved = 0
        let piece = [UInt8](0..<100)
        for _ in 0..<1_000 { content.append(piece.span) }
        for place in stride(from: 10, through: 99_990, by: 10) {
            let base = content.base
            content.forget(before: place)
            if content.base != base { moved += content.bytes.count }
            #expect(content.end == 100_000)
            #expect(content.bytes[place - content.base] == UInt8(place % 100))
            #expect(content.bytes.count <= 2 * (content.end - place) + 10)
        }
        #expect(moved <= 100_000)
        content.forget(before: 100_000)
        #expect(content.bytes.isEmpty && content.base == 100_000)
        content.replace(with: piece)
        content.forget(before: 99)
        #expect(content.bytes.count == 100 && content.kept == 0)
        content.forget(before: 100)
        #expect(content.bytes.isEmpty)
    }

    /// No more chunks are under way than a client's own message may have, and each octet is hashed once.
    @Test func newBodiesGoToTheSpoolChunkByChunk() throws {
        let context = try MilterWorld([]).context
        let bytes = (0..<1_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
        let key = BodyHashKey(Canonicalization.simple)
        var store = BodyAssembler(gateway: StoreGateway(), inlineMax: 6 << 10) {}
        store.begin()
        var steps = 0
        do {
            let replaced = ReplacedBody(bytes, hashing: [key], context)
            #expect(context.keptOctets == bytes.count)
            while !replaced.advance(into: &store, chunksMax: 4) {
                #expect(store.chunksUnderWay >= 4 && store.chunksUnderWay <= 5)
                store.chunkWritten()
                steps += 1
            }
            let whole = BodyHashers([key])
            whole.feed(bytes.span)
            #expect(replaced.hashes() == whole.finish())
        }
        #expect(steps >= 8)
        #expect(context.keptOctets == 0)
        guard case .body(.spooled(_, let size)) = store.take() else {
            Issue.record("not spooled")
            return
        }
        #expect(size == bytes.count)
    }

    /// A disk that is full ends it; nothing waits for chunks that never come.
    @Test func aFullDiskEndsANewBody() throws {
        let context = try MilterWorld([]).context
        let gateway = StoreGateway()
        gateway.setDiskLow(true)
        var store = BodyAssembler(gateway: gateway, inlineMax: 6 << 10) {}
        store.begin()
        let replaced = ReplacedBody([UInt8](repeating: 0x61, count: 1_000_000), hashing: nil, context)
        #expect(replaced.advance(into: &store, chunksMax: 4))
        guard case .unavailable = store.take() else {
            Issue.record("a part was taken for the whole")
            return
        }
    }
}
