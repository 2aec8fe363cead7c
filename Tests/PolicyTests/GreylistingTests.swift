import Base
import Policy
import Protocols
import Testing

@Suite struct GreylistingTests {
    private static let start = WallTime(seconds: 1_800_000_000)
    private let policy: DomainDefense.Greylist = {
        var policy = DomainDefense.Greylist()
        policy.isOn = true
        return policy
    }()

    /// What the book does, for one triplet.
    private struct Life {
        var policy: DomainDefense.Greylist
        var pair: GreylistRecord?
        var triplet: GreylistRecord?

        mutating func attempt(_ now: WallTime) -> GreylistDecision {
            let outcome = Greylisting.decide(pair: pair, triplet: triplet, now: now, policy)
            pair = outcome.pair
            triplet = outcome.triplet
            return outcome.decision
        }
    }

    private func at(minutes: Int64 = 0, days: Int64 = 0) -> WallTime {
        WallTime(seconds: Self.start.seconds + minutes * 60 + days * 86_400)
    }

    @Test func aLifeFromMinutesToDays() {
        var life = Life(policy: policy)
        #expect(life.attempt(at()) == .deferNew(secondsLeft: 900))
        #expect(life.triplet?.state == .new)
        #expect(life.attempt(at(minutes: 5)) == .deferEarly(secondsLeft: 600, closes: false))
        #expect(life.triplet?.state == .waiting)
        #expect(life.triplet?.attempts == 2)
        #expect(life.attempt(at(minutes: 14)) == .deferEarly(secondsLeft: 60, closes: false))
        #expect(life.attempt(at(minutes: 15)) == .passedNow(delaySeconds: 900))
        #expect(life.triplet == nil)
        #expect(life.pair?.state == .known)
        #expect(life.attempt(at(minutes: 16)) == .known)
        // Each mail moves the end: 36 days after the last one, not after the first.
        #expect(life.attempt(at(days: 30)) == .known)
        #expect(life.attempt(at(days: 66)) == .known)
        #expect(life.attempt(at(minutes: 1, days: 102)) == .deferNew(secondsLeft: 900))
        #expect(life.pair == nil)
    }

    @Test func neverForgottenWhenThatIsTheRule() {
        var policy = policy
        policy.expirySeconds = 0
        var life = Life(policy: policy)
        _ = life.attempt(at())
        _ = life.attempt(at(minutes: 20))
        #expect(life.attempt(at(days: 4_000)) == .known)
        #expect(Greylisting.fate(life.pair!, now: at(days: 9_000), policy) == .kept)
    }

    @Test func tooLateIsNew() {
        var life = Life(policy: policy)
        _ = life.attempt(at())
        #expect(life.attempt(at(days: 2)) == .passedNow(delaySeconds: 172_800))
        life = Life(policy: policy)
        _ = life.attempt(at())
        // A bot that comes by again weeks later has not retried.
        #expect(life.attempt(at(minutes: 1, days: 2)) == .deferNew(secondsLeft: 900))
        #expect(life.attempt(at(minutes: 16, days: 2)) == .passedNow(delaySeconds: 900))
    }

    @Test func aWindowShorterThanTheDelayLocksNobodyOut() {
        var policy = policy
        policy.delaySeconds = 3_600
        policy.windowSeconds = 60
        var life = Life(policy: policy)
        _ = life.attempt(at())
        #expect(life.attempt(at(minutes: 60)) == .passedNow(delaySeconds: 3_600))
    }

    @Test func changedDelayAppliesToWhatWaits() {
        var life = Life(policy: policy)
        _ = life.attempt(at())
        life.policy.delaySeconds = 300
        #expect(life.attempt(at(minutes: 5)) == .passedNow(delaySeconds: 300))
    }

    @Test func aClockSetBackLocksNobodyOut() {
        var life = Life(policy: policy)
        _ = life.attempt(at(days: 400))
        #expect(life.attempt(at()) == .deferEarly(secondsLeft: 900, closes: false))
        #expect(life.attempt(at(minutes: 15)) == .passedNow(delaySeconds: 900))
        #expect(life.attempt(at(days: -400)) == .known)
        #expect(life.pair?.lastSeen == at(days: -400))
        for strange in [Int64.min, Int64.max] {
            let record = GreylistRecord(
                state: .new, firstSeen: WallTime(microseconds: strange), lastSeen: WallTime(microseconds: strange),
                attempts: .max)
            life = Life(policy: policy, triplet: record)
            _ = life.attempt(at())
            _ = life.attempt(at(minutes: 15))
            #expect(life.attempt(at(minutes: 30)) == .known)
        }
    }

