import Base
import Foundation
import Policy
import Server
import Telemetry
import Testing

@Suite("What top shows")
struct TopTests {
    private var snapshot: TopSnapshot {
        var out = TopSnapshot()
        out.monotonic = 10_000_000
        out.time = 1_700_000_000
        out.uptimeSeconds = 90_061
        out.version = "1.2"
        out.hostname = "mx.example.org"
        out.connections = 100
        out.messagesAccepted = 50
        out.octets = 1 << 20
        out.commits = 10
        out.commitMicroseconds = 25_000
        out.sessions = [TopSnapshot.Session(listener: "mx", open: 7), TopSnapshot.Session(listener: "lmtp", open: 0)]
        out.sessionsMax = 1_000
        out.held = 2
        out.queued = 12
        out.due = 3
        out.refusals = [
            TopSnapshot.Refusal(control: "limit", effect: "closed", count: 5),
            TopSnapshot.Refusal(control: "greylist", effect: "deferred", count: 40),
        ]
        out.pressure = [
            TopSnapshot.Resource(name: "disk", level: "calm"),
            TopSnapshot.Resource(name: "memory", level: "elevated", figures: "700 of 1000 MiB memory in use"),
            TopSnapshot.Resource(name: "descriptors", level: "high", figures: "980 of 1024 descriptors in use"),
        ]
        out.limiting = "descriptors"
        var line = ClientLine(client: "192.0.2.7")
        line.open = 1
        line.failures = 6
        line.slowedSeconds = 8
        out.slowed = [TopSnapshot.Slowed(line)]
        return out
    }

    private var later: TopSnapshot {
        var out = snapshot
        out.monotonic += 2_000_000
        out.uptimeSeconds += 2
        out.connections += 25
        out.messagesAccepted += 3
        out.commits += 4
        out.commitMicroseconds += 6_000
        out.refusals[0].count += 30
        return out
    }

    @Test func aSnapshotComesThroughJSON() throws {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        let full = snapshot
        #expect(try decoder.decode(TopSnapshot.self, from: Data(full.json.bytes)) == full)
        #expect(try decoder.decode(TopSnapshot.self, from: Data(TopSnapshot().json.bytes)) == TopSnapshot())
    }

    @Test func ratesAreOfTheInterval() {
        let rates = TopRates(now: later, before: snapshot)
        #expect(rates.seconds == 2)
        #expect(rates.connections == 125)
        #expect(rates.messagesAccepted == 15)
        #expect(rates.commit == 1_500)
        #expect(rates.turn == nil)
        #expect(rates.refusals.map(\.count) == [150, 0])
    }

    @Test func withoutAnEarlierOneTheyAreSinceTheStart() {
        var now = snapshot
        now.uptimeSeconds = 10
        let rates = TopRates(now: now, before: nil)
        #expect(rates.connections == 100)
        #expect(rates.commit == 2_500)
        #expect(rates.refusals.map(\.count) == [5, 40])
    }

    /// Sums that went down are of another process.
    @Test func aRestartInBetweenIsNoNegativeRate() {
        var fresh = snapshot
        fresh.monotonic += 1_000_000
        fresh.uptimeSeconds = 1
        fresh.connections = 3
        #expect(TopRates(now: fresh, before: snapshot).connections == 30)
    }

