package import Base
import Policy
import Protocols

/// What the ledger knows of one id, as a person wants it: what happened, why, and what would fix it. Pure; everything that
/// peers said is made safe for a terminal here.
package struct Explanation: Sendable, Hashable {
    /// One line: what became of it, and when.
    package var summary: String
    package var sections: [Section] = []
    /// What somebody could do, most helpful first; empty when nothing failed.
    package var remedies: [String] = []

    package struct Section: Sendable, Hashable {
        package let title: String
        package let lines: [String]
    }

    /// A recipient that still waits, as the queue knows it.
    package struct Pending: Sendable, Hashable {
        package var recipient: [UInt8]
        package var attempts: Int
        package var next: WallTime
        package var reason: [UInt8]

        package init(recipient: [UInt8], attempts: Int, next: WallTime, reason: [UInt8] = []) {
            self.recipient = recipient
            self.attempts = attempts
            self.next = next
            self.reason = reason
        }
    }

    /// `records` are all of one id. nil: there are none.
    package static func make(_ records: [LedgerRecord], pending: [Pending] = []) -> Explanation? {
        guard let first = records.first else { return nil }
        var out = Explanation(
            summary: "\(first.id.shownText): delivery attempts; the decision is not recorded any more")
        for record in records {
            if case .decision(let decision) = record { out.add(decision) }
        }
        // The last one has it all.
        if let connection = records.lastConnection { out.add(connection) }
        let attempts = records.compactMap { record in
            if case .attempt(let attempt) = record { attempt } else { nil }
        }
        out.add(attempts, pending)
        return out
    }

    package var lines: [String] {
        var out = [summary]
        for section in sections where !section.lines.isEmpty {
            out.append("")
            out.append(section.title)
            out += section.lines.map { "  " + $0 }
        }
        if !remedies.isEmpty {
            out += ["", "What would help"]
            out += remedies.map { "  - " + $0 }
        }
        return out
    }

    mutating func add(_ title: String, _ lines: [String]) { sections.append(Section(title: title, lines: lines)) }

    // MARK: Sessions

    private mutating func add(_ record: ConnectionRecord) {
        let peer = record.session.peer?.description ?? "a client"
        let time = ShownText.utc(record.time)
        let decisive = DefenseText.decisive(record.events)
        if record.connections != 1 {
            let from = record.network.isEmpty ? "several networks" : record.network.shownText
            summary =
                "\(record.id.shownText): \(record.connections) connections of \(from) refused from \(time) on, within "
                + ShownText.duration(record.elapsedMicroseconds)
        } else if record.commands == 0, decisive?.effect == .closed || decisive?.effect == .refused {
            summary = "\(record.id.shownText): connection of \(peer) refused at \(time), before its first command"
        } else if record.isOpen {
            summary = "\(record.id.shownText): session of \(peer), still open at \(time)"
        } else {
            summary = "\(record.id.shownText): session of \(peer) ended at \(time), something was refused in it"
        }
        if let decisive { summary += ", \(DefenseText.summary(decisive))" }
        var lines = ["reason: \(record.reason.shownText)"]
        if let reply = record.decidingReply { lines.append("reply: \(ShownText.reply(reply))") }
        lines.append(
            "\(record.commands) commands, \(record.rejectedCommands) of them rejected, "
                + "\(record.refusedRecipients) recipients refused, \(ShownText.duration(record.elapsedMicroseconds))")
        add("What happened", lines)
        var events = DefenseText.lines(record.events)
        if record.eventCount > record.events.count {
            events.append("\(record.events.count) of \(record.eventCount) shown")
        }
        add("Refusals and defence", events)
        add("Who", Self.who(record.session) + (record.iprev.map { [CheckText.iprev($0)] } ?? []))
        remedies += DefenseRemedies(record).of(record.events)
        if Self.isClientsFault(record) {
            remedies.append("the replies that the client got say what it did wrong; the log has them under this id")
        }
    }

    /// Whether it did anything wrong by itself, as far as is known.
    private static func isClientsFault(_ record: ConnectionRecord) -> Bool {
        guard record.rejectedCommands > 0 || record.refusedRecipients > 0 else { return false }
        let losses = record.events.indices.filter { record.events[$0].effect.isLoss }
        return losses.isEmpty
            || losses.contains {
                let event = record.events[$0]
                // Silence is no mistake that a reply explains.
                let isSilence = event.reply?.enhanced == EnhancedStatus(4, 4, 2)
                return event.control.isPlain && event.control != .store && !isSilence
                    && !DefenseRemedies.follows($0, in: record.events)
            }
    }

    static func who(_ session: SessionFacts) -> [String] {
        var out = ["client: \(session.peer?.description ?? "local"), listener \(session.listener.shownText)"]
        out.append("helo: \(session.helo.isEmpty ? "never said" : session.helo.shownText)")
        if session.tlsVersion.isEmpty {
            out.append("tls: none, in the clear")
        } else {
            out.append("tls: \(session.tlsVersion.shownText) \(session.tlsCipher.shownText)")
        }
        if !session.user.isEmpty { out.append("auth: \(session.user.shownText)") }
        return out
    }
}

extension [LedgerRecord] {
    /// What was written last of a session or of connections.
    package var lastConnection: ConnectionRecord? {
        for case .connection(let record) in reversed() { return record }
        return nil
    }
}
