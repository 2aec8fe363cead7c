import Base
import Ledger
import Policy
import Protocols
import Reactor
import Telemetry
import TestKit
import Testing

@testable import Server

/// Which filters a recipient's domain wants, for arguments of tests.
enum DomainFilters {
    case all, off
    case named(String)

    var value: DomainDefense.Milters {
        switch self {
        case .all: .all
        case .off: .off
        case .named(let name): .named([Array(name.utf8)])
        }
    }
}

@Suite struct MilterChainTests {
    private typealias F = FakeMilter

    @Test func asksEverythingInOrder() throws {
        let world = try MilterWorld()
        #expect(world.mail() == .proceed)
        #expect(world.recipient() == .proceed)
        #expect(world.chain.wantsMessage)
        let outcome = try #require(world.message())
        #expect(outcome.verdict == .proceed)
        #expect(outcome.modifications.isEmpty)
        #expect(outcome.events.isEmpty)
        #expect(
            world.filter.heard == [
                "O", "C [192.0.2.1] 4AB192.0.2.1", "H client.example", "M <a@x.example> SIZE=10",
                "R <b@y.example>", "T", "L From", "L Subject", "N", "B 6", "E",
            ])
        #expect(world.filter.headers == ["From:a@x.example", "Subject:hello"])
        #expect(world.filter.macros["i"] == "ID1")
        #expect(world.filter.macros["j"] == "mx.example")
        #expect(world.filter.macros["{client_addr}"] == "192.0.2.1")
        #expect(world.filter.macros["{mail_addr}"] == "a@x.example")
        #expect(world.filter.macros["{rcpt_addr}"] == "b@y.example")
        // The next message of the session: the same connection, nothing said twice.
        world.filter.forget()
        #expect(world.mail() == .proceed)
        #expect(world.recipient() == .proceed)
        #expect(world.message()?.verdict == .proceed)
        #expect(world.filter.letters == "MRTLLNBE")
        #expect(world.filter.connections == 1)
        world.chain.close()
        world.turns()
        #expect(world.filter.letters == "MRTLLNBEQ")
        #expect(world.filter.closed == 1)
        #expect(world.metrics.connections.value == 0)
    }

    @Test func aNewHELOIsTold() throws {
        let world = try MilterWorld()
        #expect(world.mail() == .proceed)
        world.filter.forget()
        world.chain.facts.helo = Array("other.example".utf8)
        #expect(world.mail() == .proceed)
        // What was begun is ended first.
        #expect(world.filter.heard == ["A", "H other.example", "M <a@x.example> SIZE=10"])
    }

    @Test func silentFiltersAreNotWaitedFor() throws {
        let world = try MilterWorld()
        world.filter.steps = 0x80 | 0xDF000
        #expect(world.mail() == .proceed)
        #expect(world.recipient() == .proceed)
        #expect(world.message()?.verdict == .proceed)
        #expect(world.filter.letters == "OCHMRTLLNBE")
    }

    @Test func noFiltersIsNoQuestion() throws {
        let world = try MilterWorld([])
        #expect(world.mail() == .accept)
        #expect(world.recipient() == .accept)
        #expect(!world.chain.wantsMessage)
        #expect(world.message()?.verdict == .proceed)
    }

    // MARK: Words

    static let words: [(String, MilterVerdict)] = [
        ("r", .refuse(MilterChain.rejectReply)), ("t", .refuse(MilterChain.tempfailReply)), ("d", .discard),
        ("4", .refuse(MilterChain.shutdownReply)),
    ]
    static let stages = Array("CHMRTLNBE")

    /// Each word at each stage: it decides at the command it belongs to, or at the end of the message.
    @Test(arguments: stages, words) func aWordDecides(_ stage: Character, _ word: (String, MilterVerdict)) throws {
        let world = try MilterWorld([.tempfail, .tempfail])
        world.filter.answer = { letter, _ in letter == stage ? .say(F.packet(Character(word.0))) : nil }
        let second = world.filters[1]
        switch stage {
        case "C", "H", "M":
            #expect(world.mail() == word.1)
            // The one after it has not heard of the transaction, unless it may concern other recipients.
            #expect(second.letters.contains("M") == (word.1 == .discard))
            if case .discard = word.1 { #expect(world.message()?.verdict == .discard) }
        case "R":
            #expect(world.mail() == .proceed)
            #expect(world.recipient() == word.1)
            #expect(!second.letters.contains("R"))
            if case .discard = word.1 {
                #expect(world.recipient("c@y.example") == .discard)
                #expect(world.message()?.verdict == .discard)
                #expect(second.letters == "OCHMA")
            } else {
                // Only this recipient was refused.
                #expect(!world.chain.wantsMessage)
                world.filter.answer = { _, _ in nil }
                #expect(world.recipient("c@y.example") == .proceed)
                #expect(world.message()?.verdict == .proceed)
            }
        default:
            #expect(world.mail() == .proceed)
            #expect(world.recipient() == .proceed)
            let outcome = try #require(world.message())
            #expect(outcome.verdict == word.1)
            #expect(outcome.events.count == 1)
            #expect(second.letters == "OCHMRA")
        }
        let results = world.metrics.results
        let label: MilterResultLabel = word.0 == "r" ? .reject : word.0 == "d" ? .discard : .tempfail
        #expect(results.value(label) == 1)
        // The session goes on.
        world.filter.answer = { _, _ in nil }
        if stage != "C", stage != "H" {
            #expect(world.mail() == .proceed)
            #expect(world.recipient() == .proceed)
            #expect(world.message()?.verdict == .proceed)
        } else if word.0 == "r" {
            #expect(world.mail() == word.1)
        }
    }

    @Test(arguments: stages) func acceptEndsOneFiltersPart(_ stage: Character) throws {
        let world = try MilterWorld([.tempfail, .tempfail])
        world.filter.answer = { letter, _ in letter == stage ? .say(F.packet("a")) : nil }
        #expect(world.mail() == .proceed)
        #expect(world.recipient() == .proceed)
        #expect(world.message()?.verdict == .proceed)
        #expect(world.filter.letters.last { $0 != "A" } == stage)
        #expect(world.filters[1].letters == "OCHMRTLLNBE")
        #expect(world.filters[1].body == Array("text\r\n".utf8))
    }

    @Test func theFiltersOwnReplyIsTold() throws {
        let world = try MilterWorld()
        world.filter.answer = { letter, _ in
            letter == "R" ? .say(F.packet("y", "550 5.7.1 Not here\r\n250 hello")) : nil
        }
        #expect(world.mail() == .proceed)
        let reply = Reply(550, EnhancedStatus(5, 7, 1), "Not here\n250 hello")
        #expect(world.recipient() == .refuse(reply))
        let events = world.chain.takeEvents()
        #expect(events.count == 1)
        #expect(events.first?.effect == .refused)
        #expect(events.first?.reply == reply)
        #expect(events.first?.subject == Array("b@y.example".utf8))
    }

    @Test func skipEndsTheBody() throws {
        let world = try MilterWorld()
        world.filter.steps = 0x400
        world.filter.answer = { letter, _ in letter == "B" ? .say(F.packet("s")) : nil }
        #expect(world.mail() == .proceed)
        #expect(world.recipient() == .proceed)
        #expect(world.message(String(repeating: "x", count: 300_000))?.verdict == .proceed)
        #expect(world.filter.heard.filter { $0.hasPrefix("B") } == ["B 65535"])
        #expect(world.filter.letters.last == "E")
    }

    // MARK: Who is asked

    @Test func domainsChooseTheirFilters() throws {
        let world = try MilterWorld([.tempfail, .tempfail])
        #expect(world.mail() == .proceed)
        #expect(world.recipient("one@y.example", .named("F1")) == .proceed)
        #expect(world.recipient("two@y.example", .off) == .proceed)
        #expect(world.chain.wantsMessage)
        #expect(world.message()?.verdict == .proceed)
        // A filter that no recipient wants does not see the message.
        #expect(world.filters[0].letters == "OCHMA")
        #expect(world.filters[1].heard.filter { $0.hasPrefix("R") } == ["R <one@y.example>"])
        #expect(world.mail() == .proceed)
        #expect(world.recipient("two@y.example", .off) == .proceed)
        #expect(!world.chain.wantsMessage)
    }

    // MARK: Changes

    @Test func changesAreDone() throws {
        let world = try MilterWorld()
        world.filter.answer = { letter, _ in
            guard letter == "E" else { return nil }
            return .say(
                F.packet("p") + F.packet("h", "X-Spam", "yes") + F.packet("m", index: 1, "Subject", "[spam] hello")
                    + F.packet("i", index: 1, "X-First", "1") + F.packet("+", "<c@y.example>")
                    + F.packet("-", "<b@Y.example>") + F.packet("e", "<bounce@x.example>") + F.packet("q", "bad")
                    + F.packet("b", Array("new ".utf8)) + F.packet("b", Array("body\r\n".utf8))
                    + F.packet("+", "rubbish") + F.packet("c"))
        }
        #expect(world.mail() == .proceed)
        #expect(world.recipient() == .proceed)
        let outcome = try #require(world.message())
        #expect(outcome.verdict == .proceed)
        let m = outcome.modifications
        let expected = "X-First: 1\r\nFrom: a@x.example\r\nSubject: [spam] hello\r\nX-Spam: yes\r\n\r\n"
        #expect(m.header == Array(expected.utf8))
        #expect(m.body == Array("new body\r\n".utf8))
        #expect(m.addedRecipients.map(\.address) == [MailAddress(parsing: Array("c@y.example".utf8))!])
        #expect(m.removedRecipients == [MailAddress(parsing: Array("b@y.example".utf8))!])
        #expect(m.sender == MilterSender(MailAddress(parsing: Array("bounce@x.example".utf8))!))
        #expect(m.quarantine == Array("quarantined by f0: bad".utf8))
        func change(
            _ kind: FilterChange.Kind, _ name: String = "", _ index: Int = 0, _ before: String = "",
            _ after: String = ""
        ) -> FilterChange {
            FilterChange(
                filter: Array("f0".utf8), kind: kind, name: Array(name.utf8), index: index,
                before: Array(before.utf8), after: Array(after.utf8))
        }
        #expect(
            outcome.changes == [
                change(.fieldAdded, "X-Spam", 0, "", "yes"),
                change(.fieldChanged, "Subject", 1, "hello", "[spam] hello"),
                change(.fieldInserted, "X-First", 1, "", "1"), change(.recipientAdded, "c@y.example"),
                change(.recipientRemoved, "b@y.example"),
                change(.senderChanged, "bounce@x.example", 0, "a@x.example"),
                change(.quarantined, "", 0, "", "bad"), change(.notDone), change(.bodyReplaced, "", 0, "", "10 octets"),
            ])
        #expect(outcome.changeCount == 9)
        #expect(outcome.events.map(\.effect) == [.modified, .quarantined])
        #expect(world.metrics.results.value(.quarantine) == 1)
        // Nothing of it is left for the next message.
        world.filter.answer = { _, _ in nil }
        #expect(world.mail() == .proceed)
        #expect(world.recipient() == .proceed)
        #expect(world.message()?.modifications.isEmpty == true)
    }

    /// A message may end within its header; the body a filter gives it does not become part of that.
    @Test func aNewBodyIsKeptApart() throws {
        let world = try MilterWorld()
        world.filter.answer = { letter, _ in
            letter == "E" ? .say(F.packet("b", Array("new: body\r\n".utf8)) + F.packet("c")) : nil
        }
        #expect(world.mail() == .proceed)
        #expect(world.recipient() == .proceed)
        let outcome = try #require(world.message("", header: "From: a@x.example\r\n"))
        #expect(outcome.modifications.header == Array("From: a@x.example\r\n\r\n".utf8))
        #expect(outcome.modifications.body == Array("new: body\r\n".utf8))
    }

    @Test func theNextFilterSeesWhatChanged() throws {
        let world = try MilterWorld([.tempfail, .tempfail])
        world.filters[0].answer = { letter, _ in
            letter == "E"
                ? .say(
                    F.packet("h", "X-A", "1") + F.packet("m", index: 1, "Subject", "")
                        + F.packet("b", Array("other\r\n".utf8)) + F.packet("+", "<c@y.example>") + F.packet("c")) : nil
        }
        world.filters[1].answer = { letter, _ in
            letter == "E"
                ? .say(
                    F.packet("m", index: 1, "x-a", "2") + F.packet("-", "<c@y.example>") + F.packet("c")) : nil
        }
        #expect(world.mail() == .proceed)
        #expect(world.recipient() == .proceed)
        let outcome = try #require(world.message())
        #expect(world.filters[1].headers == ["From:a@x.example", "X-A:1"])
        #expect(world.filters[1].body == Array("other\r\n".utf8))
        let m = outcome.modifications
        #expect(m.header == Array("From: a@x.example\r\nX-A: 2\r\n\r\n".utf8))
        #expect(m.body == Array("other\r\n".utf8))
        #expect(m.addedRecipients.isEmpty)
        #expect(m.removedRecipients == [MailAddress(parsing: Array("c@y.example".utf8))!])
    }

    /// A body beyond what is kept goes to all at once; nothing of it is lost, and it is not all in memory.
    @Test func aLargeBodyGoesToAllAtOnce() throws {
        var limits = MilterLimits()
        limits.keptMax = 200_000
        let world = try MilterWorld([.tempfail, .tempfail], limits: limits)
        world.filters[0].answer = { letter, _ in
            letter == "E" ? .say(F.packet("h", "X-A", "1") + F.packet("c")) : nil
        }
        world.filters[1].answer = { letter, _ in
            letter == "E"
                ? .say(F.packet("i", index: 3, "X-B", "2") + F.packet("m", index: 1, "Subject", "s") + F.packet("c"))
                : nil
        }
        #expect(world.mail() == .proceed)
        #expect(world.recipient() == .proceed)
        world.chain.beginMessage(header: Array(MilterWorld.header.utf8))
        var sent: [UInt8] = []
        for i in 0..<100 {
            let piece = [UInt8](repeating: UInt8(0x30 + i % 10), count: 10_000)
            sent += piece
            world.chain.body(piece.span)
            world.turns(20)
            #expect(!world.chain.wantsPause)
            #expect(world.chain.content.bytes.count < 300_000)
        }
        var outcome: MilterOutcome?
        world.chain.endOfMessage { outcome = $0 }
        world.turns()
        #expect(world.filters[0].body == sent)
        #expect(world.filters[1].body == sent)
        // The second filter was not shown the first one's field.
        #expect(world.filters[1].headers == ["From:a@x.example", "Subject:hello"])
        #expect(
            outcome?.modifications.header == Array("From: a@x.example\r\nSubject: s\r\nX-A: 1\r\nX-B: 2\r\n\r\n".utf8))
        #expect(world.context.keptOctets == 0)
    }

    // MARK: Back-pressure

    @Test func aSlowFilterMakesTheClientWait() throws {
        let world = try MilterWorld()
        var slow = true
        world.filter.answer = { letter, _ in letter == "B" && slow ? .silence : nil }
        var drained = 0
        world.chain.onDrain = { drained += 1 }
        #expect(world.mail() == .proceed)
        #expect(world.recipient() == .proceed)
        world.chain.beginMessage(header: Array(MilterWorld.header.utf8))
        world.turns()
        var pieces = 0
        while !world.chain.wantsPause, pieces < 100 {
            world.chain.body([UInt8](repeating: 0x61, count: 16_384).span)
            pieces += 1
            world.turns(5)
        }
        #expect(world.chain.wantsPause)
        #expect(pieces * 16_384 <= world.context.limits.bufferMax + 65_535 + 16_384)
        #expect(drained == 0)
        slow = false
        world.filter.say(F.packet("c"))
        world.turns()
        #expect(!world.chain.wantsPause)
        #expect(drained == 1)
        var outcome: MilterOutcome?
        world.chain.endOfMessage { outcome = $0 }
        world.turns()
        #expect(outcome?.verdict == .proceed)
        #expect(world.filter.body.count == pieces * 16_384)
    }

    // MARK: Failures

    enum Mishap: CaseIterable { case hangsUp, isSilent, talksNonsense }

    /// A filter that fails at any stage, in any way: mail is put off, or passes without it, as the policy says.
    @Test(arguments: Array("OCHMRTLNBE"), Mishap.allCases)
    func failuresDoWhatThePolicySays(_ stage: Character, _ mishap: Mishap) throws {
        for policy in MilterServer.FailurePolicy.allCases {
            let world = try MilterWorld([policy, .tempfail])
            world.filter.answer = { letter, _ in
                guard letter == stage else { return nil }
                switch mishap {
                case .hangsUp: return .hangUp
                case .isSilent: return .silence
                case .talksNonsense: return .say([0, 0, 0, 1, 0x21])
                }
            }
            let away = MilterVerdict.refuse(MilterChain.awayReply)
            let isAtMail = "OCHM".contains(stage)
            func late(_ said: () -> MilterVerdict?) -> MilterVerdict? {
                var verdict: MilterVerdict?
                verdict = said()
                return verdict
            }
            var first: MilterVerdict?
            var mail = MilterMail(sender: Array("a@x.example".utf8))
            mail.id = Array("ID1".utf8)
            world.chain.mail(mail) { first = $0 }
            world.turns()
            if isAtMail, mishap == .isSilent {
                #expect(first == nil)
                world.pass(31)
            }
            #expect(first == .proceed)
            if isAtMail, policy == .tempfail {
                #expect(world.chain.takeEvents().isEmpty)
                #expect(world.recipient("b@y.example") == away)
                #expect(!world.chain.wantsMessage)
                #expect(world.chain.takeEvents().map(\.effect) == [.deferred])
                continue
            }
            var second: MilterVerdict?
            world.chain.recipient(Array("b@y.example".utf8)) { second = $0 }
            world.turns()
            if stage == "R", mishap == .isSilent { world.pass(31) }
            #expect(second == (stage == "R" && policy == .tempfail ? away : .proceed))
            if stage == "R", policy == .tempfail {
                #expect(world.recipient("c@y.example") == away)
                #expect(!world.chain.wantsMessage)
                continue
            }
            var outcome: MilterOutcome?
            world.chain.beginMessage(header: Array(MilterWorld.header.utf8))
            world.turns()
            world.chain.body(Array("text\r\n".utf8).span)
            world.chain.endOfMessage { outcome = $0 }
            world.turns()
            if !isAtMail, stage != "R", mishap == .isSilent {
                #expect(outcome == nil)
                world.pass(31)
            }
            #expect(outcome?.verdict == (policy == .tempfail ? away : .proceed))
            #expect(outcome?.events.map(\.effect) == [policy == .tempfail ? .deferred : .passed])
            if policy == .accept { #expect(world.filters[1].letters == "OCHMRTLLNBE") }
            // It works again for the next message.
            world.filter.answer = { _, _ in nil }
            #expect(world.mail() == .proceed)
            #expect(world.recipient() == .proceed)
            world.filter.forget()
            #expect(world.message()?.verdict == .proceed)
            #expect(world.filter.letters == "TLLNBE")
        }
    }

    /// Changes that were asked for before the filter died are not made.
    @Test func halfAWishIsNone() throws {
        let world = try MilterWorld([.accept])
        world.filter.answer = { letter, _ in
            letter == "E" ? .say(F.packet("h", "X-A", "1") + F.packet("b", Array("half".utf8))) : nil
        }
        #expect(world.mail() == .proceed)
        #expect(world.recipient() == .proceed)
        #expect(world.message() == nil)
        var outcome: MilterOutcome?
        world.chain.outcomeWaiter = { outcome = $0 }
        world.filter.hangUp()
        world.turns()
        #expect(outcome?.verdict == .proceed)
        #expect(outcome?.modifications.isEmpty == true)
    }

    @Test func progressBuysTimeButNotForEver() throws {
        let world = try MilterWorld()
        world.filter.answer = { letter, _ in letter == "E" ? .silence : nil }
        #expect(world.mail() == .proceed)
        #expect(world.recipient() == .proceed)
        #expect(world.message() == nil)
        var outcome: MilterOutcome?
        world.chain.outcomeWaiter = { outcome = $0 }
        for _ in 0..<11 {
            world.pass(25)
            #expect(outcome == nil)
            world.filter.say(F.packet("p"))
            world.turns()
        }
        world.pass(25.1)
        #expect(outcome?.verdict == .refuse(MilterChain.awayReply))
        #expect(world.metrics.results.value(.timeout) == 1)
    }

    /// At any stage.
    @Test(arguments: Array("MRTLNB")) func progressEndsSomeTime(_ stage: Character) throws {
        let world = try MilterWorld()
        world.filter.answer = { letter, _ in letter == stage ? .silence : nil }
        var isOver = false
        var mail = MilterMail(sender: [])
        mail.id = [0x49]
        world.chain.mail(mail) { _ in
            guard stage != "M" else { return isOver = true }
            world.chain.recipient(Array("b@y.example".utf8)) { _ in
                guard stage != "R" else { return isOver = true }
                world.chain.beginMessage(header: Array(MilterWorld.header.utf8))
                world.chain.body(Array("x".utf8).span)
                world.chain.endOfMessage { _ in isOver = true }
            }
        }
        world.turns()
        for _ in 0..<11 {
            world.pass(25)
            #expect(!isOver)
            world.filter.say(F.packet("p"))
            world.turns()
        }
        world.pass(25.1)
        #expect(isOver)
        #expect(world.metrics.results.value(.timeout) == 1)
    }

    /// All filters together have less time than a session waits; who has none left is not to blame.
    @Test(arguments: MilterServer.FailurePolicy.allCases)
    func theFiltersShareTheirTime(_ policy: MilterServer.FailurePolicy) throws {
        let world = try MilterWorld([.accept, policy, policy])
        for filter in world.filters { filter.answer = { letter, _ in letter == "E" ? .silence : nil } }
        #expect(world.mail() == .proceed)
        #expect(world.recipient() == .proceed)
        #expect(world.message() == nil)
        var outcome: MilterOutcome?
        world.chain.outcomeWaiter = { outcome = $0 }
        for _ in 0..<21 {
            world.pass(25)
            #expect(outcome == nil)
            for filter in world.filters.prefix(2) where filter.letters.last == "E" { filter.say(F.packet("p")) }
            world.turns()
        }
        world.pass(15.1)
        #expect(outcome?.verdict == (policy == .accept ? .proceed : .refuse(MilterChain.awayReply)))
        // The first had its own limit, the second what was left, the third nothing.
        #expect(world.metrics.results.value(.timeout) == 1)
        #expect(world.metrics.results.value(.skipped) == (policy == .accept ? 2 : 1))
        #expect(!world.filters[2].letters.contains("T"))
    }

    /// Of the message, whatever the policy, and not of the filter, which is asked about the next one.
    @Test(arguments: MilterServer.FailurePolicy.allCases)
    func wishesBeyondABoundRefuseTheMessage(_ policy: MilterServer.FailurePolicy) throws {
        var limits = MilterLimits()
        limits.changesMax = 10
        limits.headerMax = 1_000
        limits.bodyMax = 1_000
        let excess: [[UInt8]] = [
            (0..<11).flatMap { F.packet("h", "X-\($0)", "1") },
            F.packet("h", "X-A", String(repeating: "x", count: 1_100)),
            F.packet("b", [UInt8](repeating: 0x61, count: 1_001)),
            (0..<9).flatMap { F.packet("h", "X-\($0)", String(repeating: "y", count: 105)) },
        ]
        for bytes in excess {
            let world = try MilterWorld([policy], limits: limits)
            world.filter.answer = { letter, _ in letter == "E" ? .say(bytes + F.packet("c")) : nil }
            for n in 1...4 {
                #expect(world.mail() == .proceed)
                #expect(world.recipient() == .proceed)
                let outcome = try #require(world.message())
                #expect(outcome.verdict == .refuse(MilterChain.tooMuchReply))
                #expect(outcome.events.map(\.effect) == [.refused])
                #expect(world.metrics.results.value(.protocolError) == n)
            }
            #expect(world.metrics.resting.value == 0)
        }
    }

    /// As many fields as a message may have, each taken away, and as many put in.
    @Test func eachFieldOfALargeHeaderMayBeChanged() throws {
        let world = try MilterWorld([.accept])
        let count = MilterHeader.fieldsMax - 1
        let header = String(repeating: "X: y\r\n", count: count) + "\r\n"
        world.filter.steps = 0x80
        world.filter.answer = { letter, _ in
            guard letter == "E" else { return nil }
            let wishes = (1...count).flatMap { F.packet("m", index: UInt32($0), "X", "") }
            return .say(wishes + F.packet("h", "X", "z") + F.packet("c"))
        }
        #expect(world.mail() == .proceed)
        #expect(world.recipient() == .proceed)
        var outcome: MilterOutcome?
        world.chain.beginMessage(header: Array(header.utf8))
        world.chain.endOfMessage { outcome = $0 }
        for _ in 0..<100 where outcome == nil { world.turns() }
        #expect(outcome?.verdict == .proceed)
        #expect(outcome?.modifications.header == Array("X: z\r\n\r\n".utf8))
        #expect(world.filter.headers.count == count)
        #expect(outcome?.changeCount == count + 1)
    }

    @Test func anAbsentFilterIsLeftAloneForAWhile() throws {
        let world = try MilterWorld([.tempfail], away: true)
        func connects() -> Int { Int(world.metrics.results.value(.connectFailed)) }
        for i in 1...3 {
            #expect(world.mail() == .proceed)
            #expect(connects() == i)
        }
        #expect(world.metrics.resting.value == 1)
        #expect(world.mail() == .proceed)
        #expect(connects() == 3)
        #expect(world.metrics.results.value(.skipped) == 1)
        // One try after the rest, and a longer rest.
        world.pass(5.1)
        #expect(world.mail() == .proceed)
        #expect(connects() == 4)
        world.pass(5.1)
        #expect(world.mail() == .proceed)
        #expect(connects() == 4)
        world.pass(5)
        #expect(world.mail() == .proceed)
        #expect(connects() == 5)
    }

    @Test func aRestartedFilterIsFoundAgain() throws {
        let world = try MilterWorld()
        #expect(world.mail() == .proceed)
        #expect(world.recipient() == .proceed)
        #expect(world.message()?.verdict == .proceed)
        // It goes just when the next message begins: the closed connection is only seen after MAIL was said.
        world.filter.forget()
        var first = true
        world.filter.answer = { letter, _ in
            guard letter == "M", first else { return nil }
            first = false
            return .hangUp
        }
        #expect(world.mail() == .proceed)
        #expect(world.filter.letters == "MOCHM")
        #expect(world.filter.connections == 2)
        // It goes between two messages.
        world.chain.abort()
        world.filter.hangUp()
        world.turns()
        #expect(world.mail() == .proceed)
        #expect(world.filter.connections == 3)
        #expect(world.chain.takeEvents().isEmpty)
    }

    // MARK: Ends

    @Test func anAbortedTransactionIsForgotten() throws {
        let world = try MilterWorld()
        #expect(world.mail() == .proceed)
        #expect(world.recipient() == .proceed)
        world.chain.abort()
        world.turns()
        #expect(world.filter.letters == "OCHMRA")
        world.filter.forget()
        #expect(world.mail() == .proceed)
        #expect(!world.chain.wantsMessage)
        // In the middle of a question nothing more is heard of it, and another connection is made.
        var said = 0
        world.filter.answer = { letter, _ in letter == "R" ? .silence : nil }
        world.chain.recipient(Array("b@y.example".utf8)) { _ in said += 1 }
        world.turns()
        world.chain.abort()
        world.turns()
        world.pass(60)
        #expect(said == 0)
        #expect(world.filter.closed == 1)
        world.filter.answer = { _, _ in nil }
        #expect(world.mail() == .proceed)
        #expect(world.filter.connections == 2)
    }

    @Test(arguments: Array("OCHMRLE")) func closingAtAnyTimeLeavesNothing(_ stage: Character) throws {
        var world: MilterWorld? = try MilterWorld([.tempfail, .accept])
        world?.filter.answer = { letter, _ in letter == stage ? .silence : nil }
        var said = 0
        let chain = world!.chain
        chain.mail(MilterMail(sender: [])) { _ in said += 1 }
        world?.turns()
        if "RLE".contains(stage) {
            chain.recipient(Array("b@y.example".utf8)) { _ in said += 1 }
            world?.turns()
        }
        if "LE".contains(stage) {
            chain.beginMessage(header: Array(MilterWorld.header.utf8))
            chain.endOfMessage { _ in said += 1 }
            world?.turns()
        }
        let before = said
        chain.close()
        world?.turns()
        world?.pass(400)
        #expect(said == before)
        #expect(world?.metrics.connections.value == 0)
        #expect(world?.reactor.connectionCount == 0)
        #expect(world?.context.keptOctets == 0)
        world = nil
    }

    @Test func aFilterThatRejectsTheClientIsAskedOnce() throws {
        let world = try MilterWorld()
        world.filter.answer = { letter, _ in letter == "C" ? .say(F.packet("a")) : nil }
        #expect(world.mail() == .accept)
        #expect(world.mail() == .accept)
        #expect(world.filter.letters == "OC")
    }

    @Test func addressesOfFilters() {
        #expect(MilterServer.target("unix:/run/f.sock") == .unix(path: "/run/f.sock"))
        #expect(MilterServer.target("[::1]:8891") == .inet(SocketAddress(ip: "::1", port: 8_891)!))
        for bad in ["unix:", "unix:f.sock", "127.0.0.1", "127.0.0.1:0", "name.example:1", ""] {
            #expect(MilterServer.target(bad) == nil, "\(bad)")
        }
    }

    @Test func theConfigurationNamesThem() throws {
        let loaded = try ConfigLoadTests.load(
            nil,
            sets: [
                """
                smtp.milters=[{"name":"Spam","address":"127.0.0.1:1","listeners":["mx","submission"]},\
                {"name":"off","address":"127.0.0.1:2","enabled":false},\
                {"name":"dkim","address":"unix:/d","timeout":"5s","on_failure":"accept"}]
                """
            ])
        let mx = loaded.configuration.milterServers(for: .mx)
        #expect(mx.map(\.name) == [Array("spam".utf8), Array("dkim".utf8)])
        #expect(mx.last?.timeoutSeconds == 5)
        #expect(mx.last?.onFailure == .accept)
        #expect(loaded.configuration.milterServers(for: .submission).map(\.name) == [Array("spam".utf8)])
        #expect(loaded.configuration.milterServers(for: .submissions).isEmpty)
    }
}
