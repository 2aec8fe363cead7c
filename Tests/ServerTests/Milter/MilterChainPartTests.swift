import Policy
import Protocols
import Telemetry
import Testing

@testable import Server

/// Whose mail a filter's failure or word concerns, and for how long its answers hold.
@Suite struct MilterChainPartTests {
    private typealias F = FakeMilter
    private let away = MilterVerdict.refuse(MilterChain.awayReply)

    private func address(_ text: String) -> MailAddress? { MailAddress(parsing: Array(text.utf8)) }

    // MARK: Failures

    @Test func aFilterThatIsAwayConcernsOnlyItsDomains() throws {
        let world = try MilterWorld([.tempfail, .tempfail])
        world.filters[0].answer = { letter, _ in letter == "C" ? .hangUp : nil }
        #expect(world.mail() == .proceed)
        #expect(world.recipient("one@y.example", .named("f0")) == away)
        #expect(world.recipient("two@y.example", .all) == away)
        let events = world.chain.takeEvents()
        #expect(events.map(\.subject) == ["one@y.example", "two@y.example"].map { Array($0.utf8) })
        #expect(events.allSatisfy { $0.effect == .deferred && $0.reply == MilterChain.awayReply })
        #expect(world.recipient("three@y.example", .off) == .proceed)
        #expect(!world.chain.wantsMessage)
        #expect(world.recipient("four@y.example", .named("f1")) == .proceed)
        #expect(world.chain.wantsMessage)
        #expect(world.message()?.verdict == .proceed)
        #expect(world.filters[1].heard.filter { $0.hasPrefix("R") } == ["R <four@y.example>"])
        #expect(world.filters[1].letters.last == "E")
    }

    /// A recipient that a later filter refused is no reason to show the message to an earlier one.
    @Test func whatWasRefusedConcernsNobody() throws {
        let world = try MilterWorld([.tempfail, .tempfail])
        world.filters[1].answer = { letter, _ in letter == "R" ? .say(F.packet("r")) : nil }
        #expect(world.mail() == .proceed)
        #expect(world.recipient() == .refuse(MilterChain.rejectReply))
        #expect(world.recipient("c@z.example", .off) == .proceed)
        #expect(!world.chain.wantsMessage)
    }

