import Ledger
import Protocols

/// What other rules of the defences would have done, for people and for programs.
enum ReplayReport {
    static func text(_ replay: DefenseReplay) -> String {
        var lines: [String] = []
        if replay.asked.contains(.score) { lines += scores(replay.scores) }
        if replay.asked.contains(.greylist) { lines += greylist(replay) }
        if replay.asked.contains(.tarpit) { lines += tarpits(replay.tarpits) }
        if replay.asked.contains(.filters) { lines.append("filters: \(filters)") }
        return lines.map { $0 + "\n" }.joined()
    }

    static func json(_ replay: DefenseReplay) -> JSONValue {
        var members: [JSONMember] = []
        if replay.asked.contains(.score) { members.append(JSONMember("score", value(replay.scores))) }
        if replay.asked.contains(.greylist) { members.append(JSONMember("greylist", greylistValue(replay))) }
        if replay.asked.contains(.tarpit) { members.append(JSONMember("tarpit", value(replay.tarpits))) }
        if replay.asked.contains(.filters) {
            members.append(JSONMember("filters", .object([JSONMember("unknown", .text(filters))])))
        }
        return .object(members)
    }

    private static let filters = "what a filter would have said is not recorded"

    // MARK: Changes

    private static func lines(_ tally: ReplayTally) -> [String] {
        tally.changes.flatMap { change in
            ["  \(change.old.rawValue) -> \(change.new.rawValue): \(change.count)"] + change.examples.map(line)
        }
    }

    private static func line(_ example: ReplayChange.Example) -> String {
        let sender = example.sender.isEmpty ? "" : " <\(example.sender.shownText)> to"
        return "    \(ControlText.shown(example.id.text)) \(ControlText.utc(example.time)) "
            + "\(example.client?.description ?? "-")\(sender) \(example.subject.shownText): \(example.reason)"
    }

    private static func value(_ tally: ReplayTally) -> JSONValue {
        .array(
            tally.changes.map { change in
                .object([
                    JSONMember("old", .text(change.old.rawValue)), JSONMember("new", .text(change.new.rawValue)),
                    JSONMember("count", .integer(change.count)),
                    JSONMember("examples", .array(change.examples.map(value))),
                ])
            })
    }

    private static func value(_ example: ReplayChange.Example) -> JSONValue {
        .object([
            JSONMember("id", .text(ControlText.shown(example.id.text))),
            JSONMember("time", .text(ControlText.utc(example.time))),
            JSONMember("client", example.client.map { .text($0.description) } ?? .null),
            JSONMember("sender", .text(example.sender.shownText)),
            JSONMember("subject", .text(example.subject.shownText)), JSONMember("reason", .text(example.reason)),
        ])
    }

    // MARK: Scores

    private static func scores(_ scores: DefenseReplay.Scores) -> [String] {
        var out = ["score: \(scores.tally.total) of \(scores.weighed) would change"] + lines(scores.tally)
        if scores.unknown > 0 {
            out.append("  \(scores.unknown) not known: nobody asked \(scores.missing.joined(separator: ", ")) then")
        }
        if scores.unrecorded > 0 { out.append("  \(scores.unrecorded) not known: recorded without their evidence") }
        return out
    }

    private static func value(_ scores: DefenseReplay.Scores) -> JSONValue {
        .object([
            JSONMember("weighed", .integer(scores.weighed)), JSONMember("changed", .integer(scores.tally.total)),
            JSONMember("changes", value(scores.tally)), JSONMember("unknown", .integer(scores.unknown)),
            JSONMember("not_asked", .array(scores.missing.map { .text($0) })),
            JSONMember("unrecorded", .integer(scores.unrecorded)),
        ])
    }

    // MARK: Greylisting

    private static func greylist(_ replay: DefenseReplay) -> [String] {
        let figures = replay.greylist
        var out = ["greylisting: \(figures.tally.total) of \(figures.attempts) recipients would change"]
        out += lines(figures.tally)
        if figures.messagesPutOff > 0 {
            out += [
                "  \(figures.messagesPutOff) messages would have been put off, for \(figures.delaySeconds) s in all at "
                    + "the least: if each came back as soon as it may",
                "  \(figures.onceOnly) senders of them were not seen again; \(figures.onceOnlyUnwanted) sent only what "
                    + "was refused or put in Junk",
            ]
        }
        if figures.neverCameBack > 0 {
            out.append(
                "  \(figures.neverCameBack) senders that were put off then never came back"
                    + (figures.mayComeBack > 0 ? "; \(figures.mayComeBack) of them still may" : ""))
        }
        if figures.messagesPutOff > 0 {
            out.append("  not known: who of those that were taken would not have come back")
        }
        if replay.greylistUnknown > 0 {
            out.append(
                "  \(replay.greylistUnknown) not known: greylist_skip_score looks at lists that were not asked then")
        }
        if replay.greylistUnrecorded > 0 {
            out.append("  \(replay.greylistUnrecorded) not known: put off by an earlier version, without its figures")
        }
        if figures.unfollowed > 0 {
            out.append("  \(figures.unfollowed) not looked at: of more senders than can be followed")
        }
        return out
    }

    private static func greylistValue(_ replay: DefenseReplay) -> JSONValue {
        let figures = replay.greylist
        return .object([
            JSONMember("recipients", .integer(figures.attempts)),
            JSONMember("changed", .integer(figures.tally.total)), JSONMember("changes", value(figures.tally)),
            JSONMember("messages_put_off", .integer(figures.messagesPutOff)),
            JSONMember("least_delay_seconds", .integer(figures.delaySeconds)),
            JSONMember("senders_not_seen_again", .integer(figures.onceOnly)),
            JSONMember("senders_not_seen_again_unwanted", .integer(figures.onceOnlyUnwanted)),
            JSONMember("senders_that_never_came_back", .integer(figures.neverCameBack)),
            JSONMember("senders_that_may_come_back", .integer(figures.mayComeBack)),
            JSONMember("unknown", .integer(replay.greylistUnknown)),
            JSONMember("unrecorded", .integer(replay.greylistUnrecorded)),
            JSONMember("unfollowed", .integer(figures.unfollowed)),
        ])
    }

    // MARK: Tarpit

    private static func tarpits(_ tarpits: DefenseReplay.Tarpits) -> [String] {
        var out = [
            "tarpit: \(tarpits.failures) failures in \(tarpits.sessions) sessions were held for \(tarpits.oldSeconds) s, "
                + "would have been for \(tarpits.newSeconds) s",
            "  sessions that would have been held less: \(tarpits.shorter), more: \(tarpits.longer)",
        ]
        out += tarpits.examples.map(line)
        if tarpits.unrecorded > 0 {
            out.append("  \(tarpits.unrecorded) not known: recorded without the rules of their domain")
        }
        return out
    }

    private static func value(_ tarpits: DefenseReplay.Tarpits) -> JSONValue {
        .object([
            JSONMember("sessions", .integer(tarpits.sessions)), JSONMember("failures", .integer(tarpits.failures)),
            JSONMember("old_seconds", .integer(tarpits.oldSeconds)),
            JSONMember("new_seconds", .integer(tarpits.newSeconds)),
            JSONMember("shorter", .integer(tarpits.shorter)), JSONMember("longer", .integer(tarpits.longer)),
            JSONMember("examples", .array(tarpits.examples.map(value))),
            JSONMember("unrecorded", .integer(tarpits.unrecorded)),
        ])
    }
}
