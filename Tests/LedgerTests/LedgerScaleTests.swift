import Base
import Foundation
import Handoff
import Ledger
import Protocols
import Testing

/// Makes a big ledger to measure on: `MARTLET_LEDGER_SCALE=<folder>:<records>` with `swift test --filter LedgerScale`.
/// `<folder>` is the `ledger` folder of a store; `martlet explain` of the ids printed can then be timed.
@Suite struct LedgerScaleTests {
    private static let request: (path: String, records: Int)? = {
        let text = ProcessInfo.processInfo.environment["MARTLET_LEDGER_SCALE"] ?? ""
        let parts = text.split(separator: ":")
        guard parts.count == 2, let records = Int(parts[1]) else { return nil }
        return (String(parts[0]), records)
    }()

    @Test(.enabled(if: request != nil))
    func aBigLedgerIsSearchedByItsIndex() throws {
        guard let (path, records) = Self.request else { return }
        let clock = SystemTime()
        var limits = LedgerLimits(octets: 1 << 40, age: 1 << 40)
        limits.segmentOctets = 64 << 20
        let kinds = Self.templates
        let first = clock.wall().microseconds / 1_000 - Int64(records) * 10
        let writer = try LedgerWriter.open(path, limits)
        for n in 0..<records {
            var record = kinds[n % kinds.count]
            let id = (first + Int64(n) * 10) << 21 | Int64(n & 0xFFFF)
            Self.patch(&record, 1, id)
            Self.patch(&record, 9, (first + Int64(n) * 10) * 1_000)
            writer.record(record)
            // No faster than the thread writes: nothing is to be dropped.
            if n % 2_000 == 1_999 { usleep(30_000) }
        }
        writer.stop()
        let reader = LedgerReader(path: path)
        var worst = 0.0
        for n in stride(from: 0, to: records, by: max(1, records / 100)) {
            let id = MessageID(rawValue: (first + Int64(n) * 10) << 21 | Int64(n & 0xFFFF))
            let began = clock.monotonic()
            let found = reader.records(of: id)
            worst = max(worst, clock.monotonic().seconds(since: began))
            #expect(found.count == 1)
            if n % (max(1, records / 100) * 25) == 0 { print("id \(String(decoding: id.text, as: UTF8.self))") }
        }
        print("slowest of 100 look-ups: \(worst * 1_000) ms")
        let record = Situation(dmarc: "v=DMARC1; p=quarantine").record()
        let began = clock.monotonic()
        var octets = 0
        for _ in 0..<10_000 { octets += LedgerRecord.decision(record).encoded().count }
        print("\(clock.monotonic().seconds(since: began) * 100) µs to encode \(octets / 10_000) octets")
    }

    private static func patch(_ record: inout [UInt8], _ at: Int, _ value: Int64) {
        for i in 0..<8 { record[at + i] = UInt8(truncatingIfNeeded: value >> Int64(i * 8)) }
    }

    private static var templates: [[UInt8]] {
        (0..<50).map { n in
            var situation = Situation(dmarc: "v=DMARC1; p=\(n % 2 == 0 ? "reject" : "none"); rua=mailto:a@example.org")
            situation.sign("example.org", n % 3 == 0 ? .pass : .fail, reason: "body hash mismatch")
            return situation.record(n).encoded()
        }
    }
}