    @Test func theScreenNamesWhatLimits() {
        let lines = TopScreen(now: later, before: snapshot).lines(width: 0, height: 0)
        #expect(lines[0] == "martlet 1.2 on mx.example.org, up 1d 01:01:03, 2023-11-14T22:13:20Z")
        #expect(lines.contains("Sessions   7 of 1000 open (mx 7), 2 held back; 12.5/s new"))
        #expect(
            lines.contains(
                "Pressure   limited by descriptors high (980 of 1024 descriptors in use); memory elevated "
                    + "(700 of 1000 MiB memory in use)"))
        // Most lately first.
        let first = lines.firstIndex { $0.hasPrefix("limit ") }
        let second = lines.firstIndex { $0.hasPrefix("greylist ") }
        #expect(first != nil && second != nil && first ?? 0 < second ?? 0)
        #expect(lines.contains { $0.hasPrefix("192.0.2.7") && $0.hasSuffix("8.0 s") })
        let calm = TopScreen(now: TopSnapshot(), before: nil).lines(width: 0, height: 0)
        #expect(calm.contains("Pressure   none"))
        #expect(!calm.contains { $0.hasPrefix("DEFENCE") || $0.hasPrefix("CLIENT WITH FAILURES") })
    }

    @Test(arguments: [1, 5, 10, 12, 14, 20, 24, 60])
    func theScreenFitsTheTerminal(height: Int) {
        var now = later
        now.slowed = (0..<50).map { TopSnapshot.Slowed(ClientLine(client: "192.0.2.\($0)")) }
        now.refusals = (0..<40).map { TopSnapshot.Refusal(control: "limit", effect: "closed\($0)", count: $0) }
        let lines = TopScreen(now: now, before: nil).lines(width: 40, height: height)
        #expect(lines.count == min(height, 2 + 7 + 42 + 52))
        #expect(lines.allSatisfy { $0.count <= 40 })
        if height == 24 { #expect(lines.contains { $0.hasPrefix("CLIENT WITH FAILURES") }) }
    }

    /// Of a terminal of 80 columns `top` may use 79.
    @Test func longLinesOfTheSummaryGoOn() {
        var now = later
        now.queued = 1_234_567
        now.inFlight = 12_345
        let whole = TopScreen(now: now, before: nil).lines(width: 0, height: 0)
        let wrapped = TopScreen(now: now, before: nil).lines(width: 79, height: 0)
        #expect(wrapped.count > whole.count)
        #expect(wrapped.allSatisfy { $0.unicodeScalars.count <= 79 })
        let queue = wrapped.drop { !$0.hasPrefix("Queue ") }.prefix(2)
        #expect(queue.last?.hasPrefix("           ") == true)
        let words = queue.joined(separator: " ").split(separator: " ")
        let wanted = whole.first { $0.hasPrefix("Queue ") }?.split(separator: " ")
        #expect(words == wanted)
    }

    @Test func programsGetRatesToo() throws {
        let bytes = TopScreen(now: later, before: snapshot).json.bytes
        let object = try #require(try JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any])
        let rates = try #require(object["rates"] as? [String: Any])
        #expect(rates["connections"] as? Double == 12.5)
        #expect(rates["commit_us"] as? Int == 1_500)
        #expect(rates["turn_us"] is NSNull)
        #expect(object["queued"] as? Int == 12)
    }

    @Test func theCountersAreRead() {
        let metrics = ServerMetrics(Registry())
        metrics.connections.add(.mx, .accepted, 4)
        metrics.connections.add(.mx, .limit, 9)
        metrics.sessions.add(.submission, 2)
        metrics.messages.add(.mx, .deferred, 3)
        metrics.recipients.add(.accepted, 5)
        metrics.recipients.add(.unknown, 6)
        metrics.commitDuration.observe(seconds: 0.25)
        metrics.queue.recipients.add(.expired, 2)
        metrics.defense.held.add(7)
        metrics.defense.count(DefenseEvent(.tarpit, .slowed, detail: ""))
        metrics.defense.count(.score, .noted)
        let top = metrics.topSnapshot(
            monotonic: Instant(nanoseconds: 90_000_000_000), started: Instant(nanoseconds: 30_000_000_000),
            wall: WallTime(seconds: 5))
        #expect(top.connections == 4)
        #expect(
            top.sessions == ListenerLabel.allCases.map { .init(listener: $0.text, open: $0 == .submission ? 2 : 0) })
        #expect(top.messagesDeferred == 3)
        #expect(top.recipientsAccepted == 5)
        #expect(top.recipientsRefused == 6)
        #expect(top.commits == 1)
        #expect(top.commitMicroseconds == 250_000)
        #expect(top.deliveryFailed == 2)
        #expect(top.held == 7)
        #expect(top.uptimeSeconds == 60)
        #expect(top.refusals == [TopSnapshot.Refusal(control: "tarpit", effect: "slowed", count: 1)])
    }

    @Test func everyControlAndEffectHasItsLabel() {
        #expect(
            DefenseEvent.Control.allCases.map { DefenseControlLabel($0).text }
                == DefenseEvent.Control.allCases.map(\.rawValue))
        #expect(
            DefenseEvent.Effect.allCases.map { DefenseEffectLabel($0).text }
                == DefenseEvent.Effect.allCases.map(\.rawValue))
    }
}
