import Base
import MailAuth
import Protocols
import Testing

@testable import Server

/// Lists in DNS that do not answer hold up mail for a bounded time, and nothing else of what is being asked.
@Suite struct ListBudgetTests {
    private func at(_ seconds: Double) -> Instant { Instant(nanoseconds: 1).advanced(bySeconds: seconds) }

    private func question(_ name: String) throws -> DNSQuestion {
        DNSQuestion(try #require(DNSName(dotted: Array(name.utf8))), .a)
    }

    /// One budget for all recipients of a message, a new one for the next.
    @Test func theBudgetIsTheMessages() throws {
        var defense = SessionDefense(id: MessageID(rawValue: 1), isExempt: false)
        #expect(defense.listsDue == nil)
        let (a, b) = (try question("1.a.example"), try question("1.b.example"))
        defense.waitForLists([a], from: at(0))
        defense.waitForLists([b], from: at(1))
        #expect(defense.listsDue == at(SessionDefense.listsSeconds))
        let taken = defense.endListWait(at(2))
        #expect(taken == [a, b])
        #expect(defense.listsDue == nil)
        // Only time that is waited counts: another recipient, later, has what the first one left.
        defense.waitForLists([b], from: at(60))
        #expect(defense.listsDue == at(60 + SessionDefense.listsSeconds - 2))
        defense.endListWait(at(70))
        defense.waitForLists([a], from: at(80))
        #expect(defense.listsDue == at(80))
        defense.beginTransaction()
        #expect(defense.listsDue == nil)
        defense.waitForLists([a], from: at(10))
        #expect(defense.listsDue == at(10 + SessionDefense.listsSeconds))
    }

    @Test func onlyTheListsAreGivenUp() throws {
        let ip = IPAddress(v4: 192, 0, 2, 7)
        let client = MessageCheck.Client(
            iprev: IPRevCheck(ip), helo: SPFCheck(ip: ip, helo: [], receiver: [], now: WallTime(seconds: 0)),
            mailFrom: SPFCheck(ip: ip, helo: [], mailFrom: [], receiver: [], now: WallTime(seconds: 0)))
        let inquiry = Inquiry(serial: 1, client: client, dice: 0, limits: GatherLimits())
        let memo = DNSMemo()
        let lists = DNSListCheck(ip, zones: [Array("a.example".utf8)])
        guard case .wait(let asked) = inquiry.advance(lists, memo: memo, now: at(0)),
            case .wait(let others) = inquiry.advance(IPRevCheck(ip), memo: memo, now: at(0))
        else {
            Issue.record("something was known")
            return
        }
        #expect(!asked.isEmpty && !others.isEmpty)
        inquiry.giveUpWaiting(for: asked)
        guard case .verdict(let findings) = inquiry.advance(lists, memo: memo, now: at(5)) else {
            Issue.record("the list is waited for")
            return
        }
        #expect(findings.map(\.outcome) == [.unanswered])
        #expect(inquiry.isWaiting)
        guard case .wait = inquiry.advance(IPRevCheck(ip), memo: memo, now: at(5)) else {
            Issue.record("reverse DNS was given up, too")
            return
        }
    }
}
