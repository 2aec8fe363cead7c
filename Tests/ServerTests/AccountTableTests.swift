import Base
import Policy
import Testing

@testable import Server

@Suite struct AccountTableTests {
    private static func at(_ seconds: UInt64) -> Instant { Instant(nanoseconds: seconds * 1_000_000_000) }
    private static func name(_ text: String) -> [UInt8] { Array(text.utf8) }

    private static func limits(_ messages: Int, _ recipients: Int = 0, exempt: [String] = []) -> AccountLimits {
        var out = AccountLimits()
        out.messagesPerHour = messages
        out.recipientsPerHour = recipients
        out.exempt = Set(exempt.map(name))
        return out
    }

    @Test func anHoursWorthAndThenAsItComesBack() {
        let table = AccountTable(Self.limits(3, 6))
        let amy = Self.name("amy@example.org")
        for _ in 0..<3 { #expect(table.message(amy, now: Self.at(10)) == .taken) }
        #expect(table.message(amy, now: Self.at(10)) == .tooMany(seconds: 1_200))
        #expect(table.message(amy, now: Self.at(1_209)) == .tooMany(seconds: 1))
        #expect(table.message(amy, now: Self.at(1_210)) == .taken)
        #expect(table.message(amy, now: Self.at(1_211)) == .tooMany(seconds: 1_199))
        for _ in 0..<6 { #expect(table.recipient(amy, now: Self.at(1_211)) == .taken) }
        #expect(table.recipient(amy, now: Self.at(1_211)) == .tooMany(seconds: 600))
        #expect(table.message(Self.name("bob@example.org"), now: Self.at(1_211)) == .taken, "nobody else's affair")
    }

    @Test func zeroAndExemptAreNotCounted() {
        let table = AccountTable(Self.limits(1, exempt: ["news@example.org"]))
        for _ in 0..<100 {
            #expect(table.message(Self.name("news@example.org"), now: Self.at(1)) == .taken)
            #expect(table.recipient(Self.name("amy@example.org"), now: Self.at(1)) == .taken)
        }
        #expect(table.rows(now: Self.at(1)).isEmpty)
        table.publish(Self.limits(0))
        for _ in 0..<100 { #expect(table.message(Self.name("amy@example.org"), now: Self.at(1)) == .taken) }
    }

    @Test func aReloadHoldsForWhatWasCounted() {
        let table = AccountTable(Self.limits(2))
        let amy = Self.name("amy@example.org")
        #expect(table.message(amy, now: Self.at(1)) == .taken)
        #expect(table.message(amy, now: Self.at(1)) == .taken)
        #expect(table.message(amy, now: Self.at(1)) != .taken)
        table.publish(Self.limits(4))
        #expect(table.message(amy, now: Self.at(1800)) == .taken)
    }

    @Test func whatOperatorsSeeAndRelease() {
        let table = AccountTable(Self.limits(2, 5))
        let (amy, bob, eve) = (Self.name("amy@e.example"), Self.name("bob@e.example"), Self.name("eve@e.example"))
        for _ in 0..<4 { _ = table.message(eve, now: Self.at(1)) }
        _ = table.message(amy, now: Self.at(1))
        for _ in 0..<3 { _ = table.recipient(bob, now: Self.at(1)) }
        #expect(
            table.rows(now: Self.at(1)) == [
                AccountRow(account: eve, messages: 2, recipients: 0, refused: 2),
                AccountRow(account: amy, messages: 1, recipients: 0, refused: 0),
                AccountRow(account: bob, messages: 0, recipients: 3, refused: 0),
            ])
        // Who only sent is gone from the list when it has come back; who was refused stays.
        #expect(table.rows(now: Self.at(7_300)).map(\.account) == [eve])
        #expect(table.release(eve) == 1)
        #expect(table.release(eve) == 0)
        #expect(table.message(eve, now: Self.at(1)) == .taken)
        #expect(table.release(nil) == 3)
        #expect(table.rows(now: Self.at(1)).isEmpty)
    }

    /// Bounded, and nobody who is at a limit is forgotten for who is not.
    @Test func whoHasNothingUsedUpMakesRoom() {
        let table = AccountTable(Self.limits(3), accountsMax: 64)
        let eve = Self.name("eve@e.example")
        for i in 0..<1_000 { _ = table.message(Self.name("u\(i)@e.example"), now: Self.at(1)) }
        #expect(table.rows(now: Self.at(1)).count <= 64)
        for _ in 0..<4 { _ = table.message(eve, now: Self.at(4_000)) }
        // By then the others' hour is over: the newcomers take their places.
        for i in 0..<16 { _ = table.message(Self.name("v\(i)@e.example"), now: Self.at(4_001)) }
        #expect(table.rows(now: Self.at(4_001)).count <= 64)
        #expect(table.message(eve, now: Self.at(4_001)) != .taken)
        // Nor by any number that have something used up, but were not refused.
        for i in 0..<1_000 { _ = table.message(Self.name("w\(i)@e.example"), now: Self.at(4_002)) }
        #expect(table.rows(now: Self.at(4_002)).count <= 64)
        #expect(table.message(eve, now: Self.at(4_002)) != .taken)
    }
}
