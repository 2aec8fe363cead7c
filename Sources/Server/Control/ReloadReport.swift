import Base

/// What a reload did: the keys that changed, and which of them took effect.
package struct ReloadReport: Sendable, Equatable {
    /// In force now.
    package var applied: [String] = []
    /// Read and checked, but in force only after a restart; the server goes on with what it was started with.
    package var waiting: [String] = []
    /// What of the applied ones is not all it could be before a restart, in a sentence each.
    package var notes: [String] = []
    /// Why the new configuration was refused and the old one stays; nil: it was not.
    package var problem: String?
    package var status = ExitStatus.success

    package init(_ changes: [(key: String, reloadable: Bool)]) {
        applied = changes.filter(\.reloadable).map(\.key)
        waiting = changes.filter { !$0.reloadable }.map(\.key)
    }

    /// `status` nil: the configuration is at fault.
    package init(refused problem: String, status: Int32? = nil) {
        self.problem = problem
        self.status = status ?? ExitStatus.configuration
    }

    package func answer(_ format: ControlFormat) -> ControlAnswer {
        if let problem { return .failed("\(problem)\nthe old configuration stays in force", status) }
        switch format {
        case .text: return ControlAnswer(output: Array(text.utf8), status: status)
        case .json:
            var members = [
                JSONMember("applied", .array(applied.map { .text($0) })),
                JSONMember("need_restart", .array(waiting.map { .text($0) })),
            ]
            if !notes.isEmpty { members.append(JSONMember("notes", .array(notes.map { .text($0) }))) }
            return ControlAnswer(output: JSONValue.object(members).bytes + [ASCII.lf], status: status)
        }
    }

    /// Filters are asked over connections of their own, for which there is room as it was set aside at the start.
    mutating func note(filters: Int, atStart: Int) {
        guard filters > atStart else { return }
        notes.append(
            "smtp.milters: \(filters) filters for one listener, connections were set aside for \(atStart) at the start: "
                + "with every session in use some find none free (smtp.milters on_failure decides then) until a restart"
        )
    }

    /// Parts of the server that take nothing any more.
    mutating func note(deaf parts: [String]) {
        guard !parts.isEmpty else { return }
        notes.append("not reached: \(parts.joined(separator: ", ")); they go on as they were until a restart")
        status = ExitStatus.temporary
    }

    private var text: String {
        var out = ""
        for key in applied { out += "in force:      \(key)\n" }
        for key in waiting { out += "needs restart: \(key)\n" }
        for note in notes { out += "note:          \(note)\n" }
        return out.isEmpty ? "reloaded; no setting has changed\n" : "reloaded\n" + out
    }
}