    /// Fails three times, recovers, and never gets beyond `stage`: it does not stay at rest.
    @Test(arguments: ["Ca", "Ha", "Ma", "Mr", "Rc", "Rr", "Ra"]) func anyAnswerEndsTheRest(_ word: String) throws {
        let world = try MilterWorld()
        world.filter.answer = { letter, _ in letter == "C" ? .hangUp : nil }
        for _ in 1...3 {
            #expect(world.mail() == .proceed)
            #expect(world.recipient() == away)
        }
        #expect(world.mail() == .proceed)
        #expect(world.metrics.results.value(.skipped) == 1)
        world.pass(5.1)
        world.filter.answer = { letter, _ in letter == word.first ? .say(F.packet(word.last!)) : nil }
        for _ in 1...3 {
            if world.mail()?.isPositive == true { #expect(world.recipient() != away) }
            world.chain.abort()
            world.filter.hangUp()
            world.turns()
        }
        #expect(world.metrics.results.value(.skipped) == 1)
        // Nor do its earlier failures count any more.
        world.filter.answer = { letter, _ in letter == "C" ? .hangUp : nil }
        for _ in 1...2 { #expect(world.mail() == .proceed) }
        #expect(world.metrics.resting.value == 1)
    }

    /// One that greets everybody and hangs up at the end of each message is left alone all the same.
    @Test func friendlyWordsDoNotHideFailures() throws {
        let world = try MilterWorld()
        world.filter.answer = { letter, _ in letter == "E" ? .hangUp : nil }
        for i in 1...3 {
            #expect(world.mail() == .proceed)
            #expect(world.recipient() == .proceed)
            #expect(world.message()?.verdict == away)
            #expect(world.metrics.resting.value == (i == 3 ? 1 : 0))
        }
        #expect(world.mail() == .proceed)
        #expect(world.recipient() == away)
        // Back, and its failures are forgotten with the first message.
        world.pass(5.1)
        world.filter.answer = { _, _ in nil }
        #expect(world.mail() == .proceed)
        #expect(world.recipient() == .proceed)
        #expect(world.message()?.verdict == .proceed)
        world.filter.answer = { letter, _ in letter == "E" ? .hangUp : nil }
        #expect(world.mail() == .proceed)
        #expect(world.recipient() == .proceed)
        #expect(world.message()?.verdict == away)
        #expect(world.metrics.resting.value == 1)
    }

    // MARK: HELO

    @Test(arguments: ["r", "t", "a", "d"] as [Character]) func anAnswerToHELOHoldsUntilTheNext(_ word: Character) throws
    {
        let world = try MilterWorld()
        world.filter.answer = { letter, _ in letter == "H" ? .say(F.packet(word)) : nil }
        let first = world.mail()
        #expect(first != .proceed)
        #expect(world.mail() == first)
        #expect(world.filter.letters == "OCH")
        world.filter.answer = { _, _ in nil }
        world.chain.facts.helo = Array("other.example".utf8)
        #expect(world.mail() == .proceed)
        #expect(world.recipient() == .proceed)
        #expect(world.message()?.verdict == .proceed)
        #expect(world.filter.letters == "OCHHMRTLLNBE")
    }

    @Test func HELOUnderTLSIsToldAgain() throws {
        let world = try MilterWorld()
        world.filter.answer = { letter, _ in letter == "H" ? .say(F.packet("r")) : nil }
        #expect(world.mail() == .refuse(MilterChain.rejectReply))
        world.filter.answer = { _, _ in nil }
        world.chain.facts.tlsVersion = Array("TLSv1.3".utf8)
        world.chain.facts.cipher = Array("TLS_AES_128_GCM_SHA256".utf8)
        #expect(world.mail() == .proceed)
        #expect(world.filter.letters == "OCHHM")
        #expect(world.filter.macros["{tls_version}"] == "TLSv1.3")
        #expect(world.mail() == .proceed)
        #expect(world.filter.letters == "OCHHMAM")
    }

    /// What it said to the connection holds for all of it.
    @Test func anAnswerToTheConnectionHolds() throws {
        let world = try MilterWorld()
        world.filter.answer = { letter, _ in letter == "C" ? .say(F.packet("r")) : nil }
        #expect(world.mail() == .refuse(MilterChain.rejectReply))
        world.chain.facts.helo = Array("other.example".utf8)
        #expect(world.mail() == .refuse(MilterChain.rejectReply))
        #expect(world.filter.letters == "OC")
    }

    @Test func aFilterThatGoesAtHELOIsFoundAgain() throws {
        let world = try MilterWorld()
        #expect(world.mail() == .proceed)
        var first = true
        world.filter.answer = { letter, _ in
            guard letter == "H", first else { return nil }
            first = false
            return .hangUp
        }
        world.chain.facts.helo = Array("other.example".utf8)
        #expect(world.mail() == .proceed)
        #expect(world.recipient() == .proceed)
        #expect(world.filter.letters == "OCHMAHOCHMR")
    }

    // MARK: Discard

    /// At any stage the word costs only those their copy whose domain asked the filter.
    @Test(arguments: Array("CHMRTLNBE"), [true, false])
    func discardTakesOnlyItsOwnCopies(_ stage: Character, _ isFirst: Bool) throws {
        let world = try MilterWorld([.tempfail, .tempfail])
        world.filters[0].answer = { letter, _ in letter == stage ? .say(F.packet("d")) : nil }
        world.filters[1].answer = { letter, _ in
            letter == "E" ? .say(F.packet("h", "X-B", "1") + F.packet("c")) : nil
        }
        let isEarly = "CHM".contains(stage)
        #expect(world.mail() == (isEarly ? .discard : .proceed))
        let mine: MilterVerdict = isEarly || stage == "R" ? .discard : .proceed
        if isFirst { #expect(world.recipient("a@y.example", .named("f0")) == mine) }
        #expect(world.recipient("b@z.example", .off) == .proceed)
        #expect(world.recipient("c@z.example", .named("f1")) == .proceed)
        if !isFirst { #expect(world.recipient("a@y.example", .named("f0")) == mine) }
        #expect(world.chain.wantsMessage)
        let outcome = try #require(world.message())
        #expect(outcome.verdict == .proceed)
        #expect(outcome.modifications.removedRecipients == [address("a@y.example")])
        #expect(outcome.modifications.header?.isEmpty == false)
        #expect(outcome.events.map(\.effect) == [.discarded, .noted, .modified])
        #expect(world.filters[1].letters == "OCHMRTLLNBE")
        // Nothing of it is left for the next message.
        world.filters[0].answer = { _, _ in nil }
        world.filters[1].answer = { _, _ in nil }
        if stage != "C", stage != "H" {
            #expect(world.mail() == .proceed)
            #expect(world.recipient() == .proceed)
            let next = try #require(world.message())
            #expect(next.verdict == .proceed)
            #expect(next.modifications.isEmpty)
        }
    }

    @Test(arguments: Array("CHMRTLNBE")) func discardForNobodyIsNone(_ stage: Character) throws {
        let world = try MilterWorld()
        world.filter.answer = { letter, _ in letter == stage ? .say(F.packet("d")) : nil }
        #expect(world.mail()?.isPositive == true)
        #expect(world.recipient("b@z.example", .off) == .proceed)
        #expect(!world.chain.wantsMessage)
    }

    /// Two filters, each for its own recipient: together they throw all of it away.
    @Test func discardsAddUp() throws {
        let world = try MilterWorld([.tempfail, .tempfail])
        world.filters[0].answer = { letter, _ in letter == "R" ? .say(F.packet("d")) : nil }
        world.filters[1].answer = { letter, _ in letter == "E" ? .say(F.packet("d")) : nil }
        #expect(world.mail() == .proceed)
        #expect(world.recipient("a@y.example", .named("f0")) == .discard)
        #expect(world.recipient("b@z.example", .named("f1")) == .proceed)
        #expect(world.message()?.verdict == .discard)
    }

    /// The bare postmaster has no domain, and is somebody all the same.
    @Test func theCopyOfPostmasterIsThrownAwayToo() throws {
        let world = try MilterWorld([.tempfail, .tempfail])
        world.filters[0].answer = { letter, _ in letter == "R" ? .say(F.packet("d")) : nil }
        #expect(world.mail() == .proceed)
        #expect(world.recipient("Postmaster", .named("f0")) == .discard)
        #expect(world.recipient("c@z.example", .named("f1")) == .proceed)
        let removed = world.message()?.modifications.removedRecipients
        #expect(removed == [MailAddress(localpart: Array("Postmaster".utf8), domain: [])])
    }

    /// Case does not count in what filters call recipients; one that was removed and added again is there once.
    @Test func recipientsAreTheSameInAnyCase() throws {
        let world = try MilterWorld()
        world.filter.answer = { letter, _ in
            guard letter == "E" else { return nil }
            return .say(
                F.packet("+", "<New@y.example>") + F.packet("-", "<new@Y.example>") + F.packet("-", "<b@y.example>")
                    + F.packet("-", "<B@y.example>") + F.packet("2", "<B@y.example>", "NOTIFY=NEVER")
                    + F.packet("2", "<b@y.example>", "NOTIFY=SUCCESS") + F.packet("c"))
        }
        #expect(world.mail() == .proceed)
        #expect(world.recipient() == .proceed)
        let m = try #require(world.message()?.modifications)
        #expect(m.removedRecipients.map(\.wire) == ["new@y.example", "b@y.example"].map { Array($0.utf8) })
        #expect(m.addedRecipients.map(\.recipient.notify) == [.success])
    }
}
