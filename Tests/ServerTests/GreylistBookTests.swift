import Base
import Handoff
import Policy
import Protocols
import Synchronization
import Telemetry
import Testing

@testable import Server

@Suite struct GreylistBookTests {
    private static let start: Int64 = 1_800_000_000
    private let policy: DomainDefense.Greylist = {
        var policy = DomainDefense.Greylist()
        policy.isOn = true
        return policy
    }()

    private struct Kit {
        let metrics = GreylistMetrics(Registry())
        let inbox: DefenseJournalInbox
        let book: GreylistBook

        init(entriesMax: Int = 1_000_000, octetsMax: Int = 96 << 20) {
            inbox = DefenseJournalInbox(metrics: metrics, capacity: 1 << 20)
            book = GreylistBook(
                exceptions: DefenseExceptionsPublisher(), journal: inbox, metrics: metrics, entriesMax: entriesMax,
                octetsMax: octetsMax,
                rules: { _ in
                    var policy = DomainDefense.Greylist()
                    policy.isOn = true
                    return policy
                })
        }

        /// What the journal would have been told since the last time.
        func changes() -> [DefenseChange] {
            var out: [DefenseChange] = []
            while let message = inbox.mailbox.next() {
                if case .change(let change) = message { out.append(change) }
            }
            return out
        }
    }

    private func at(minutes: Int64 = 0, days: Int64 = 0) -> WallTime {
        WallTime(seconds: Self.start + minutes * 60 + days * 86_400)
    }

    private static func attempt(
        _ address: String = "192.0.2.1", _ sender: String = "a@s.example", _ recipient: String = "r@d.example",
        proven: String? = nil
    ) -> Greylisting.Attempt {
        var attempt = Greylisting.Attempt(
            address: IPAddress(address), sender: Array(sender.utf8), recipient: Array(recipient.utf8),
            domain: Array("d.example".utf8))
        attempt.provenDomain = proven.map { Array($0.utf8) }
        return attempt
    }

    @Test func aLifeCountedAndTold() {
        let kit = Kit()
        func decide(_ minutes: Int64, days: Int64 = 0) -> GreylistDecision {
            kit.book.decide(Self.attempt(), policy, now: at(minutes: minutes, days: days)).decision
        }
        #expect(decide(0) == .deferNew(secondsLeft: 900))
        #expect(decide(5) == .deferEarly(secondsLeft: 600, closes: false))
        #expect(decide(6) == .deferEarly(secondsLeft: 540, closes: false))
        #expect(kit.book.count(.waiting) == 1)
        #expect(decide(20) == .passedNow(delaySeconds: 1_200))
        #expect(kit.book.count == 1)
        #expect(decide(21) == .known)
        #expect(decide(22) == .known)
        #expect(decide(0, days: 30) == .known)
        #expect(kit.metrics.outcomes.value(.new) == 1)
        #expect(kit.metrics.outcomes.value(.early) == 2)
        #expect(kit.metrics.outcomes.value(.passed) == 1)
        #expect(kit.metrics.outcomes.value(.known) == 3)
        #expect(kit.metrics.delay.value == 1_200)
        #expect(kit.metrics.entries.value(.known) == 1)
        #expect(kit.metrics.entries.value(.waiting) == 0)
        // new; waiting once; known and the triplet's end; the last mail after a month.
        let told = kit.changes()
        #expect(told.count == 5)
        let states = told.map { change in
            switch change {
            case .put(_, let record, _): record.state.rawValue
            case .remove: "gone"
            case .exception, .good: "?"
            }
        }
        #expect(states == ["new", "waiting", "known", "gone", "known"])
        #expect(kit.book.sweep(now: at(days: 40)) == 0)
        #expect(kit.book.sweep(now: at(days: 67)) == 1)
        #expect(kit.book.count == 0)
        #expect(kit.metrics.caught.value == 0)
    }