    @Test func anotherRecipientBringsItIn() {
        var life = Life(policy: policy)
        _ = life.attempt(at())
        life.pair = GreylistRecord(state: .known, firstSeen: at(), lastSeen: at(minutes: 2), attempts: 1)
        #expect(life.attempt(at(minutes: 3)) == .passedNow(delaySeconds: 180))
        #expect(life.triplet == nil)
        #expect(life.pair?.attempts == 2)
    }

    @Test func fates() {
        func record(_ state: GreylistRecord.State, last: WallTime) -> GreylistRecord {
            GreylistRecord(state: state, firstSeen: at(), lastSeen: last, attempts: 1)
        }
        #expect(Greylisting.fate(record(.new, last: at()), now: at(days: 1), policy) == .kept)
        #expect(Greylisting.fate(record(.new, last: at()), now: at(days: 3), policy) == .lapsed)
        #expect(Greylisting.fate(record(.waiting, last: at()), now: at(days: 30), policy) == .lapsed)
        #expect(Greylisting.fate(record(.waiting, last: at()), now: at(minutes: 1, days: 30), policy) == .forgotten)
        #expect(Greylisting.fate(record(.known, last: at()), now: at(days: 36), policy) == .kept)
        #expect(Greylisting.fate(record(.known, last: at()), now: at(minutes: 1, days: 36), policy) == .forgotten)
    }

    @Test func ends() {
        let known = GreylistRecord(state: .known, firstSeen: at(), lastSeen: at(days: 1), attempts: 1)
        #expect(Greylisting.expires(known, now: at(days: 2), policy) == at(days: 37))
        var forever = policy
        forever.expirySeconds = 0
        #expect(Greylisting.expires(known, now: at(days: 2), forever) == nil)
        let new = GreylistRecord(state: .new, firstSeen: at(), lastSeen: at(), attempts: 1)
        // Its window is two days; what lets that pass can be looked at for thirty.
        #expect(Greylisting.expires(new, now: at(days: 1), policy) == at(days: 2))
        #expect(Greylisting.expires(new, now: at(days: 3), policy) == at(days: 30))
        // Overdue, it could pass all the time: the figure does not move.
        for minutes: Int64 in [0, 5, 300] {
            #expect(Greylisting.passes(new, now: at(minutes: minutes), policy) == at(minutes: 15))
        }
        #expect(Greylisting.passes(new, now: at(days: 3), policy) == nil)
        #expect(Greylisting.passes(known, now: at(), policy) == nil)
        #expect(Greylisting.secondsLeft(new, now: at(minutes: 5), policy) == 600)
        #expect(Greylisting.secondsLeft(known, now: at(), policy) == 0)
    }

    // MARK: Replies

