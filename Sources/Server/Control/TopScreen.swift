import Base

/// `martlet top` as lines of text. Pure.
package struct TopScreen {
    private let now: TopSnapshot
    private let rates: TopRates
    private let isFirst: Bool

    package init(now: TopSnapshot, before: TopSnapshot?) {
        self.now = now
        rates = TopRates(now: now, before: before)
        isFirst = before == nil
    }

    /// Snapshot and rates in one object, for programs.
    package var json: JSONValue {
        .object(now.members + [JSONMember("rates", rates.json)])
    }

    /// At most `height` lines, each of at most `width` characters; 0: as many as there are.
    package func lines(width: Int, height: Int) -> [String] {
        var out = [title, ""] + summary.flatMap { Self.wrapped($0, width) }
        var tables: [[String]] = []
        if !refusals.isEmpty { tables.append([""] + refusals) }
        if !slowed.isEmpty { tables.append([""] + slowed) }
        for (i, table) in tables.enumerated() {
            guard height > 0 else {
                out += table
                continue
            }
            // What is left is shared, so that a long table leaves the next one some.
            let left = height - out.count
            let share = i + 1 < tables.count ? max(left / 2, left - tables[i + 1].count) : left
            out += table.prefix(max(0, share))
        }
        if height > 0 { out = Array(out.prefix(height)) }
        return width > 0 ? out.map { Self.cut($0, width) } : out
    }

    private var title: String {
        let up = now.uptimeSeconds
        let days = up >= 86_400 ? "\(up / 86_400)d " : ""
        let clock = [up / 3_600 % 24, up / 60 % 60, up % 60].map { $0 < 10 ? "0\($0)" : "\($0)" }
        return "martlet \(Self.shown(now.version)) on \(Self.shown(now.hostname)), up \(days)"
            + "\(clock.joined(separator: ":")), \(ControlText.utc(WallTime(seconds: Int64(now.time))))"
            + (isFirst ? ", rates since the start" : "")
    }

    private var summary: [String] {
        let open = now.sessions.filter { $0.open > 0 }.map { "\(Self.shown($0.listener)) \($0.open)" }
        let total = now.sessions.reduce(0) { $0 + $1.open }
        let most = now.sessionsMax > 0 ? " of \(now.sessionsMax)" : ""
        let commit = rates.commit.map { "a commit takes \(Self.milliseconds($0))" } ?? "no commits"
        let turn = rates.turn.map { ", a turn of a reactor \(Self.milliseconds($0))" } ?? ""
        return [
            "Sessions   \(total)\(most) open" + (open.isEmpty ? "" : " (\(open.joined(separator: ", ")))")
                + ", \(now.held) held back; \(Self.rate(rates.connections)) new",
            "Messages   \(Self.rate(rates.messagesAccepted)) accepted, \(Self.rate(rates.messagesRefused)) refused, "
                + "\(Self.rate(rates.messagesDeferred)) deferred; \(Self.octets(rates.octets / 10))/s",
            "Recipients \(Self.rate(rates.recipientsAccepted)) accepted, \(Self.rate(rates.recipientsRefused)) refused",
            "Queue      \(now.queued) recipients, \(now.due) due, \(now.inFlight) in flight; "
                + "\(Self.rate(rates.delivered)) delivered, \(Self.rate(rates.deliveryDeferred)) deferred, "
                + "\(Self.rate(rates.deliveryFailed)) failed",
            "Store      \(commit), \(now.storeQueue) requests waiting, \(Self.octets(now.diskFree)) of disk free\(turn)",
            "DNS        \(now.dnsInFlight) questions in flight; \(Self.rate(rates.dnsQueries)) queries",
            "Pressure   \(pressure)",
        ]
    }

    private var pressure: String {
        let scarce = now.pressure.filter { $0.level != "calm" }
        guard !scarce.isEmpty else { return "none" }
        let ordered = scarce.filter { $0.name == now.limiting } + scarce.filter { $0.name != now.limiting }
        let words = ordered.map { resource in
            let figures = resource.figures.isEmpty ? "" : " (\(Self.shown(resource.figures)))"
            return "\(Self.shown(resource.name)) \(Self.shown(resource.level))\(figures)"
        }
        return (now.limiting.isEmpty ? "" : "limited by ") + words.joined(separator: "; ")
    }

    /// Those with most lately first.
    private var refusals: [String] {
        let rows = zip(now.refusals, rates.refusals).sorted {
            ($0.1.count, $0.0.count) > ($1.1.count, $1.0.count)
        }
        if rows.isEmpty { return [] }
        return Self.table(
            ["DEFENCE", "EFFECT", "RATE", "IN ALL"],
            rows.map { [Self.shown($0.0.control), Self.shown($0.0.effect), Self.rate($0.1.count), "\($0.0.count)"] })
    }

    private var slowed: [String] {
        if now.slowed.isEmpty { return [] }
        return Self.table(
            ["CLIENT WITH FAILURES", "OPEN", "FAILURES", "REFUSED", "DELAY"],
            now.slowed.map {
                [
                    Self.shown($0.client), "\($0.open)", "\($0.failures)", "\($0.refused)",
                    $0.milliseconds == 0 ? "-" : Self.milliseconds($0.milliseconds * 1_000),
                ]
            })
    }

    // MARK: Text

    private static func table(_ header: [String], _ rows: [[String]]) -> [String] {
        let text = String(decoding: ControlText.table(header, rows), as: UTF8.self)
        return text.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init)
    }

    private static let labelWidth = 11
    /// In a narrower terminal the tables need the lines.
    private static let wrapWidthMin = 60

    /// A line of the summary that is too long goes on below its first word, broken where a comma or semicolon stands.
    private static func wrapped(_ line: String, _ width: Int) -> [String] {
        guard width >= wrapWidthMin, line.unicodeScalars.count > width else { return [line] }
        var parts: [String] = []
        for word in line.split(separator: " ", omittingEmptySubsequences: false) {
            if let last = parts.last, !last.hasSuffix(","), !last.hasSuffix(";") {
                parts[parts.count - 1] = last + " " + word
            } else {
                parts.append(String(word))
            }
        }
        var out: [String] = []
        var current = ""
        for part in parts {
            let joined = current.isEmpty ? part : current + " " + part
            if !current.isEmpty, joined.unicodeScalars.count > width {
                out.append(current)
                current = String(repeating: " ", count: labelWidth) + part
            } else {
                current = joined
            }
        }
        return out + [current]
    }

    static func cut(_ line: String, _ width: Int) -> String {
        line.unicodeScalars.count > width ? String(String.UnicodeScalarView(line.unicodeScalars.prefix(width))) : line
    }

    private static func shown(_ text: String) -> String { ControlText.shown(Array(text.utf8)) }
    private static func rate(_ tenths: Int) -> String { JSONValue.tenths(tenths) + "/s" }

    /// `0.4 ms`, `12.0 ms`, `1.5 s`
    private static func milliseconds(_ microseconds: Int) -> String {
        microseconds < 1_000_000
            ? JSONValue.tenths(microseconds / 100) + " ms" : JSONValue.tenths(microseconds / 100_000) + " s"
    }

    private static func octets(_ n: Int) -> String {
        for (shift, unit) in [(30, "GiB"), (20, "MiB"), (10, "KiB")] where n >= 1 << shift {
            return JSONValue.tenths(Int(Double(n) * 10 / Double(1 << shift))) + " \(unit)"
        }
        return "\(n) B"
    }
}
