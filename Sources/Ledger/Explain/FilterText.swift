import Base

/// What filters changed, line by line.
enum FilterText {
    static func lines(_ record: DecisionRecord) -> [String] {
        var out = record.changes.map(line)
        let more = record.changeCount - record.changes.count
        if more > 0 { out.append("and \(more) more changes") }
        return out
    }

    private static func line(_ change: FilterChange) -> String {
        let name = change.name.shownText
        let after = change.after.shownText
        let which = change.index > 1 ? " (number \(change.index))" : ""
        let what =
            switch change.kind {
            case .fieldAdded: "added \(name): \(after)"
            case .fieldInserted: "inserted as field \(max(1, change.index)) \(name): \(after)"
            case .fieldChanged: "changed \(name)\(which) from: \(change.before.shownText) to: \(after)"
            case .fieldRemoved: "removed \(name)\(which): \(change.before.shownText)"
            case .bodyReplaced: "replaced the body, \(after)"
            case .recipientAdded: "added recipient \(ShownText.path(change.name))" + parameters(after)
            case .recipientRemoved: "removed recipient \(ShownText.path(change.name))"
            case .senderChanged:
                "changed the sender from \(ShownText.path(change.before)) to \(ShownText.path(change.name))"
                    + parameters(after)
            case .quarantined: "asked for quarantine: \(after)"
            case .notDone: "wanted something that cannot be done" + (name.isEmpty ? "" : ": \(name)\(which)")
            }
        return "\(change.filter.shownText) \(what)"
    }

    private static func parameters(_ text: String) -> String { text.isEmpty ? "" : " \(text)" }
}
