import Base
import Foundation
import Ledger
import Protocols
import Synchronization
import TestKit
import Testing

/// Counts what the ledger says.
private final class Tally: LedgerObserver {
    let written = Atomic<Int>(0)
    let lost = Atomic<Int>(0)
    let segments = Atomic<Int>(0)
    let octets = Atomic<Int>(0)

    func wrote(records: Int, octets: Int) { written.add(records, ordering: .relaxed) }
    func dropped(records: Int) { lost.add(records, ordering: .relaxed) }
    func holds(segments: Int, octets: Int) {
        self.segments.store(segments, ordering: .relaxed)
        self.octets.store(octets, ordering: .relaxed)
    }
}

@Suite("The ledger's files")
struct LedgerFilesTests {
    private static let start: Int64 = 1_795_000_000_000_000

    /// The id of the `n`th message, one a second.
    private static func id(_ n: Int) -> MessageID {
        MessageID(rawValue: (start / 1_000 + Int64(n) * 1_000) << 21 | Int64(n & 0xFFFF))
    }

    private static func connection(_ n: Int) -> ConnectionRecord {
        var record = ConnectionRecord(
            id: id(n), time: WallTime(microseconds: start + Int64(n) * 1_000_000),
            session: SessionFacts(listener: Array("mx".utf8), peer: IPAddress(v4: 192, 0, 2, 1)),
            reason: Array("reason \(n)".utf8))
        record.commands = n
        return record
    }

    private static func attempt(of n: Int, later seconds: Int) -> AttemptRecord {
        AttemptRecord(
            message: id(n), began: WallTime(microseconds: start + Int64(n + seconds) * 1_000_000),
            elapsedMicroseconds: UInt64(seconds), destination: Array("example.org".utf8), recipients: [],
            host: Array("mx\(n).example.org".utf8))
    }

    private static func clock(_ n: Int) -> @Sendable () -> WallTime {
        { WallTime(microseconds: start + Int64(n) * 1_000_000) }
    }

    private func write(
        _ folder: LedgerFolderFixture, _ range: Range<Int>, _ limits: LedgerLimits = LedgerLimits(),
        observer: (any LedgerObserver)? = nil
    ) throws {
        let writer = try LedgerWriter.open(
            folder.path, limits, observer: observer, now: Self.clock(range.lowerBound))
        for n in range { writer.record(Self.connection(n).encoded()) }
        writer.stop()
    }

    private func reasons(_ folder: LedgerFolderFixture, _ id: MessageID) -> [String] {
        LedgerReader(path: folder.path).records(of: id).map {
            switch $0 {
            case .connection(let record): String(decoding: record.reason, as: UTF8.self)
            case .attempt(let record): String(decoding: record.host, as: UTF8.self)
            case .decision: "decision"
            }
        }
    }

    private func all(_ folder: LedgerFolderFixture, since: Int = 0) -> [MessageID] {
        var out: [MessageID] = []
        LedgerReader(path: folder.path)
            .scan(since: WallTime(microseconds: Self.start + Int64(since) * 1_000_000)) { record in
                out.append(record.id)
                return true
            }
        return out
    }

    private var small: LedgerLimits {
        var limits = LedgerLimits()
        limits.segmentOctets = 8_192
        return limits
    }

    @Test func whatWasWrittenIsFound() throws {
        let folder = LedgerFolderFixture()
        let tally = Tally()
        try write(folder, 0..<100, observer: tally)
        #expect(tally.written.load(ordering: .relaxed) == 100)
        #expect(tally.lost.load(ordering: .relaxed) == 0)
        #expect(tally.segments.load(ordering: .relaxed) == 1)
        #expect(folder.names(".log").count == 1)
        #expect(reasons(folder, Self.id(0)) == ["reason 0"])
        #expect(reasons(folder, Self.id(99)) == ["reason 99"])
        #expect(reasons(folder, Self.id(100)) == [])
        #expect(all(folder) == (0..<100).map(Self.id))
        #expect(all(folder, since: 90) == (90..<100).map(Self.id))
    }

    @Test func smallerBoundsHoldAtOnce() throws {
        let folder = LedgerFolderFixture()
        let tally = Tally()
        let writer = try LedgerWriter.open(folder.path, small, observer: tally, now: Self.clock(0))
        for n in 0..<1_000 { writer.record(Self.connection(n).encoded()) }
        var tighter = small
        tighter.octets = 24_576
        writer.configure(tighter)
        writer.record(Self.connection(1_000).encoded())
        writer.stop()
        #expect(tally.lost.load(ordering: .relaxed) == 0)
        #expect(folder.names(".log").count <= 8)
        #expect(reasons(folder, Self.id(0)) == [] && reasons(folder, Self.id(1_000)) == ["reason 1000"])
    }

