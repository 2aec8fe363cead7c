// What filters changed, as one group for each change. Kinds are numbered by their place here: only append.

extension FilterChange.Kind: LedgerCoded {
    package static let ledgerCodes: [FilterChange.Kind] = [
        .fieldAdded, .fieldInserted, .fieldChanged, .fieldRemoved, .bodyReplaced, .recipientAdded, .recipientRemoved,
        .senderChanged, .quarantined, .notDone,
    ]
}

extension LedgerEncoder {
    /// The first `FilterChange.changesMax` of them.
    mutating func changes(_ tag: Int, _ changes: [FilterChange]) {
        for change in changes.prefix(FilterChange.changesMax) {
            group(tag) { e in
                e.text(1, change.filter)
                e.code(2, change.kind)
                e.text(3, change.name)
                e.number(4, change.index)
                e.text(5, change.before)
                e.text(6, change.after)
            }
        }
    }
}

extension LedgerDecoder {
    /// nil: a kind that this version does not know.
    mutating func change() -> FilterChange? {
        var out = FilterChange(filter: [], kind: .notDone)
        var kind: FilterChange.Kind?
        while let field = next() {
            switch field.tag {
            case 1: out.filter = text(field)
            case 2: kind = FilterChange.Kind(code: field.number)
            case 3: out.name = text(field)
            case 4: out.index = field.int
            case 5: out.before = text(field)
            case 6: out.after = text(field)
            default: break
            }
        }
        guard let kind else { return nil }
        out.kind = kind
        return out
    }
}
