import Base
import Delivery
import Testing

@Suite struct SRSTests {
    private let srs = SRS(keys: [Secret(Array("new key".utf8)), Secret(Array("old key".utf8))])
    private let now = WallTime(seconds: 1_790_000_000)

    private func rewritten(_ sender: String, at time: WallTime? = nil) -> String? {
        srs?.rewritten(Array(sender.utf8), domain: Array("ours.example".utf8), now: time ?? now)
            .map { String(decoding: $0, as: UTF8.self) }
    }

    private func reversed(_ address: String, at time: WallTime? = nil) -> SRS.Reversed? {
        srs?.reversed(Array(address.utf8), now: time ?? now)
    }

    private func days(_ n: Int64) -> WallTime { WallTime(seconds: now.seconds + n * 86_400) }

    @Test(arguments: ["ann@their.example", "a=b+c@their.example", "A.b-c@sub.their.example"])
    func leadsBack(sender: String) throws {
        let made = try #require(rewritten(sender))
        #expect(made.hasPrefix("SRS0=") && made.hasSuffix("@ours.example"))
        #expect(reversed(made) == .sender(Array(sender.utf8)))
        #expect(reversed(made, at: days(21)) == .sender(Array(sender.utf8)))
        #expect(reversed(made, at: days(22)) == .invalid)
        let lower = made.lowercased()
        #expect(reversed(lower) == .sender(Array(sender.lowercased().utf8)))
    }

    @Test func nobodyElseCanMakeOne() throws {
        let made = try #require(rewritten("ann@their.example"))
        #expect(reversed(made.replacing("=ann", with: "=bob")) == .invalid)
        #expect(reversed("SRS0=aaaaaa=aa=their.example=ann@ours.example") == .invalid)
        #expect(reversed("SRS0=@ours.example") == .foreign)
        #expect(reversed("SRS0=a=b@ours.example") == .invalid)
        #expect(reversed("srs1=x@ours.example") == .foreign)
        #expect(reversed("ann@ours.example") == .foreign)
        let other = SRS(keys: [Secret(Array("another".utf8))])
        #expect(other?.reversed(Array(made.utf8), now: now) == .invalid)
        let old = SRS(keys: [Secret(Array("old key".utf8))])
        let byOld = try #require(
            old?.rewritten(Array("ann@their.example".utf8), domain: Array("ours.example".utf8), now: now))
        #expect(srs?.reversed(byOld, now: now) == .sender(Array("ann@their.example".utf8)))
    }

    @Test func anotherForwardersPathIsWrappedOnce() throws {
        let first = "SRS0=Xy12=3T=start.example=ann@second.example"
        let made = try #require(rewritten(first))
        #expect(made.hasPrefix("SRS1="))
        #expect(reversed(made) == .sender(Array("SRS0=Xy12=3T=start.example=ann@second.example".utf8)))
        let third = "SRS1=zzzz=second.example==Xy12=3T=start.example=ann@third.example"
        let again = try #require(rewritten(third))
        #expect(again.hasPrefix("SRS1=") && !again.contains("third"))
        #expect(reversed(again) == .sender(Array(first.utf8)))
    }

    @Test func whatNeedsNoRewritingOrCannotBe() {
        #expect(rewritten("") == "")
        #expect(rewritten("me@ours.example") == "me@ours.example")
        #expect(rewritten("no-at") == nil)
        #expect(rewritten("\"q q\"@their.example") == nil)
        #expect(rewritten("é@their.example") == nil)
        #expect(rewritten(String(repeating: "a", count: 60) + "@their.example") == nil)
        #expect(SRS(keys: []) == nil)
    }
}
