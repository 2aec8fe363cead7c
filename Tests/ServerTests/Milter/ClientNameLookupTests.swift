import Base
import MailAuth
import Protocols
import Testing

@testable import Server

/// The reverse lookup that filters wait for: questions, answers, and an end whatever comes.
@Suite struct ClientNameLookupTests {
    private static let address = IPAddress("192.0.2.7")!
    private static let now = Instant(nanoseconds: 1)
    private static let name = DNSName("mail.example")!
    private static let reverse = DNSQuestion(address.reverseName, .ptr)
    private static let forward = DNSQuestion(name, .a)

    private func lookup(_ limits: GatherLimits = GatherLimits()) -> ClientNameLookup {
        ClientNameLookup(Self.address, limits)
    }

    private func ask(_ lookup: ClientNameLookup, _ memo: DNSMemo = DNSMemo()) -> [DNSQuestion] {
        lookup.advance(memo: memo, now: Self.now)
    }

    private static let pointer = DNSAnswer.records([.ptr(name)])

    @Test(arguments: [("192.0.2.7", AuthResult.pass), ("192.0.2.8", .fail)])
    func aNameCountsThatLeadsBack(_ back: String, _ result: AuthResult) {
        let lookup = lookup()
        #expect(ask(lookup) == [Self.reverse])
        // It is under way.
        #expect(ask(lookup).isEmpty && lookup.isAsking)
        lookup.learn([(Self.reverse, Self.pointer)])
        #expect(ask(lookup) == [Self.forward])
        lookup.learn([(Self.forward, DNSAnswer.records([.a(IPAddress(back)!)]))])
        #expect(ask(lookup).isEmpty)
        #expect(lookup.result?.result == result)
        #expect(lookup.result?.name == Self.name.dotted)
    }

    @Test func whatIsRememberedIsNotAsked() {
        var memo = DNSMemo()
        memo.keep(Self.reverse, Self.pointer, now: Self.now)
        let lookup = lookup()
        #expect(ask(lookup, memo) == [Self.forward])
    }

    @Test func theWaitHasAnEnd() {
        let lookup = lookup()
        #expect(!ask(lookup).isEmpty)
        lookup.giveUpWaiting()
        #expect(ask(lookup).isEmpty)
        #expect(lookup.result?.result == .temperror)
        // Answers that come later change nothing.
        lookup.learn([(Self.reverse, Self.pointer)])
        #expect(ask(lookup).isEmpty && lookup.result?.result == .temperror)
        // Nor is there anything beyond the bound of the checks.
        let poor = self.lookup(GatherLimits(questions: 0))
        #expect(ask(poor).isEmpty && poor.result?.result == .temperror)
    }
}
