import Policy

/// The rows that matter most, of however many there are: never more than twice the limit are kept.
struct TopRows {
    private let limit: Int
    private let kind: ClientRow.Kind
    private var rows: [ClientRow] = []

    init(limit: Int, kind: ClientRow.Kind) {
        self.limit = max(0, limit)
        self.kind = kind
    }

    mutating func add(_ row: ClientRow) {
        rows.append(row)
        if rows.count >= limit * 2 + 64 { cut() }
    }

    var sorted: [ClientRow] {
        var all = self
        all.cut()
        return all.rows
    }

    private mutating func cut() {
        let kind = kind
        rows.sort { Self.isBefore($0, $1, kind) }
        rows.removeLast(max(0, rows.count - limit))
    }

    private static func isBefore(_ a: ClientRow, _ b: ClientRow, _ kind: ClientRow.Kind) -> Bool {
        switch kind {
        case .limits:
            if a.refused.total != b.refused.total { return a.refused.total > b.refused.total }
            if a.open != b.open { return a.open > b.open }
            if a.spent.total != b.spent.total { return a.spent.total > b.spent.total }
        case .tarpit:
            if a.slowedSeconds > 0 || b.slowedSeconds > 0, (a.slowedSeconds > 0) != (b.slowedSeconds > 0) {
                return a.slowedSeconds > 0
            }
            if a.failures != b.failures { return a.failures > b.failures }
        }
        return a.idleSeconds < b.idleSeconds
    }
}
