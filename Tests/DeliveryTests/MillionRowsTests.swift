import Base
import Foundation
import Handoff
import Protocols
import Store
import StoreSQLite
import Synchronization
import TestKit
import Testing

@testable import Delivery

/// What a queue of a million rows costs; prints, asserts only what was counted. Runs with `MARTLET_MILLION=1` in the
/// environment, on the folder `MARTLET_MILLION_FOLDER` (made when it is not there, and kept) or a temporary one.
@Suite(.enabled(if: ProcessInfo.processInfo.environment["MARTLET_MILLION"] != nil))
struct MillionRowsTests {
    private static let rows = 1_000_000
    private static let sites = 10_000

    private final class Observer: SchedulerObserver {
        let started = Waiter<[Int]>()
        func started(rows: Int, sites: Int, takenBack: Int, seconds: Double) {
            print("started: \(rows) rows, \(sites) destinations, \(takenBack) taken back, \(seconds) s")
            started.fulfil([rows, sites, takenBack])
        }
    }

    private func b(_ text: String) -> [UInt8] { Array(text.utf8) }

    private func timed<T>(_ what: String, _ body: () throws -> T) rethrows -> T {
        let start = SystemTime().monotonic()
        let value = try body()
        print("\(what): \(SystemTime().monotonic().seconds(since: start)) s")
        return value
    }

    /// A million rows that are due in an hour.
    private func fill(_ path: String) throws {
        let store = try DirectStore(path: path)
        let later = WallTime(seconds: SystemTime().wall().seconds + 3_600)
        var ids = MessageIDSource(loop: 0)
        let trace = b("Received: by x\r\n")
        let body = [UInt8](repeating: 0x61, count: 200)
        for start in stride(from: 0, to: Self.rows, by: 10_000) {
            try store.write { (s) throws(StoreError) in
                for n in start..<start + 10_000 {
                    var request = AcceptRequest(
                        id: ids.next(at: SystemTime().wall()), received: SystemTime().wall(), sender: b("s@x.example"),
                        trace: trace, body: .inline(body),
                        remote: [RemoteRecipient(address: b("user\(n)@site\(n % Self.sites).example"))])
                    request.leasedTo = n % 200 == 0 ? LeaseOwner(rawValue: 5) : nil
                    request.leaseUntil = later
                    try s.accept(request)
                    if request.leasedTo == nil {
                        // Deferred, as most of a long queue is.
                        let row = QueueRowID(message: request.id, recipient: 0)
                        let lease = Lease(row: row, generation: 0, until: later)
                        _ = try s.settle([
                            Outcome(
                                lease: lease, result: .deferred(until: later, status: b("4.4.1 connection refused")))
                        ])
                    }
                }
            }
        }
    }

    @Test func startSummaryAndAcceptance() throws {
        let given = ProcessInfo.processInfo.environment["MARTLET_MILLION_FOLDER"]
        let path = given ?? NSTemporaryDirectory() + "martlet-million-" + UUID().uuidString
        defer { if given == nil { try? FileManager.default.removeItem(atPath: path) } }
        if !FileManager.default.fileExists(atPath: path + "/martlet.db") { try timed("fill") { try fill(path) } }
        let store = try timed("open") { try SQLiteStore.open(path: path) }
        store.start()
        defer { store.stop() }
        let client = StoreClient(store.gateway)
        let scheduler = QueueScheduler(
            owner: LeaseOwner(rawValue: 99), gateway: store.gateway, configuration: SchedulerConfiguration())
        let rules = OutcomeRules(
            OutcomeRules.Times(maxAgeSeconds: 86_400, delayWarningSeconds: 0) { _, _ in 60 },
            notice: { _, _ in nil }, remember: { _ in })
        let observer = Observer()
        let counts = timed("start") {
            scheduler.start(rules: rules, workers: [{ _ in true }], observer: observer)
            return observer.started.wait()
        }
        #expect(counts[0] >= Self.rows && counts[1] == Self.sites)
        let now = SystemTime().wall()
        let sites = try timed("summary") { try client.read { (s) throws(StoreError) in try s.queueSites(at: now) } }
        #expect(sites.count == Self.sites)
        let all = try timed("counts") { try client.read { (s) throws(StoreError) in try s.queueCounts(at: now) } }
        #expect(all.total >= Self.rows)
        let page = try timed("list of nothing") {
            try client.read { (s) throws(StoreError) in
                var filter = QueueFilter()
                filter.status = b("5.9.9")
                return try s.queued(filter, after: nil, limit: 100, scanMax: 50_000, at: now)
            }
        }
        #expect(page.rows.isEmpty)
        timed("stop") { scheduler.stop() }
    }
}
