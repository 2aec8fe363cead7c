import Base
import Delivery
import Store

/// One destination in `queue summary`.
struct QueueSummaryLine {
    let counts: QueueSiteCounts
    let isHeld: Bool
    /// What the scheduler knows of it; nil: nothing is in its hands.
    let live: SchedulerStatus.Site?
    let isRunning: Bool
    let now: WallTime

    static let header = [
        "DESTINATION", "RECIPIENTS", "HELD", "SENDING", "OLDEST", "NEXT ATTEMPT", "LIMIT", "PER MINUTE", "EMPTY IN",
        "WHY",
    ]

    /// What keeps its mail.
    var limit: String {
        if isHeld { return "held" }
        if counts.held == counts.rows { return "held" }
        if !isRunning { return "no server" }
        if let live, live.limit != .idle { return live.limit.text }
        if let due = counts.due, due > now { return "next attempt" }
        return live == nil ? "starting" : "concurrency"
    }

    private var until: WallTime? {
        if case .unreachable(let until, _) = live?.limit { until } else { nil }
    }

    private var why: [UInt8] {
        if case .unreachable(_, let why) = live?.limit { why } else { [] }
    }

    /// From the rate of late; nil: nothing goes, or nobody can tell.
    var emptyInSeconds: Int? {
        guard !isHeld, let rate = live?.ratePerMinute, rate >= 0.5 else { return nil }
        return Int((Double(counts.rows - counts.held) / rate * 60).rounded(.up))
    }

    var cells: [String] {
        let next = until ?? counts.due
        return [
            ControlText.shown(counts.site), "\(counts.rows)", "\(counts.held)", "\(counts.leased)", age(counts.oldest),
            next.map(when) ?? "-", limit, live.map { "\(Int($0.ratePerMinute.rounded()))" } ?? "-",
            emptyInSeconds.map(Self.span) ?? "-", why.isEmpty ? "-" : ControlText.shown(why),
        ]
    }

    var json: JSONValue {
        func time(_ t: WallTime?) -> JSONValue { t.map { .text(ControlText.utc($0)) } ?? .null }
        return .object([
            JSONMember("destination", .text(ControlText.shown(counts.site))),
            JSONMember("recipients", .integer(counts.rows)), JSONMember("held", .integer(counts.held)),
            JSONMember("leased", .integer(counts.leased)), JSONMember("oldest", time(counts.oldest)),
            JSONMember("next_attempt", time(until ?? counts.due)), JSONMember("limit", .text(limit)),
            JSONMember("in_flight", .integer(live?.inFlight ?? 0)), JSONMember("ready", .integer(live?.ready ?? 0)),
            JSONMember("window", live.map { .integer($0.window) } ?? .null),
            JSONMember("per_minute", .integer(Int((live?.ratePerMinute ?? 0).rounded()))),
            JSONMember("empty_in_seconds", emptyInSeconds.map { .integer($0) } ?? .null),
            JSONMember("why", .text(ControlText.shown(why))),
        ])
    }

    private func age(_ time: WallTime) -> String { Self.span(max(0, Int(now.seconds - time.seconds))) }
    private func when(_ time: WallTime) -> String {
        time <= now ? "now" : "in " + Self.span(Int(time.seconds - now.seconds))
    }

    static func span(_ seconds: Int) -> String {
        switch seconds {
        case ..<120: "\(seconds)s"
        case ..<7_200: "\(seconds / 60)m"
        case ..<172_800: "\(seconds / 3_600)h"
        default: "\(seconds / 86_400)d"
        }
    }
}
