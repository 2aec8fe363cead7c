import Base
import Policy
import Testing

@Suite struct ClientRecordTests {
    private func at(_ seconds: Double) -> Instant { Instant(nanoseconds: 1).advanced(bySeconds: seconds) }

    private func rules(_ edit: (inout ClientRecord.EntryRules) -> Void = { _ in }) -> ClientRecord.EntryRules {
        var rules = ClientRecord.EntryRules(openMax: 2, rates: RateLimits())
        edit(&rules)
        return rules
    }

    @Test func connectionsAtOnce() {
        var client = ClientRecord()
        #expect(client.enter(rules(), at(0)) == .admitted)
        #expect(client.enter(rules(), at(0)) == .admitted)
        #expect(client.enter(rules(), at(0)) == .fullForPeer)
        #expect(client.enter(rules { $0.isNetwork = true }, at(0)) == .fullForNetwork)
        #expect(client.refused.connections == 2)
        client.leave()
        #expect(client.enter(rules(), at(0)) == .admitted)
        #expect(client.enter(rules { $0.openMax = 0 }, at(0)) == .admitted)
        #expect(client.enter(rules { $0.isExempt = true }, at(0)) == .admitted)
        #expect(client.open == 4)
        for _ in 0..<10 { client.leave() }
        #expect(client.open == 0)
    }

    @Test func connectionsAMinute() {
        var client = ClientRecord()
        let limited = rules {
            $0.openMax = 0
            $0.rates.connectionsPerMinute = 2
        }
        #expect(client.enter(limited, at(0)) == .admitted)
        #expect(client.enter(limited, at(0)) == .admitted)
        #expect(client.enter(limited, at(29)) == .tooFast(perNetwork: false))
        #expect(client.enter(limited, at(30)) == .admitted)
        #expect(client.open == 3)
    }