    @Test func onceKnownForAllOfTheDomain() {
        let kit = Kit()
        let two = [Self.attempt(), Self.attempt("192.0.2.9", "a@s.example", "q@d.example")]
        for one in two { #expect(kit.book.decide(one, policy, now: at()).decision.isDeferred) }
        #expect(kit.book.decide(two[0], policy, now: at(minutes: 15)).decision == .passedNow(delaySeconds: 900))
        #expect(kit.book.decide(two[1], policy, now: at(minutes: 15)).decision == .passedNow(delaySeconds: 900))
        #expect(
            kit.book.decide(Self.attempt("192.0.2.3", "a@s.example", "new@d.example"), policy, now: at(minutes: 15))
                .decision
                == .known)
        #expect(
            kit.book.decide(Self.attempt("192.0.2.3", "b@s.example", "new@d.example"), policy, now: at(minutes: 15))
                .decision
                .isDeferred)
        #expect(kit.book.decide(Self.attempt("192.0.3.3"), policy, now: at(minutes: 15)).decision.isDeferred)
        #expect(
            kit.book.decide(Self.attempt("192.0.2.3", "a@s.example", "r@e.example"), policy, now: at(minutes: 15))
                .decision
                .isDeferred)
        #expect(kit.book.count(.known) == 1)
    }

    @Test func aProvenDomainIsOneSender() {
        let kit = Kit()
        let first = Self.attempt("192.0.2.1", proven: "pool.example")
        #expect(kit.book.decide(first, policy, now: at()).decision.isDeferred)
        let second = Self.attempt("203.0.113.1", proven: "Pool.example")
        #expect(kit.book.decide(second, policy, now: at(minutes: 15)).decision == .passedNow(delaySeconds: 900))
    }

    @Test func proofThatComesLaterDoesNotBeginTheWaitAnew() {
        let kit = Kit()
        #expect(kit.book.decide(Self.attempt(), policy, now: at()).decision.isDeferred)
        let proven = Self.attempt("192.0.2.2", proven: "s.example")
        #expect(
            kit.book.decide(proven, policy, now: at(minutes: 5)).decision
                == .deferEarly(secondsLeft: 600, closes: false))
        #expect(kit.book.count == 1)
        #expect(kit.book.decide(proven, policy, now: at(minutes: 15)).decision == .passedNow(delaySeconds: 900))
        // And what was known by its network stays known.
        #expect(kit.book.decide(Self.attempt("198.51.100.1"), policy, now: at()).decision.isDeferred)
        #expect(!kit.book.decide(Self.attempt("198.51.100.1"), policy, now: at(minutes: 15)).decision.isDeferred)
        let later = Self.attempt("198.51.100.1", proven: "other.example")
        #expect(kit.book.decide(later, policy, now: at(minutes: 16)).decision == .known)
    }

    @Test func whatNeverCameBackIsCounted() {
        let kit = Kit()
        for i in 0..<10 { _ = kit.book.decide(Self.attempt("10.0.\(i).1"), policy, now: at()) }
        #expect(kit.book.sweep(now: at(days: 1)) == 0)
        #expect(kit.metrics.caught.value == 0)
        #expect(kit.book.sweep(now: at(days: 3)) == 0)
        #expect(kit.book.sweep(now: at(days: 4)) == 0)
        #expect(kit.metrics.caught.value == 10)
        // One of them comes by again: it is new, and may be caught again.
        #expect(
            kit.book.decide(Self.attempt("10.0.3.1"), policy, now: at(days: 5)).decision == .deferNew(secondsLeft: 900))
        #expect(kit.metrics.caught.value == 10)
        #expect(kit.book.sweep(now: at(minutes: 1, days: 30)) == 9)
        #expect(kit.metrics.caught.value == 11)
        #expect(kit.book.sweep(now: at(minutes: 1, days: 35)) == 1)
        #expect(kit.metrics.caught.value == 11)
        #expect(kit.book.count == 0)
        #expect(kit.metrics.entries.value(.new) == 0)
    }

    @Test func aFloodPushesOutOnlyWhatWaits() {
        let kit = Kit(entriesMax: 3_200)
        for i in 0..<100 {
            let friend = Self.attempt("172.16.\(i).1", "friend@f.example")
            _ = kit.book.decide(friend, policy, now: at())
            #expect(!kit.book.decide(friend, policy, now: at(minutes: 15)).decision.isDeferred)
        }
        let patient = Self.attempt("198.51.100.1", "patient@p.example")
        _ = kit.book.decide(patient, policy, now: at(minutes: 16))
        _ = kit.book.decide(patient, policy, now: at(minutes: 17))
        for i in 0..<12_000 {
            let bot = Self.attempt("10.\(i / 250 % 250).\(i % 250).1", "x\(i)@bot.example", "r\(i)@d.example")
            #expect(kit.book.decide(bot, policy, now: at(minutes: 18)).decision == .deferNew(secondsLeft: 900))
        }
        #expect(kit.book.count <= 3_200)
        #expect(kit.book.count(.known) == 100)
        #expect(kit.metrics.pushedOut.value(.known) == 0)
        #expect(kit.metrics.pushedOut.value(.new) > 8_000)
        #expect(kit.metrics.entries.value(.new) == kit.book.count(.new))
        // What has shown that it comes back outlives what has not.
        #expect(kit.book.decide(patient, policy, now: at(minutes: 31)).decision == .passedNow(delaySeconds: 900))
        #expect(
            kit.book.decide(Self.attempt("172.16.5.1", "friend@f.example"), policy, now: at(minutes: 31)).decision
                == .known)
    }

    /// One host that proves a domain of its own for each message does not push out what others wait with.
    @Test func whoProvesManyDomainsHasOneQuota() {
        let kit = Kit(entriesMax: 6_400)
        let others = (0..<200).map { Self.attempt("172.16.\($0).1", "patient@p.example") }
        for other in others { _ = kit.book.decide(other, policy, now: at()) }
        for i in 0..<12_000 {
            let bot = Self.attempt("10.1.2.\(i % 250)", "x@d\(i).example", "r@d.example", proven: "d\(i).example")
            #expect(kit.book.decide(bot, policy, now: at(minutes: 1)).decision == .deferNew(secondsLeft: 900))
        }
        // A shard's worth, and one for each shard that had none of them.
        #expect(kit.book.count(.new) <= 200 + 100 + 64)
        #expect(kit.metrics.entries.value(.new) == kit.book.count(.new))
        for other in others {
            #expect(kit.book.decide(other, policy, now: at(minutes: 15)).decision == .passedNow(delaySeconds: 900))
        }
        // The network's latest are there: its real mail gets in.
        let last = Self.attempt("10.1.2.9", "x@d11999.example", "r@d.example", proven: "d11999.example")
        #expect(kit.book.decide(last, policy, now: at(minutes: 16)).decision == .passedNow(delaySeconds: 900))
    }

    /// What waits already outlives what is new, also of one network; entries that go make room again.
    @Test func aNetworksNewOnesGoFirst() {
        let kit = Kit(entriesMax: 640)
        func attempt(_ i: Int) -> Greylisting.Attempt { Self.attempt("10.1.2.3", "x@s\(i).example") }
        _ = kit.book.decide(attempt(0), policy, now: at())
        _ = kit.book.decide(attempt(0), policy, now: at(minutes: 1))
        for i in 1..<500 { _ = kit.book.decide(attempt(i), policy, now: at(minutes: 2)) }
        #expect(kit.book.count <= 10)
        #expect(kit.book.count(.waiting) == 1)
        #expect(kit.book.decide(attempt(0), policy, now: at(minutes: 15)).decision == .passedNow(delaySeconds: 900))
        _ = kit.book.forget([GreylistFilter()])
        for i in 0..<9 { _ = kit.book.decide(attempt(i), policy, now: at(minutes: 20)) }
        #expect(kit.book.count == 9)
    }

    /// The sweep that finds what never came back does not make it look fresh.
    @Test func theLapsedStayTheStalest() {
        let kit = Kit(entriesMax: 8 * 64)
        let first = Self.attempt("192.0.2.1", "first@s.example", proven: "pool.example")
        _ = kit.book.decide(first, policy, now: at())
        // With these one shard is full.
        for i in 0..<7 {
            let other = Self.attempt("10.0.\(i).1", "other@s\(i).example", proven: "pool.example")
            _ = kit.book.decide(other, policy, now: at(days: 2))
        }
        _ = kit.book.sweep(now: at(days: 3))
        #expect(kit.metrics.caught.value == 1)
        let late = Self.attempt("10.0.9.1", "late@s.example", proven: "pool.example")
        _ = kit.book.decide(late, policy, now: at(days: 4))
        let left = kit.book.list(GreylistFilter(), limit: 100, now: at(days: 4)).map(\.sender)
        #expect(left.count == 8)
        #expect(!left.contains(Array("first@s.example".utf8)))
    }

    /// SPF has no answer this time: the client is known by its network, and the other way round.
    @Test func whoIsKnownByADomainIsKnownWithoutAnAnswerOfSPF() {
        let kit = Kit()
        let proven = Self.attempt("192.0.2.1", proven: "s.example")
        _ = kit.book.decide(proven, policy, now: at())
        #expect(kit.book.decide(proven, policy, now: at(minutes: 15)).decision == .passedNow(delaySeconds: 900))
        #expect(kit.book.decide(Self.attempt("192.0.2.77"), policy, now: at(minutes: 16)).decision == .known)
        // Another network of the domain: known by its domain at once, by itself from then on.
        let elsewhere = Self.attempt("198.51.100.1", proven: "s.example")
        #expect(kit.book.decide(elsewhere, policy, now: at(minutes: 17)).decision == .known)
        #expect(kit.book.decide(Self.attempt("198.51.100.1"), policy, now: at(minutes: 18)).decision == .known)
        #expect(kit.book.decide(Self.attempt("203.0.113.1"), policy, now: at(minutes: 19)).decision.isDeferred)
        // As long as mail comes, so does the network's entry stay.
        #expect(kit.book.decide(proven, policy, now: at(days: 20)).decision == .known)
        #expect(kit.book.decide(Self.attempt("192.0.2.1"), policy, now: at(days: 50)).decision == .known)
    }

    @Test func boundedInOctetsAndFullOfKnownOnes() {
        let kit = Kit(entriesMax: 64 * 8, octetsMax: 1)
        let long = String(repeating: "x", count: 200)
        for i in 0..<6_000 {
            let one = Self.attempt("10.\(i / 250).\(i % 250).1", "\(long)@s.example")
            _ = kit.book.decide(one, policy, now: at())
            _ = kit.book.decide(one, policy, now: at(minutes: 15))
        }
        #expect(kit.book.size.octets <= 64 * 16_384)
        #expect(kit.book.count(.known) <= 64 * 7)
        #expect(kit.book.count(.known) > 300)
        // New ones find room all the same.
        let late = Self.attempt("203.0.113.1", "late@s.example")
        _ = kit.book.decide(late, policy, now: at(minutes: 16))
        #expect(kit.book.decide(late, policy, now: at(minutes: 31)).decision == .passedNow(delaySeconds: 900))
    }

    // MARK: Operators

    private func filter(_ change: (inout GreylistFilter) -> Void) -> GreylistFilter {
        var filter = GreylistFilter()
        change(&filter)
        return filter
    }

    @Test func listedReleasedForgotten() throws {
        let kit = Kit()
        _ = kit.book.decide(Self.attempt("192.0.2.1", "a@s.example", "r@d.example"), policy, now: at())
        _ = kit.book.decide(Self.attempt("192.0.3.1", "b@s.example", "r@e.example"), policy, now: at(minutes: 1))
        _ = kit.book.decide(Self.attempt("192.0.4.1", "", "q@d.example"), policy, now: at(minutes: 2))
        func list(_ change: (inout GreylistFilter) -> Void = { _ in }) -> [String] {
            kit.book.list(filter(change), limit: 10, now: at(minutes: 5)).map {
                String(decoding: $0.identity, as: UTF8.self)
            }
        }
        #expect(list() == ["192.0.4.0/24", "192.0.3.0/24", "192.0.2.0/24"])
        #expect(list { $0.domain = Array("D.example".utf8) } == ["192.0.4.0/24", "192.0.2.0/24"])
        #expect(list { $0.block = AddressBlock("192.0.3.200") } == ["192.0.3.0/24"])
        #expect(list { $0.block = AddressBlock("192.0.0.0/16") }.count == 3)
        #expect(list { $0.sender = Array("s.example".utf8) } == ["192.0.3.0/24", "192.0.2.0/24"])
        #expect(list { $0.sender = Array("A@S.example".utf8) } == ["192.0.2.0/24"])
        #expect(list { $0.recipient = Array("r@e.example".utf8) } == ["192.0.3.0/24"])
        #expect(list { $0.state = .known } == [])
        #expect(kit.book.list(GreylistFilter(), limit: 1, now: at()).count == 1)
        let row = try #require(
            kit.book.list(filter { $0.domain = Array("e.example".utf8) }, limit: 1, now: at(minutes: 5)).first)
        #expect(row.passes == at(minutes: 16))

        #expect(kit.book.release([filter { $0.domain = Array("d.example".utf8) }], now: at(minutes: 5)) == 2)
        #expect(kit.book.release([filter { $0.domain = Array("d.example".utf8) }], now: at(minutes: 5)) == 0)
        #expect(
            kit.book.decide(Self.attempt("192.0.2.1", "a@s.example", "other@d.example"), policy, now: at(minutes: 6))
                .decision == .known)
        #expect(
            kit.book.decide(Self.attempt("192.0.4.1", "", "q@d.example"), policy, now: at(minutes: 6)).decision
                == .known)
        #expect(list { $0.recipient = Array("any@d.example".utf8) }.count == 2)
        #expect(kit.book.forget([filter { $0.state = .known }]) == 2)
        #expect(kit.book.count == 1)
        #expect(kit.book.decide(Self.attempt(), policy, now: at(minutes: 7)).decision == .deferNew(secondsLeft: 900))
    }

    @Test func releasingManyVisitsEachOnce() {
        let kit = Kit()
        for i in 0..<3_000 { _ = kit.book.decide(Self.attempt("10.\(i / 200).\(i % 200).1"), policy, now: at()) }
        #expect(kit.book.release([GreylistFilter()], now: at(minutes: 1)) == 3_000)
        #expect(kit.book.count(.known) == 3_000)
        #expect(kit.book.count == 3_000)
        #expect(kit.book.forget([GreylistFilter()]) == 3_000)
        #expect(kit.book.count == 0)
        #expect(kit.metrics.entries.value(.known) == 0)
    }

    @Test func exceptions() throws {
        let kit = Kit()
        #expect(kit.book.decide(Self.attempt(), policy, now: at()).decision.isDeferred)
        func change(_ list: DefenseExceptionList, _ text: String, remove: Bool = false) throws -> Bool {
            let change = try #require(DefenseExceptionChange(list, text: text, isRemoval: remove))
            return kit.book.exceptions.change([change]) == (1, false)
        }
        #expect(try change(.greylist, "192.0.2.0/24"))
        #expect(try !change(.greylist, "192.0.2.0/24"))
        #expect(kit.book.decide(Self.attempt(), policy, now: at()).decision == .skipped(.allowedClient))
        #expect(try change(.greylist, "192.0.2.0/24", remove: true))
        #expect(try change(.greylistDomains, "S.example."))
        #expect(kit.book.decide(Self.attempt(), policy, now: at()).decision.isDeferred)
        let proven = Self.attempt(proven: "mail.s.example")
        #expect(kit.book.decide(proven, policy, now: at()).decision == .skipped(.allowedDomain))
        #expect(kit.metrics.skips.value(.allowedClient) == 1)
        #expect(kit.metrics.skips.value(.allowedDomain) == 1)
        #expect(try change(.limits, "2001:db8::/32"))
        #expect(try change(.tarpit, "192.0.2.9"))
        #expect(kit.book.exceptions.index.tarpit.contains(try #require(IPAddress("192.0.2.9"))))
        for wrong in ["", "a b", "x@y", "10.0.0.0/99", "..", "192.0.2.1"] {
            #expect(DefenseExceptionChange(.greylistDomains, text: wrong, isRemoval: false) == nil, "\(wrong)")
        }
        #expect(DefenseExceptionChange(.limits, text: "example.com", isRemoval: false) == nil)
    }

    @Test func exceptionsAreBounded() {
        var exceptions = DefenseExceptions()
        exceptions.limits = (0..<DefenseExceptions.entriesMax).map {
            AddressBlock(IPAddress(v4: 10, UInt8($0 >> 16), UInt8($0 >> 8 & 255), UInt8($0 & 255)), prefix: 32)
        }
        let one = DefenseExceptionChange(.limits(AddressBlock(IPAddress(v4: 1, 2, 3, 4), prefix: 32)), isRemoval: false)
        #expect(one.apply(to: &exceptions) == .full)
    }

    private final class Count: Sendable {
        let value = Atomic<Int>(0)
    }

    @Test func manyThreads() {
        let kit = Kit(entriesMax: 20_000)
        let passed = Count()
        let (book, policy, later) = (kit.book, policy, at())
        let threads = (0..<4).map { t in
            LoopThread.spawn("t\(t)") {
                for i in 0..<5_000 {
                    let now = WallTime(seconds: Self.start + Int64(i))
                    let same = Self.attempt("10.\(i % 50).\(i % 20).1", "s@x.example", "r\(i % 7)@d.example")
                    if case .passedNow = book.decide(same, policy, now: now).decision {
                        passed.value.add(1, ordering: .relaxed)
                    }
                }
            }
        }
        let other = LoopThread.spawn("ops") {
            for _ in 0..<20 {
                _ = book.list(GreylistFilter(), limit: 100, now: later)
                _ = book.sweep(now: later)
            }
        }
        for thread in threads { thread.join() }
        other.join()
        let m = kit.metrics
        let total = passed.value.load(ordering: .relaxed)
        #expect(
            m.outcomes.value(.new) + m.outcomes.value(.early) + m.outcomes.value(.passed) + m.outcomes.value(.known)
                == 20_000)
        #expect(m.outcomes.value(.passed) == UInt64(total))
        #expect(total > 0)
        #expect(m.entries.value(.known) == kit.book.count(.known))
        #expect(m.entries.value(.waiting) == kit.book.count(.waiting))
        // 100 networks: each is known once for its one sender.
        #expect(kit.book.count(.known) == 100)
    }
}
