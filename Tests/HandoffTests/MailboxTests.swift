import CEpoll
import Handoff
import Synchronization
import Testing

@Suite struct MailboxTests {
    /// Several producers against a consumer that sleeps whenever it can: a lost wake-up would hang here.
    @Test func everyMessageArrivesInItsProducersOrder() {
        let mailbox = Mailbox<(producer: Int, number: Int)>(capacity: 256)
        let producers = 3
        let each = 30_000
        let threads = (0..<producers).map { p in
            LoopThread.spawn("producer-\(p)") {
                for n in 0..<each {
                    while !mailbox.post((producer: p, number: n)) { sched_yield() }
                }
            }
        }
        var next = [Int](repeating: 0, count: producers)
        var received = 0
        var inOrder = true
        while received < producers * each {
            while let message = mailbox.next() {
                inOrder = inOrder && next[message.producer] == message.number
                next[message.producer] += 1
                received += 1
            }
            if received < producers * each { mailbox.wait() }
        }
        for thread in threads { thread.join() }
        #expect(inOrder)
        #expect(next == [each, each, each])
        #expect(mailbox.next() == nil)
    }

    @Test func fullMailboxRefusesAndKeepsNothing() {
        let mailbox = Mailbox<Int>(capacity: 4)
        for n in 0..<4 { #expect(mailbox.post(n)) }
        #expect(!mailbox.post(4))
        #expect(mailbox.depth == 4)
        #expect(mailbox.next() == 0)
        #expect(mailbox.post(5))
        #expect([1, 2, 3, 5].allSatisfy { mailbox.next() == $0 })
    }

    @Test func nothingIsSignalledToAnOwnerThatIsAwake() {
        let mailbox = Mailbox<Int>(capacity: 4)
        #expect(mailbox.post(1))
        #expect(mt_poll_readable(mailbox.eventDescriptor, 0) == 0)
        #expect(!mailbox.prepareToWait())
        #expect(mailbox.next() == 1)
        #expect(mailbox.prepareToWait())
        #expect(mailbox.post(2))
        #expect(mt_poll_readable(mailbox.eventDescriptor, 0) == 1)
        mailbox.finishWait()
        #expect(mt_poll_readable(mailbox.eventDescriptor, 0) == 0)
    }

    /// A signal that comes late, after its message was taken, must not keep the descriptor readable for ever.
    @Test func lateSignalIsClearedByTheNextWait() {
        let mailbox = Mailbox<Int>(capacity: 4)
        _ = mt_eventfd_signal(mailbox.eventDescriptor)
        mailbox.wait(timeoutMilliseconds: 1_000)
        #expect(mt_poll_readable(mailbox.eventDescriptor, 0) == 0)
    }

    @Test func elementsLeftInTheRingAreReleased() {
        final class Counted: Sendable {
            static let alive = Atomic<Int>(0)
            init() { Counted.alive.add(1, ordering: .relaxed) }
            deinit { Counted.alive.subtract(1, ordering: .relaxed) }
        }
        do {
            let ring = MPSCRing<Counted>(capacity: 8)
            for _ in 0..<5 { #expect(ring.push(Counted())) }
            _ = ring.pop()
        }
        #expect(Counted.alive.load(ordering: .relaxed) == 0)
    }
}