    /// Who goes on guessing after the limit is at last not let in; who stops is let in again.
    @Test func guessersAreShutOut() {
        var rates = RateLimits()
        rates.failedLogins = 10
        var client = ClientRecord()
        for _ in 0..<10 {
            #expect(client.mayLogin(rates, at(0)) == true)
            #expect(client.endLogin(givesBack: false, at(0)) == .own)
        }
        #expect(client.enter(rules { $0.rates = rates }, at(0)) == .admitted)
        for _ in 0..<10 { #expect(client.mayLogin(rates, at(0)) == false) }
        #expect(client.refused.logins == 10)
        #expect(client.enter(rules { $0.rates = rates }, at(0)) == .tooManyFailedLogins)
        #expect(client.enter(rules { $0.rates = rates }, at(61)) == .admitted)
        #expect(client.mayLogin(rates, at(61)) == false)
        #expect(client.mayLogin(rates, at(61 + 120)) == true)
    }

    /// A program with an old password that tries once a minute does not shut out the others behind its address.
    @Test func aSlowRetrierIsBorneWith() {
        let rates = RateLimits()
        var client = ClientRecord()
        for minute in 0..<600 {
            #expect(client.mayLogin(rates, at(Double(minute) * 60)) == true)
            #expect(client.endLogin(givesBack: false, at(Double(minute) * 60)) == .own)
        }
    }

    /// However many attempts are under way, no more than the limit are looked at; those that were no guesses count nothing.
    @Test func attemptsUnderWayCount() {
        let rates = RateLimits()
        var client = ClientRecord()
        func allowed() -> Int {
            var count = 0
            for _ in 0..<1_000 where client.mayLogin(rates, at(0)) { count += 1 }
            return count
        }
        #expect(allowed() == 10)
        for _ in 0..<10 { #expect(client.endLogin(givesBack: true, at(0)) == .own) }
        #expect(client.endLogin(givesBack: true, at(0)) == .none)
        // The one token that the refused ones cost.
        #expect(allowed() == 9)
        client.release()
        #expect(client.endLogin(givesBack: true, at(0)) == .none)
    }

    @Test func aGoodNameLastsADay() {
        var client = ClientRecord()
        #expect(!client.isKnownGood(at(0)))
        client.proved(at(0))
        #expect(client.isKnownGood(at(86_399)))
        #expect(!client.isKnownGood(at(86_401)))
        let unknown = rules { $0.unknown = .shed }
        #expect(client.enter(unknown, at(0)) == .admitted)
        #expect(client.enter(unknown, at(86_401)) == .shed)
    }

    /// A big sender may have a bad recipient now and then; who mostly fails is not good for one message.
    private func proved(_ client: inout ClientRecord, _ seconds: Double) -> ClientRecord.GoodName? {
        client.proved(at(seconds))
    }

    private func failed(_ client: inout ClientRecord, _ seconds: Double) -> Bool {
        _ = client.fail(at(seconds))
        return client.lostItsGoodName(at(seconds))
    }

    @Test func theJournalIsToldOfAGoodNameNowAndThen() {
        var client = ClientRecord()
        let first = proved(&client, 10)
        #expect(first == ClientRecord.GoodName(seconds: 86_400, deliveries: 1))
        let more = (11..<100).compactMap { proved(&client, Double($0)) }
        #expect(more.isEmpty)
        let due = proved(&client, 10 + ClientRecord.journalSeconds)
        #expect(due?.deliveries == 91)
        let again = proved(&client, 11 + ClientRecord.journalSeconds)
        #expect(again == nil)
    }

    @Test func theJournalIsToldOnceOfALostName() {
        var client = ClientRecord()
        let unknown = failed(&client, 0)
        #expect(!unknown)
        client = ClientRecord()
        client.proved(at(1))
        let (lost, again) = (failed(&client, 2), failed(&client, 3))
        #expect(lost && !again)
        // It is earned anew at once, but told only after a while.
        let told = (0..<20).compactMap { _ in proved(&client, 4) }
        #expect(told.isEmpty)
        #expect(client.isKnownGood(at(4)))
    }

    @Test func aGoodNameIsRestoredForWhatIsLeftOfIt() {
        var client = ClientRecord()
        client.restore(ClientRecord.GoodName(seconds: 3_600, deliveries: 10), at(0))
        #expect(client.isKnownGood(at(3_599)))
        #expect(!client.isKnownGood(at(3_601)))
        let lost = (1...3).map { failed(&client, Double($0)) }
        #expect(lost == [false, false, true])
        // A clock that was wrong gives nobody more than a day.
        client.restore(ClientRecord.GoodName(seconds: 1e9, deliveries: 1), at(0))
        #expect(!client.isKnownGood(at(86_401)))
        // The journal knew of it twenty hours ago: it is due.
        client.restore(ClientRecord.GoodName(seconds: 4 * 3_600, deliveries: 1), at(10_000))
        let due = proved(&client, 10_001)
        #expect(due != nil)
    }

    @Test func failuresCostTheGoodName() {
        var client = ClientRecord()
        for _ in 0..<5 { client.proved(at(0)) }
        #expect(client.fail(at(1)) == 0)
        #expect(client.isKnownGood(at(1)))
        #expect(client.fail(at(2)) == 1)
        #expect(!client.isKnownGood(at(2)))
        #expect(client.isKnownGood(at(2 + 3_600)))
        for _ in 0..<5 { client.proved(at(3)) }
        #expect(client.isKnownGood(at(3)))
    }

    @Test func heldAnswersGrow() {
        var client = ClientRecord()
        var delays: [Int] = []
        for second in 0..<6 {
            delays.append(client.tarpitSeconds(max: 8, at(Double(second))))
            _ = client.fail(at(Double(second)))
        }
        #expect(delays == [0, 1, 2, 4, 8, 8])
        #expect(client.slowedSeconds(at(5)) == 8)
        #expect(client.slowedSeconds(at(20)) == 0)
    }

    @Test func releaseForgetsWhatWasWrongOnly() {
        var rates = RateLimits()
        rates.messagesPerMinute = 1
        rates.recipientsPerMinute = 1
        var client = ClientRecord()
        _ = client.enter(rules(), at(0))
        client.proved(at(0))
        #expect(client.message(rates, at(0)) == 0)
        #expect(client.message(rates, at(0)) > 0)
        #expect(client.recipient(rates, at(0)) == 0)
        #expect(client.recipient(rates, at(0)) > 0)
        for _ in 0..<30 { client.chargeLogin(rates, at(0)) }
        _ = client.fail(at(0))
        _ = client.tarpitSeconds(max: 8, at(0))
        #expect(client.isHeldBack(rates, at(0)))
        client.release()
        #expect(!client.isHeldBack(rates, at(0)))
        #expect(client.slowedSeconds(at(0)) == 0)
        #expect(client.open == 1)
        #expect(client.isKnownGood(at(0)))
        #expect(client.message(rates, at(0)) == 0)
        #expect(client.recipient(rates, at(0)) == 0)
        #expect(client.mayLogin(rates, at(0)) == true)
        #expect(client.refused.total == 0)
    }

    @Test func aNetworkMayMore() {
        var rates = RateLimits()
        rates.messagesPerMinute = 3
        rates.networkFactor = 5
        #expect(rates.network.messagesPerMinute == 15)
        #expect(rates.network.connectionsPerMinute == 0)
        #expect(rates.network.failedLogins == 50)
        rates.messagesPerMinute = .max
        #expect(rates.network.messagesPerMinute == .max)
    }
}