    @Test func repliesSayWhyAndHowLong() throws {
        let first = try #require(GreylistDecision.deferNew(secondsLeft: 900).reply)
        #expect(first.code == 450)
        #expect(first.enhanced == EnhancedStatus(4, 7, 1))
        #expect(String(decoding: first.text, as: UTF8.self) == "Greylisted: new sender, please try again in 15 minutes")
        let early = try #require(GreylistDecision.deferEarly(secondsLeft: 61, closes: false).reply)
        #expect(early.code == 450)
        #expect(
            String(decoding: early.text, as: UTF8.self)
                == "Greylisted: too early, please try again in 1 minute 1 second")
        let closing = try #require(GreylistDecision.deferEarly(secondsLeft: 0, closes: true).reply)
        #expect(closing.code == 421)
        #expect(String(decoding: closing.text, as: UTF8.self) == "Greylisted: too early, please try again in 1 second")
        #expect(GreylistDecision.known.reply == nil)
        #expect(GreylistDecision.passedNow(delaySeconds: 1).reply == nil)
        #expect(GreylistDecision.skipped(.score).reply == nil)
    }

    @Test(arguments: [
        (1, "1 second"), (59, "59 seconds"), (60, "1 minute"), (61, "1 minute 1 second"), (322, "5 minutes 22 seconds"),
        (840, "14 minutes"), (901, "16 minutes"), (3_599, "1 hour"), (3_660, "1 hour 1 minute"),
        (28_800, "8 hours"), (172_800, "2 days"),
    ])
    func durations(seconds: Int, text: String) { #expect(GreylistDecision.duration(seconds) == text) }

    @Test func onlyTheEarlyOneCloses() {
        var policy = policy
        policy.earlyReply = .close
        var life = Life(policy: policy)
        #expect(life.attempt(at()).reply?.code == 450)
        #expect(life.attempt(at(minutes: 1)).reply?.code == 421)
    }

    @Test func events() throws {
        let key = attempt("a@b.example").key
        let recipient = Array("r@d.example".utf8)
        let event = try #require(GreylistDecision.deferNew(secondsLeft: 300).event(key: key, recipient: recipient))
        #expect(event.control == .greylist)
        #expect(event.effect == .deferred)
        #expect(event.subject == recipient)
        #expect(event.reply?.code == 450)
        #expect(
            String(decoding: event.detail, as: UTF8.self)
                == "first attempt (192.0.2.0/24, a@b.example); taken in 5 minutes or later")
        #expect(GreylistDecision.skipped(.off).event(key: nil, recipient: recipient) == nil)
        #expect(GreylistDecision.skipped(.trusted).event(key: nil, recipient: recipient)?.effect == .passed)
        let closed = GreylistDecision.deferEarly(secondsLeft: 5, closes: true).event(key: key, recipient: recipient)
        #expect(closed?.effect == .closed)
    }

    // MARK: Skips

    private func attempt(_ sender: String, _ change: (inout Greylisting.Attempt) -> Void = { _ in })
        -> Greylisting.Attempt
    {
        var attempt = Greylisting.Attempt(
            address: IPAddress("192.0.2.77"), sender: Array(sender.utf8), recipient: Array("R@D.example".utf8),
            domain: Array("d.example".utf8))
        change(&attempt)
        return attempt
    }

    @Test func skips() {
        var policy = policy
        policy.skipDomains = [Array("good.example".utf8)]
        var lists = DefenseExceptions()
        lists.greylist = ["192.0.2.128/25", "2001:db8::/32"].compactMap { AddressBlock($0) }
        lists.greylistDomains = [Array("friend.example".utf8)]
        let index = DefenseExceptionsIndex(lists)
        func skip(_ a: Greylisting.Attempt, _ p: DomainDefense.Greylist? = nil) -> GreylistSkip? {
            Greylisting.skip(a, p ?? policy, index)
        }
        #expect(skip(attempt("a@b.example")) == nil)
        #expect(skip(attempt("a@b.example"), DomainDefense.Greylist()) == .off)
        #expect(skip(attempt("a@b.example") { $0.isTrusted = true }) == .trusted)
        #expect(skip(attempt("a@b.example") { $0.address = nil }) == .noClient)
        #expect(skip(attempt("a@b.example") { $0.address = IPAddress("192.0.2.200") }) == .allowedClient)
        #expect(skip(attempt("a@b.example") { $0.address = IPAddress("2001:db8:9::1") }) == .allowedClient)
        #expect(skip(attempt("a@b.example") { $0.address = IPAddress("2001:db9::1") }) == nil)
        // Written into MAIL FROM by whoever likes to.
        #expect(skip(attempt("a@Mail.Friend.example")) == nil)
        #expect(skip(attempt("a@x.example") { $0.provenDomain = Array("Mail.Friend.example".utf8) }) == .allowedDomain)
        #expect(skip(attempt("a@notfriend.example")) == nil)
        #expect(skip(attempt("") { $0.provenDomain = Array("friend.example".utf8) }) == .allowedDomain)
        // The domain's own list wants proof.
        #expect(skip(attempt("a@good.example")) == nil)
        #expect(skip(attempt("a@good.example") { $0.provenDomain = Array("x.GOOD.example".utf8) }) == .skipDomain)
        #expect(skip(attempt("a@b.example") { $0.score = -1 }) == .score)
        #expect(skip(attempt("a@b.example") { $0.score = 0 }) == nil)
        policy.skipScore = nil
        #expect(skip(attempt("a@b.example") { $0.score = -9 }, policy) == nil)
    }

    // MARK: Keys

    @Test func keys() throws {
        let a = try #require(attempt("News+1@B.example").key)
        #expect(a.identity == Array("192.0.2.0/24".utf8))
        #expect(a.recipient == Array("r@d.example".utf8))
        let same = try #require(attempt("news+22@b.example") { $0.address = IPAddress("192.0.2.1") }.key)
        #expect(a.triplet == same.triplet)
        #expect(a.pair == same.pair)
        let other = try #require(attempt("news+22@b.example") { $0.address = IPAddress("192.0.3.1") }.key)
        #expect(a.triplet != other.triplet)
        let proven = try #require(attempt("news@b.example") { $0.provenDomain = Array("B.example".utf8) }.key)
        #expect(proven.identity == Array("b.example".utf8))
        let v6 = try #require(attempt("a@b.example") { $0.address = IPAddress("2001:db8:0:1:2::3") }.key)
        #expect(v6.identity == Array("2001:db8:0:1::/64".utf8))
        var bare = attempt("a@b.example")
        bare.recipient = Array("Postmaster".utf8)
        #expect(bare.key?.recipient == Array("postmaster@d.example".utf8))
        #expect(bare.key?.domain == Array("d.example".utf8))
        bare.recipient = Array((String(repeating: "x", count: 5_000) + "@d.example").utf8)
        #expect((bare.key?.triplet.count ?? .max) < 1_000)
    }

    @Test(arguments: [
        ("Alice@Example.COM", "alice@example.com"),
        ("prvs=1234567890=alice@example.com", "alice@example.com"),
        ("btv1==123abc==alice@example.com", "alice@example.com"),
        ("msprvs1=18abcXYZ=bounces-123-4@b.example", "bounces-#@b.example"),
        ("SRS0=HHH=TT=orig.example=alice@fwd.example", "srs#=orig.example=alice@fwd.example"),
        ("SRS0=GGG=UU=orig.example=alice@fwd.example", "srs#=orig.example=alice@fwd.example"),
        ("SRS1=GGG=fwd.example==HHH=TT=o.example=a@x.example", "srs#=fwd.example@x.example"),
        ("bounces+991-a1b2-user=dom.example@em.example", "bounces@em.example"),
        ("bounce-77-user=dom.example@l.example", "bounce=@l.example"),
        ("user=dom.example@l.example", "user=@l.example"),
        ("bounce-mc.us12_4567.8901-abc@m.example", "bounce-mc.us#-abc@m.example"),
        ("0102018f2c3a4b5c-0a1b2c3d-4e5f-6071-8a9b-0c1d2e3f4a5b-000000@ses.example", "#@ses.example"),
        ("order2024@shop.example", "order#@shop.example"),
        ("", ""), ("@x.example", "@x.example"), ("noat", "noat"), ("prvs=@x.example", "prvs=@x.example"),
        ("prvs==@x.example", "prvs=@x.example"), ("srs0=@x.example", "srs#=@x.example"), ("+@x.example", "+@x.example"),
    ])
    func senders(given: String, wanted: String) {
        #expect(String(decoding: GreylistSender.normalised(Array(given.utf8)), as: UTF8.self) == wanted)
    }

    @Test func anySenderIsTaken() {
        var random = SystemRandomNumberGenerator()
        let parts = Array("aB1=+-._@#\0\u{ff}prvs=SRS0btv1==".utf8)
        for _ in 0..<20_000 {
            let bytes = (0..<Int.random(in: 0...40, using: &random)).map { _ in parts.randomElement(using: &random) ?? 0
            }
            let once = GreylistSender.normalised(bytes)
            #expect(once.count <= bytes.count + 1)
        }
    }

    @Test func blocksByIndex() {
        let index = AddressBlockIndex(["10.0.0.0/8", "192.0.2.4", "2001:db8::/48"].compactMap { AddressBlock($0) })
        for (text, isIn) in [
            ("10.255.0.1", true), ("11.0.0.1", false), ("192.0.2.4", true), ("192.0.2.5", false),
            ("2001:db8:0:ffff::1", true), ("2001:db8:1::1", false),
        ] { #expect(IPAddress(text).map(index.contains) == isIn, "\(text)") }
        #expect(!AddressBlockIndex().contains(IPAddress(v4: 1, 2, 3, 4)))
    }
}
