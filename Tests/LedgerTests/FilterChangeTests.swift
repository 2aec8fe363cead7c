import Base
import Ledger
import Testing

/// What filters changed, in records and in words.
@Suite struct FilterChangeTests {
    private func change(
        _ kind: FilterChange.Kind, _ name: String = "", _ index: Int = 0, _ before: String = "", _ after: String = ""
    ) -> FilterChange {
        FilterChange(
            filter: Array("f".utf8), kind: kind, name: Array(name.utf8), index: index, before: Array(before.utf8),
            after: Array(after.utf8))
    }

    private func decision(_ changes: [FilterChange], count: Int = 0) throws -> DecisionRecord {
        var random = RandomRecords(seed: 7)
        var record = random.decision()
        record.changes = changes
        record.changeCount = count
        guard case .decision(let back) = try #require(LedgerRecord(record.encoded())) else {
            throw FilterChangeTestError.otherRecord
        }
        return back
    }

    @Test func eachIsTold() throws {
        let told: [(FilterChange, String)] = [
            (change(.fieldAdded, "X-A", 0, "", "1\n 2"), "f added X-A: 1 /  2"),
            (change(.fieldInserted, "X-B", 0, "", "b"), "f inserted as field 1 X-B: b"),
            (change(.fieldChanged, "Subject", 1, "old", "new"), "f changed Subject from: old to: new"),
            (change(.fieldRemoved, "Received", 3, "r"), "f removed Received (number 3): r"),
            (change(.bodyReplaced, "", 0, "", "12 octets"), "f replaced the body, 12 octets"),
            (change(.recipientAdded, "c@y", 0, "", "NOTIFY=NEVER"), "f added recipient <c@y> NOTIFY=NEVER"),
            (change(.recipientRemoved, "b@y"), "f removed recipient <b@y>"),
            (change(.senderChanged, "", 0, "a@x", "ENVID=E"), "f changed the sender from <a@x> to <> ENVID=E"),
            (change(.quarantined, "", 0, "", "bad"), "f asked for quarantine: bad"),
            (change(.notDone), "f wanted something that cannot be done"),
            (change(.notDone, "X-C", 2), "f wanted something that cannot be done: X-C (number 2)"),
        ]
        #expect(Set(told.map(\.0.kind)) == Set(FilterChange.Kind.allCases))
        let explanation = try #require(Explanation.make([.decision(try decision(told.map(\.0), count: 14))]))
        for (_, line) in told { #expect(explanation.lines.contains { $0.hasSuffix(line) }, "\(line)") }
        #expect(explanation.lines.contains { $0.hasSuffix("and 3 more changes") })
    }

    @Test func whatIsKeptIsBounded() throws {
        let long = String(repeating: "x", count: 5_000)
        let back = try decision(Array(repeating: change(.fieldChanged, long, 1, long, long), count: 200))
        #expect(back.changes.count == FilterChange.changesMax)
        #expect(back.changeCount == 200)
        let kept = try #require(back.changes.first)
        #expect([kept.name, kept.before, kept.after].allSatisfy { $0.count == FilterChange.textMax })
    }

    /// A peer's octets stay inside their line.
    @Test func wordsOfAPeerAreMadeSafe() throws {
        let record = try decision([change(.fieldChanged, "X", 1, "a\u{1B}[31m", "\u{7}")])
        let explanation = try #require(Explanation.make([.decision(record)]))
        #expect(!explanation.lines.contains { $0.utf8.contains { $0 < 0x20 } })
    }
}

private enum FilterChangeTestError: Error { case otherRecord }
