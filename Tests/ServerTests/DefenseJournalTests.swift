import Base
import Foundation
import Handoff
import Policy
import Protocols
import Synchronization
import Telemetry
import Testing

@testable import Server

@Suite struct DefenseJournalTests {
    private static let start: Int64 = 1_800_000_000
    private let policy: DomainDefense.Greylist = {
        var policy = DomainDefense.Greylist()
        policy.isOn = true
        return policy
    }()

    /// A folder for one test.
    private final class Folder {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("mt-" + UUID().uuidString).path
        init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }
        deinit { try? FileManager.default.removeItem(atPath: path) }
        var journal: String { path + "/defense/journal" }
        func bytes() throws -> [UInt8] { [UInt8](try Data(contentsOf: URL(fileURLWithPath: journal))) }
        func write(_ bytes: [UInt8]) throws { try Data(bytes).write(to: URL(fileURLWithPath: journal)) }
    }

    private func open(_ folder: Folder, _ metrics: GreylistMetrics = GreylistMetrics(Registry())) throws -> DefenseState
    {
        try DefenseState.open(
            storePath: folder.path, metrics: metrics, log: nil, now: { WallTime(seconds: Self.start) },
            rules: { _ in nil })
    }

    private func at(minutes: Int64) -> WallTime { WallTime(seconds: Self.start + minutes * 60) }

    private func decide(_ state: DefenseState, _ address: String, _ minutes: Int64) -> GreylistDecision {
        let attempt = Greylisting.Attempt(
            address: IPAddress(address), sender: Array("a@s.example".utf8), recipient: Array("r@d.example".utf8),
            domain: Array("d.example".utf8))
        return state.greylist.decide(attempt, policy, now: at(minutes: minutes)).decision
    }

    private final class Flag: Sendable {
        let value = Atomic<Bool>(true)
    }

    /// Waits until all of it is on the disk.
    private func flush(_ state: DefenseState) -> Bool {
        let done = DispatchSemaphore(value: 0)
        let isSafe = Flag()
        state.journal.sync {
            isSafe.value.store($0, ordering: .releasing)
            done.signal()
        }
        done.wait()
        return isSafe.value.load(ordering: .acquiring)
    }

    @Test func everythingSurvivesARestart() throws {
        let folder = try Folder()
        var state = try open(folder)
        #expect(decide(state, "192.0.2.1", 0).isDeferred)
        #expect(decide(state, "192.0.3.1", 0).isDeferred)
        #expect(decide(state, "192.0.3.1", 16) == .passedNow(delaySeconds: 960))
        #expect(decide(state, "192.0.4.1", 0).isDeferred)
        state.stop()

        state = try open(folder)
        #expect(state.greylist.count == 3)
        #expect(decide(state, "192.0.2.1", 5) == .deferEarly(secondsLeft: 600, closes: false))
        #expect(decide(state, "192.0.3.1", 17) == .known)
        state.stop()

        state = try open(folder)
        #expect(state.greylist.count(.waiting) == 1)
        #expect(decide(state, "192.0.2.1", 15) == .passedNow(delaySeconds: 900))
        #expect(decide(state, "192.0.4.1", 15) == .passedNow(delaySeconds: 900))
        #expect(decide(state, "192.0.3.1", 15) == .known)
        state.stop()
    }

    private func open(_ folder: Folder, atHour hour: Int64) throws -> DefenseState {
        try DefenseState.open(
            storePath: folder.path, metrics: GreylistMetrics(Registry()), log: nil,
            now: { WallTime(seconds: Self.start + hour * 3_600) }, rules: { _ in nil })
    }

    @Test func knownGoodClientsSurviveARestart() throws {
        let folder = try Folder()
        let clock = SystemTime()
        let (v4, v6, bad, other) = (
            IPAddress("192.0.2.1"), IPAddress("2001:db8:1:2::1"), IPAddress("192.0.2.3"), IPAddress("192.0.2.4")
        )
        var state = try open(folder, atHour: 0)
        for client in [v4, v6, bad] { state.clients.delivered(client, now: clock.monotonic()) }
        state.clients.failed(bad, now: clock.monotonic())
        #expect(flush(state))
        // As after kill -9 at that moment.
        let kept = try folder.bytes()
        state.stop()
        try folder.write(kept)

        state = try open(folder, atHour: 20)
        #expect(state.journal.read.changes == 4)
        #expect(state.journal.read.lostOctets == 0)
        #expect(state.clients.isKnownGood(v4, now: clock.monotonic()))
        #expect(state.clients.isKnownGood(IPAddress("2001:db8:1:2::9"), now: clock.monotonic()))
        #expect(!state.clients.isKnownGood(bad, now: clock.monotonic()), "it had lost its good name")
        #expect(!state.clients.isKnownGood(other, now: clock.monotonic()))
        #expect(!state.clients.isKnownGood(v4, now: clock.monotonic().advanced(bySeconds: 5 * 3_600)))
        // It goes on to earn it.
        state.clients.delivered(v6, now: clock.monotonic())
        state.stop()

        state = try open(folder, atHour: 30)
        #expect(!state.clients.isKnownGood(v4, now: clock.monotonic()), "a day has passed")
        #expect(state.clients.isKnownGood(v6, now: clock.monotonic()))
        state.stop()
    }

    @Test func aBusyClientTakesOneLine() throws {
        let folder = try Folder()
        let clock = SystemTime()
        let state = try open(folder, atHour: 0)
        for _ in 0..<1_000 { state.clients.delivered(IPAddress("192.0.2.1"), now: clock.monotonic()) }
        state.stop()
        let again = try open(folder, atHour: 0)
        #expect(again.journal.read.changes == 1)
        again.stop()
    }

    @Test func operatorsWordsAreOnTheDiskWhenTheyAreAnswered() throws {
        let folder = try Folder()
        var state = try open(folder)
        #expect(decide(state, "192.0.2.1", 0).isDeferred)
        let done = DispatchSemaphore(value: 0)
        for (list, text) in [
            (DefenseExceptionList.limits, "10.0.0.0/8"), (.tarpit, "2001:db8::/32"), (.greylist, "203.0.113.0/24"),
            (.greylistDomains, "friend.example"), (.limits, "172.16.0.0/12"),
        ] {
            let change = try #require(DefenseExceptionChange(list, text: text, isRemoval: false))
            state.change([change]) { changed, isFull, isSafe in
                #expect(changed == 1)
                #expect(!isFull)
                #expect(isSafe)
                done.signal()
            }
            done.wait()
        }
        let removal = try #require(DefenseExceptionChange(.limits, text: "10.0.0.0/8", isRemoval: true))
        state.change([removal]) { _, _, _ in
            done.signal()
        }
        done.wait()
        var filter = GreylistFilter()
        filter.block = AddressBlock("192.0.2.99")
        state.release([filter], now: at(minutes: 1)) { count, isSafe in
            #expect(count == 1)
            #expect(isSafe)
            done.signal()
        }
        done.wait()
        let kept = try folder.bytes()
        let exceptions = state.exceptions.current
        state.stop()
        // As after kill -9 at that moment.
        try folder.write(kept)
        state = try open(folder)
        #expect(state.exceptions.current == exceptions)
        #expect(state.exceptions.current.limits.map(\.description) == ["172.16.0.0/12"])
        #expect(decide(state, "192.0.2.7", 2) == .known)
        #expect(decide(state, "203.0.113.7", 2) == .skipped(.allowedClient))
        state.stop()
    }

    /// Wherever a crash cuts the file, the changes before are there and the journal goes on.
    @Test func tornAtEveryOctet() throws {
        let folder = try Folder()
        var state = try open(folder)
        for i in 0..<3 { _ = decide(state, "192.0.\(i).1", 0) }
        state.stop()
        let whole = try folder.bytes()
        let frame = (whole.count - 8) / 3
        for length in 0..<whole.count {
            try folder.write(Array(whole[..<length]))
            state = try open(folder)
            let expected = length < 8 ? 0 : (length - 8) / frame
            #expect(state.greylist.count == expected, "cut at \(length)")
            _ = decide(state, "198.51.100.1", 0)
            #expect(flush(state))
            state.stop()
            state = try open(folder)
            #expect(state.greylist.count == expected + 1, "went on after \(length)")
            #expect(state.journal.read.lostOctets == 0)
            state.stop()
        }
    }

    /// A damaged change ends the reading, and people are left what was there.
    @Test func damageStopsThereAndIsKept() throws {
        let folder = try Folder()
        var state = try open(folder)
        for i in 0..<200 { _ = decide(state, "10.\(10 + i % 20).\(10 + i / 20).1", 0) }
        state.stop()
        var bytes = try folder.bytes()
        let frame = (bytes.count - 8) / 200
        bytes[8 + 100 * frame + 40] ^= 1
        try folder.write(bytes)
        #expect(bytes.count == 8 + 200 * frame)
        state = try open(folder)
        #expect(state.greylist.count == 100)
        #expect(state.journal.read.lostOctets > 4_096)
        #expect(flush(state))
        let kept = state.greylist.count
        state.stop()
        #expect(FileManager.default.fileExists(atPath: folder.path + "/defense/journal.damaged"))
        state = try open(folder)
        #expect(state.greylist.count == kept)
        #expect(state.journal.read.lostOctets == 0)
        state.stop()
    }

    /// From the first moment on the good changes are where they were, and what was cut off is beside them.
    @Test(arguments: [5_000, 300_000]) func theGoodPartNeverLeavesItsPlace(_ torn: Int) throws {
        let folder = try Folder()
        var state = try open(folder)
        for i in 0..<3 { _ = decide(state, "192.0.\(i).1", 0) }
        state.stop()
        let good = try folder.bytes()
        try folder.write(good + [UInt8](repeating: 0xA5, count: torn))
        let reading = try DefenseJournalFile.read(folder: folder.path + "/defense") { _ in }
        #expect(reading.isDamaged && reading.goodOctets == good.count && reading.lostOctets == torn)
        let file = DefenseJournalFile(folder: folder.path + "/defense")
        #expect(try file.open(reading))
        #expect(try folder.bytes() == good)
        let kept = try Data(contentsOf: URL(fileURLWithPath: folder.journal + ".damaged"))
        #expect([UInt8](kept) == [UInt8](repeating: 0xA5, count: torn))
        state = try open(folder)
        #expect(state.greylist.count == 3)
        #expect(state.journal.read.lostOctets == 0)
        state.stop()
    }

    /// No copy can be made of the damaged end: the good part is there all the same.
    @Test func aDamagedEndThatCannotBeKeptIsTold() throws {
        let folder = try Folder()
        let state = try open(folder)
        _ = decide(state, "192.0.2.1", 0)
        state.stop()
        let good = try folder.bytes()
        try folder.write(good + [UInt8](repeating: 1, count: 9_000))
        try FileManager.default.createDirectory(
            atPath: folder.journal + ".damaged/x", withIntermediateDirectories: true)
        let reading = try DefenseJournalFile.read(folder: folder.path + "/defense") { _ in }
        #expect(try !DefenseJournalFile(folder: folder.path + "/defense").open(reading))
        #expect(try folder.bytes() == good)
        // A file that is none of ours is not written over.
        try folder.write([UInt8](repeating: 2, count: 100))
        #expect(throws: DefenseJournalError.self) { _ = try open(folder) }
        #expect(try folder.bytes() == [UInt8](repeating: 2, count: 100))
    }

    @Test func anyOctetsAreRead() throws {
        let folder = try Folder()
        var state = try open(folder)
        state.stop()
        var random = SystemRandomNumberGenerator()
        for _ in 0..<50 {
            let junk = (0..<Int.random(in: 0...300, using: &random)).map { _ in
                UInt8.random(in: 0...255, using: &random)
            }
            try folder.write(DefenseFrame.magic + junk)
            state = try open(folder)
            state.stop()
            for kind in UInt8(0)...4 { _ = DefenseFrame.change(([kind] + junk)[...]) }
        }
        try folder.write(DefenseFrame.magic + [UInt8](repeating: 0, count: 10_000))
        state = try open(folder)
        #expect(state.greylist.count == 0)
        state.stop()
    }

    @Test(arguments: [
        DefenseChange.put(
            Array("i\0s\0r@d".utf8),
            GreylistRecord(
                state: .waiting, firstSeen: WallTime(microseconds: .min), lastSeen: WallTime(microseconds: .max),
                attempts: .max), hasLapsed: true),
        .put(
            Array("i\0\0@d".utf8),
            GreylistRecord(
                state: .known, firstSeen: WallTime(seconds: 1), lastSeen: WallTime(seconds: 2), attempts: 0),
            hasLapsed: false),
        .remove(Array("i\0s\0r@d".utf8)),
        .exception(DefenseExceptionChange(.greylistDomain(Array("x.example".utf8)), isRemoval: true)),
        .exception(
            DefenseExceptionChange(.tarpit(AddressBlock(IPAddress(v4: 10, 0, 0, 0), prefix: 8)), isRemoval: false)),
    ])
    func frames(change: DefenseChange) {
        var out: [UInt8] = []
        DefenseFrame.append(change, to: &out)
        #expect(DefenseFrame.change(out[DefenseFrame.headOctets...]) == change)
    }

    @Test func rewrittenWhenItIsTwiceWhatLives() throws {
        let folder = try Folder()
        let metrics = GreylistMetrics(Registry())
        var state = try open(folder, metrics)
        let change = try #require(DefenseExceptionChange(.limits, text: "10.0.0.0/8", isRemoval: false))
        state.change([change]) { _, _, _ in }
        for round in 0..<40 {
            for i in 0..<1_000 { _ = decide(state, "10.\(i / 200).\(i % 200).1", Int64(round)) }
            _ = state.greylist.forget([GreylistFilter()])
            #expect(flush(state))
        }
        for i in 0..<500 { _ = decide(state, "10.\(i / 200).\(i % 200).1", 50) }
        #expect(flush(state))
        #expect(metrics.journalRewrites.value >= 1)
        #expect(metrics.journalDropped.value == 0)
        #expect(try folder.bytes().count < 2 << 20)
        state.stop()
        state = try open(folder)
        #expect(state.greylist.count == 500)
        #expect(state.exceptions.current.limits.count == 1)
        state.stop()
    }

    @Test func whatDoesNotFitIsDroppedNotWaitedFor() {
        let metrics = GreylistMetrics(Registry())
        // Nobody reads this one.
        let inbox = DefenseJournalInbox(metrics: metrics, capacity: 8)
        for i in 0..<20 { inbox.post(.remove([UInt8(i)])) }
        #expect(metrics.journalDropped.value == 12)
        let answered = Flag()
        inbox.sync { answered.value.store($0, ordering: .relaxed) }
        let isSafe = answered.value.load(ordering: .relaxed)
        #expect(!isSafe)
    }

    /// What a full inbox dropped is on the disk before anybody is told that all is.
    @Test func droppedChangesAreWrittenBeforeASyncIsAnswered() throws {
        let folder = try Folder()
        let metrics = GreylistMetrics(Registry())
        let inbox = DefenseJournalInbox(metrics: metrics, capacity: 8)
        let book = GreylistBook(
            exceptions: DefenseExceptionsPublisher(), journal: inbox, metrics: metrics, rules: { _ in nil })
        for i in 0..<20 {
            let attempt = Greylisting.Attempt(
                address: IPAddress("192.0.\(i).1"), sender: Array("a@s.example".utf8),
                recipient: Array("r@d.example".utf8), domain: Array("d.example".utf8))
            _ = book.decide(attempt, policy, now: at(minutes: 0))
        }
        #expect(metrics.journalDropped.value == 12)
        let journal = try DefenseJournal.open(
            folder: folder.path + "/defense", book: book, inbox: inbox, metrics: metrics, log: nil)
        // A full inbox takes no question either.
        while inbox.mailbox.depth > 0 { Thread.sleep(forTimeInterval: 0.001) }
        let reply = Awaited<Bool>()
        journal.sync { reply.give($0) }
        #expect(reply.wait(seconds: 60) == true)
        var known = 0
        _ = try DefenseJournalFile.read(folder: folder.path + "/defense") { _ in known += 1 }
        #expect(known >= 20)
        journal.stop()
        let state = try open(folder)
        #expect(state.greylist.count == 20)
        state.stop()
    }

    /// After the journal has ended nobody waits for it: an operator's command is answered at once.
    @Test func aStoppedJournalAnswers() throws {
        let folder = try Folder()
        let state = try open(folder)
        state.stop()
        let asked = Awaited<Bool>()
        state.journal.sync { asked.give($0) }
        #expect(asked.wait(seconds: 5) == false)
        #expect(state.forget([DefenseFilter()]) == .failed("in force, but not on the disk: see the log"))
    }

    /// Commands and the end of the journal at the same time: each command gets an answer.
    @Test func whoAsksWhileItStopsIsAnswered() throws {
        for _ in 0..<20 {
            let folder = try Folder()
            let state = try open(folder)
            let answers = (0..<4).map { _ in Awaited<Bool>() }
            let threads = answers.map { answer in
                LoopThread.spawn("asks") { state.journal.sync { answer.give($0) } }
            }
            state.stop()
            for thread in threads { thread.join() }
            for answer in answers { #expect(answer.wait(seconds: 5) != nil) }
        }
    }

    /// As the commands of operators come in.
    @Test func commands() throws {
        let folder = try Folder()
        let state = try open(folder)
        #expect(decide(state, "192.0.2.1", 0).isDeferred)
        #expect(decide(state, "192.0.3.1", 0).isDeferred)
        var filter = DefenseFilter()
        let lines = state.greylistLines(filter, limit: 10, now: at(minutes: 1))
        #expect(Set(lines.map(\.client)) == ["192.0.2.0/24", "192.0.3.0/24"])
        #expect(lines.first?.passesAt == Self.start + 900)
        #expect(lines.first?.attempts == 1)
        filter.state = "strange"
        #expect(state.release([filter], now: at(minutes: 1)) == .failed("a state is new, waiting or known"))
        filter.state = "new"
        filter.block = AddressBlock("192.0.2.0/23")
        #expect(state.release([filter], now: at(minutes: 1)) == .done(2))
        #expect(state.forget([DefenseFilter()]) == .done(2))
        var change = ExceptionsChange(.greylist)
        change.blocks = ["10.0.0.0/8", "10.0.0.0/8", "192.0.2.1"].compactMap { AddressBlock($0) }
        change.domains = [Array("friend.example".utf8)]
        #expect(state.change(change) == .done(3))
        change.isRemoval = true
        change.domains = []
        #expect(state.change(change) == .done(2))
        #expect(state.exceptions.current.greylist.isEmpty)
        #expect(state.exceptions.current.greylistDomains.count == 1)
        state.stop()
    }

    @Test func anUnwritableFolderFailsTheStart() throws {
        let folder = try Folder()
        try Data().write(to: URL(fileURLWithPath: folder.path + "/defense"))
        #expect(throws: DefenseJournalError.self) { _ = try open(folder) }
    }
}
