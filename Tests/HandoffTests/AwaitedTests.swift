import Handoff
import Testing

@Suite struct AwaitedTests {
    @Test func theAnswerOfAnotherThreadIsWaitedFor() {
        for n in 0..<100 {
            let reply = Awaited<Int>()
            let thread = LoopThread.spawn("answers") { reply.give(n) }
            #expect(reply.wait(seconds: 60) == n)
            thread.join()
        }
    }

    @Test func theFirstAnswerCounts() {
        let reply = Awaited<Int>()
        reply.give(1)
        reply.give(2)
        #expect(reply.wait() == 1)
        #expect(reply.wait(seconds: 0) == 1)
    }

    @Test func aWaitEnds() {
        #expect(Awaited<Int>().wait(seconds: 0.01) == nil)
        #expect(Awaited<Int>().wait(seconds: -1) == nil)
        #expect(Awaited<Int>().wait(seconds: .nan) == nil)
    }
}