    @Test func attemptsAreFoundWithTheirMessageInEverySegment() throws {
        let folder = LedgerFolderFixture()
        let writer = try LedgerWriter.open(folder.path, small, now: Self.clock(0))
        for n in 0..<1_000 {
            writer.record(Self.connection(n).encoded())
            if n >= 500 { writer.record(Self.attempt(of: n - 500, later: 500).encoded()) }
        }
        writer.stop()
        #expect(folder.names(".log").count > 5)
        #expect(folder.names(".idx").count == folder.names(".log").count)
        for n in 0..<500 { #expect(reasons(folder, Self.id(n)) == ["reason \(n)", "mx\(n).example.org"]) }
        for n in 500..<1_000 { #expect(reasons(folder, Self.id(n)) == ["reason \(n)"]) }
    }

    @Test func aReaderSeesWhatIsWrittenMeanwhile() throws {
        let folder = LedgerFolderFixture()
        let tally = Tally()
        let writer = try LedgerWriter.open(folder.path, small, observer: tally, now: Self.clock(0))
        for n in 0..<300 { writer.record(Self.connection(n).encoded()) }
        while tally.written.load(ordering: .relaxed) < 300 { usleep(1_000) }
        #expect(reasons(folder, Self.id(299)) == ["reason 299"])
        #expect(reasons(folder, Self.id(1)) == ["reason 1"])
        #expect(all(folder).count == 300)
        writer.stop()
    }

    @Test(arguments: [1, 5, 12, 30])
    func aTornEndIsCutAndWritingGoesOn(cut: Int) throws {
        let folder = LedgerFolderFixture()
        try write(folder, 0..<50)
        let name = try #require(folder.names(".log").first)
        folder.write(name, folder.read(name).dropLast(cut))
        // Before a writer comes: all but the torn one, through an index that names it.
        #expect(all(folder).count == 49)
        #expect(reasons(folder, Self.id(49)) == [])
        #expect(reasons(folder, Self.id(48)) == ["reason 48"])
        try write(folder, 50..<60)
        #expect(all(folder) == (Array(0..<49) + Array(50..<60)).map(Self.id))
        #expect(reasons(folder, Self.id(55)) == ["reason 55"])
        #expect(folder.names(".log").count == 1)
    }

    @Test func rubbishAtTheEndIsCut() throws {
        let folder = LedgerFolderFixture()
        try write(folder, 0..<10)
        let name = try #require(folder.names(".log").first)
        folder.write(name, folder.read(name) + Array("MLR1".utf8) + [UInt8](repeating: 0xFF, count: 40))
        try write(folder, 10..<20)
        #expect(all(folder) == (0..<20).map(Self.id))
    }

    @Test func damageInTheMiddleCostsThatRecordOnly() throws {
        let folder = LedgerFolderFixture()
        try write(folder, 0..<50)
        let name = try #require(folder.names(".log").first)
        var bytes = folder.read(name)
        bytes[bytes.count / 2] ^= 0xFF
        folder.write(name, bytes)
        #expect(all(folder).count == 49)
        let lost = (0..<50).filter { reasons(folder, Self.id($0)).isEmpty }
        #expect(lost.count == 1)
        try write(folder, 50..<51)
        #expect(all(folder).count == 50)
    }

    @Test func aLostOrTornIndexIsRebuilt() throws {
        let folder = LedgerFolderFixture()
        try write(folder, 0..<1_000, small)
        let names = folder.names(".idx")
        #expect(names.count > 3)
        try FileManager.default.removeItem(atPath: folder.path + "/" + names[0])
        folder.write(names[1], folder.read(names[1]).dropLast(7))
        folder.write(names[2], [UInt8](repeating: 0x55, count: 500))
        folder.write(names[3], [])
        for n in stride(from: 0, to: 1_000, by: 31) { #expect(reasons(folder, Self.id(n)) == ["reason \(n)"]) }
        try write(folder, 1_000..<1_001, small)
        #expect(folder.names(".idx").count == folder.names(".log").count)
        // Rebuilt: as long as the ones that were whole.
        #expect(folder.read(names[0]).count > 48)
        for n in stride(from: 0, through: 1_000, by: 20) { #expect(reasons(folder, Self.id(n)) == ["reason \(n)"]) }
    }

    @Test func anIndexThatLiesIsNotBelieved() throws {
        let folder = LedgerFolderFixture()
        try write(folder, 0..<1_000, small)
        let name = try #require(folder.names(".idx").first)
        var bytes = folder.read(name)
        for i in stride(from: bytes.count - 8, to: bytes.count - 800, by: -16) { bytes[i] ^= 0x21 }
        folder.write(name, bytes)
        for n in stride(from: 0, to: 300, by: 7) { #expect(reasons(folder, Self.id(n)) == ["reason \(n)"]) }
    }

    @Test func theOldestSegmentsGoWhenThereIsTooMuch() throws {
        let folder = LedgerFolderFixture()
        var limits = LedgerLimits(octets: 64_000, age: 86_400)
        limits.segmentOctets = 8_000
        let tally = Tally()
        try write(folder, 0..<3_000, limits, observer: tally)
        let size = (folder.names(".log") + folder.names(".idx")).reduce(0) { $0 + folder.read($1).count }
        #expect(size <= 64_000)
        #expect(size > 32_000)
        #expect(tally.octets.load(ordering: .relaxed) == size)
        #expect(tally.segments.load(ordering: .relaxed) == folder.names(".log").count)
        #expect(reasons(folder, Self.id(0)) == [])
        #expect(reasons(folder, Self.id(2_999)) == ["reason 2999"])
        let kept = all(folder)
        #expect(kept == (3_000 - kept.count..<3_000).map(Self.id))
    }

    @Test func whatIsTooOldGoes() throws {
        let folder = LedgerFolderFixture()
        var limits = LedgerLimits(octets: 1 << 30, age: 2_000)
        limits.segmentOctets = 8_000
        try write(folder, 0..<1_000, limits)
        #expect(reasons(folder, Self.id(0)) == ["reason 0"])
        // Opened an hour later: all of it but what was written now is older than allowed.
        let writer = try LedgerWriter.open(folder.path, limits, now: Self.clock(4_600))
        writer.record(Self.connection(4_600).encoded())
        writer.stop()
        #expect(all(folder) == [Self.id(4_600)])
    }

    @Test func aFullInboxDropsAndCounts() throws {
        let folder = LedgerFolderFixture()
        var limits = LedgerLimits()
        limits.inbox = 16
        let tally = Tally()
        let writer = try LedgerWriter.open(folder.path, limits, observer: tally, now: Self.clock(0))
        let record = Self.connection(1).encoded()
        for _ in 0..<200_000 { writer.record(record) }
        writer.stop()
        let written = tally.written.load(ordering: .relaxed)
        let lost = tally.lost.load(ordering: .relaxed)
        #expect(written + lost == 200_000)
        #expect(lost > 0)
        #expect(all(folder).count == written)
    }

    @Test func aDiskThatIsFullDropsAndGoesOn() throws {
        let folder = LedgerFolderFixture()
        let tally = Tally()
        // A folder that is taken away behaves like a disk without room for a new segment.
        try FileManager.default.removeItem(atPath: folder.path)
        let writer = try LedgerWriter.open(folder.path, small, observer: tally, now: Self.clock(0))
        try FileManager.default.removeItem(atPath: folder.path)
        for n in 0..<10 { writer.record(Self.connection(n).encoded()) }
        while tally.written.load(ordering: .relaxed) + tally.lost.load(ordering: .relaxed) < 10 { usleep(1_000) }
        try FileManager.default.createDirectory(atPath: folder.path, withIntermediateDirectories: true)
        writer.stop()
        #expect(tally.lost.load(ordering: .relaxed) == 10)
    }

    @Test func aScanGoesOnWhereItStopped() throws {
        let folder = LedgerFolderFixture()
        try write(folder, 0..<1_000, small)
        let reader = LedgerReader(path: folder.path)
        var seen: [MessageID] = []
        var cursor: LedgerCursor?
        var rounds = 0
        repeat {
            cursor = reader.scan(from: cursor, since: WallTime(microseconds: 0), octetsMax: 3_000) { record in
                seen.append(record.id)
                return true
            }
            rounds += 1
        } while cursor != nil && rounds < 10_000
        #expect(seen == (0..<1_000).map(Self.id))
        #expect(rounds > 10)
    }

    @Test func anEmptyOrMissingFolderHoldsNothing() {
        let folder = LedgerFolderFixture()
        #expect(all(folder).isEmpty)
        #expect(LedgerReader(path: folder.path + "/not-there").records(of: Self.id(1)).isEmpty)
    }

    @Test func aPathThatCannotBeMadeIsAnError() {
        #expect(throws: LedgerError.self) { try LedgerWriter.open("/proc/no/such/folder") }
    }
}
