import Base
import Delivery
import Foundation
import Protocols
import Store
import StoreSQLite
import Synchronization
import Testing

@testable import Server

/// The queue's commands on a store of their own.
@Suite struct ControlQueueTests {
    private static let now = WallTime(seconds: 1_800_000_000)

    private static func b(_ text: String) -> [UInt8] { Array(text.utf8) }

    final class Told: Sendable {
        private let list = Mutex<[QueueChange]>([])
        var changes: [QueueChange] { list.withLock { $0 } }
        func add(_ change: QueueChange) { list.withLock { $0.append(change) } }
    }

    final class Fixture {
        let path = NSTemporaryDirectory() + "queue-\(UUID().uuidString.prefix(8))"
        let store: DirectStore
        var hooks: ControlHooks
        let told = Told()
        var output = ""
        var complaint = ""

        init(_ status: SchedulerStatus? = nil, notice: OutcomeRules.Notice? = nil) throws {
            store = try DirectStore(path: path)
            hooks = ControlHooks(
                reload: { _ in .failed("no") }, status: { [] }, hostname: { "mx.example" },
                now: { ControlQueueTests.now })
            hooks.queue.status = { status }
            hooks.queue.notice = notice
            hooks.queue.owner = LeaseOwner(rawValue: 4)
            try fill()
        }

        deinit { try? FileManager.default.removeItem(atPath: path) }

        /// 1: a@x and b@y, an hour old; 2: c@x, deferred by mx.x; 3: d@z.
        private func fill() throws {
            func request(_ id: Int64, _ remote: [String], _ age: Int64) -> AcceptRequest {
                AcceptRequest(
                    id: MessageID(rawValue: id), received: WallTime(seconds: ControlQueueTests.now.seconds - age),
                    sender: b("s@local.example"), trace: b("T: x\r\n"), body: .inline(b("body")),
                    remote: remote.map { RemoteRecipient(address: b($0)) })
            }
            try store.write { (s) throws(StoreError) in
                try s.accept(request(1, ["a@x.example", "b@y.example"], 3_600))
                try s.accept(request(2, ["c@x.example"], 600))
                try s.accept(request(3, ["d@z.example"], 60))
                let row = QueueRowID(message: MessageID(rawValue: 2), recipient: 0)
                let lease = Lease(row: row, generation: 0, until: now)
                let note = Outcome.Note(host: b("mx.x.example"), attempted: now)
                let until = WallTime(seconds: ControlQueueTests.now.seconds + 300)
                _ = try s.settle([
                    Outcome(
                        lease: lease, result: .deferred(until: until, status: b("4.7.1 451 Greylisted"), note: note))
                ])
            }
        }

        func run(_ request: ControlRequest, _ format: ControlFormat = .text) -> Int32 {
            output = ""
            complaint = ""
            var hooks = hooks
            hooks.queue.changed = { [told] change in told.add(change) }
            let direct = DirectControl(
                service: ControlService(hooks: hooks), write: { (job) throws(StoreError) in try self.store.write(job) },
                read: { (job) throws(StoreError) in try self.store.read(job) })
            let sink = ControlClient.Sink(
                output: { self.output += String(decoding: $0, as: UTF8.self) },
                complaint: { self.complaint += String(decoding: $0, as: UTF8.self) })
            // As it comes over the socket.
            let frame = request.frame(format)
            guard let decoded = ControlRequest.decode(frame.payload) else { return -1 }
            return direct.run(decoded.request, decoded.format, into: sink)
        }

        func queue(
            _ verb: ControlQueue.Verb, dry: Bool = false, _ format: ControlFormat = .text,
            _ change: (inout QueueFilter) -> Void = { _ in }
        ) -> Int32 {
            var filter = QueueFilter()
            change(&filter)
            return run(.queue(ControlQueue(verb, filter, isDryRun: dry)), format)
        }

        func rows() throws -> [QueuedRecipient] {
            try store.read { (s) throws(StoreError) in
                try s.queued(QueueFilter(), after: nil, limit: 99, scanMax: 99, at: ControlQueueTests.now).rows
            }
        }
    }

    /// A list that is cut says so, to people.
    @Test(arguments: [(1, true), (3, true), (4, false), (100, false)])
    func aListThatIsCutSaysSo(limit: Int, isCut: Bool) throws {
        let f = try Fixture()
        #expect(f.run(.queue(ControlQueue(.list, limit: limit))) == ExitStatus.success)
        #expect(f.output.split(separator: "\n").count == 1 + min(limit, 4))
        #expect(f.complaint.contains("… more") == isCut)
        #expect(f.run(.queue(ControlQueue(.list, limit: limit)), .json) == ExitStatus.success)
        #expect(f.complaint.isEmpty)
    }

    @Test func everyConditionCrossesTheSocket() {
        var filter = QueueFilter()
        filter.site = Self.b("x")
        filter.sender = []
        filter.recipient = Self.b("r*")
        filter.status = Self.b("4.7")
        filter.host = Self.b("mx")
        filter.acceptedBefore = WallTime(seconds: 5)
        filter.acceptedAfter = WallTime(seconds: -5)
        filter.message = MessageID(rawValue: 77)
        filter.isHeld = false
        let queue = ControlQueue(.bounce, filter, limit: 7, isDryRun: true)
        #expect(ControlQueue(queue.fields) == queue)
        #expect(ControlQueue([]) == nil && ControlQueue([Self.b("nonsense")]) == nil)
        #expect(ControlQueue([Self.b("list"), Self.b("message"), Self.b("!")]) == nil)
        #expect(ControlQueue([Self.b("list"), Self.b("what"), []]) == nil)
    }

    @Test func summaryNamesWhatLimits() throws {
        var status = SchedulerStatus()
        status.sites[Self.b("x.example")] = SchedulerStatus.Site(
            inFlight: 2, ready: 1, window: 20, limit: .concurrency, ratePerMinute: 4)
        status.sites[Self.b("y.example")] = SchedulerStatus.Site(
            inFlight: 0, ready: 0, window: 1,
            limit: .unreachable(until: WallTime(seconds: Self.now.seconds + 90), why: Self.b("4.4.1 refused")),
            ratePerMinute: 0)
        let f = try Fixture(status)
        #expect(f.queue(.hold) { $0.site = Self.b("z.example") } == 0)
        #expect(f.output.contains("held all mail to z.example"))
        #expect(f.queue(.summary) == 0)
        let lines = f.output.split(separator: "\n").map { $0.split(separator: " ", omittingEmptySubsequences: true) }
        #expect(lines.count == 4)
        #expect(
            lines[1].prefix(2) == ["x.example", "2"] && lines[1].contains("concurrency") && lines[1].contains("30s"))
        #expect(f.output.contains("unreachable") && f.output.contains("in 90s") && f.output.contains("4.4.1 refused"))
        #expect(lines.contains { $0.first == "z.example" && $0.contains("held") })
        #expect(f.queue(.summary, .json) == 0)
        let json = try #require(
            try JSONSerialization.jsonObject(with: Data(f.output.utf8)) as? [String: Any])
        #expect(json["recipients"] as? Int == 4 && json["destinations"] as? Int == 3)
        let list = try #require(json["list"] as? [[String: Any]])
        #expect(list[0]["empty_in_seconds"] as? Int == 30 && list[0]["limit"] as? String == "concurrency")
    }

    @Test func listAndShow() throws {
        let f = try Fixture()
        #expect(f.queue(.list, .json) { $0.status = Self.b("4.7") } == 0)
        let list = try #require(try JSONSerialization.jsonObject(with: Data(f.output.utf8)) as? [[String: Any]])
        #expect(list.count == 1)
        #expect(list[0]["recipient"] as? String == "c@x.example" && list[0]["state"] as? String == "deferred")
        #expect(list[0]["host"] as? String == "mx.x.example")
        #expect(f.queue(.list) { $0.site = Self.b("none.example") } == 0)
        #expect(f.output.isEmpty && f.complaint.contains("no queued recipients"))
        #expect(f.queue(.show) { $0.message = MessageID(rawValue: 1) } == 0)
        #expect(f.output.contains("a@x.example") && f.output.contains("b@y.example"))
        #expect(f.queue(.show) { $0.message = MessageID(rawValue: 9) } != 0)
    }

    @Test func changesAreTriedFirstThenMade() throws {
        let f = try Fixture()
        #expect(f.queue(.delete, dry: true) { $0.site = Self.b("x.example") } == 0)
        #expect(f.output.contains("would delete 2 recipients") && f.output.contains("c@x.example"))
        #expect(try f.rows().count == 4)
        #expect(f.told.changes.isEmpty)
        #expect(f.queue(.delete) { $0.site = Self.b("x.example") } == 0)
        #expect(try f.rows().map(\.address) == [Self.b("b@y.example"), Self.b("d@z.example")])
        #expect(f.queue(.hold) { $0.recipient = Self.b("B@*") } == 0)
        #expect(try f.rows().map(\.isHeld) == [true, false])
        #expect(f.queue(.release) { $0.recipient = Self.b("*") } == 0)
        #expect(f.output.contains("released 1 recipient\n"))
        #expect(try f.rows().map(\.isHeld) == [false, false])
        #expect(f.told.changes == [.rows])
    }

    @Test func aHeldDestinationIsReleasedWithItsRows() throws {
        let f = try Fixture()
        let x = Self.b("x.example")
        #expect(f.queue(.hold) { $0.site = x } == 0)
        #expect(f.queue(.hold) { $0.recipient = Self.b("c@x.example") } == 0)
        #expect(try f.store.read { (s) throws(StoreError) in try s.queueHolds().map(\.site) } == [x])
        #expect(f.queue(.release) { $0.site = x } == 0)
        #expect(try f.store.read { (s) throws(StoreError) in try s.queueHolds().isEmpty })
        #expect(try !f.rows().contains { $0.isHeld })
        #expect(f.told.changes == [.held(site: x), .released(site: x)])
    }

    @Test func retryMakesThemDue() throws {
        let f = try Fixture()
        #expect(f.queue(.retry) { $0.host = Self.b("mx.x.*") } == 0)
        let row = try #require(try f.rows().first { $0.address == Self.b("c@x.example") })
        #expect(row.due == Self.now)
        #expect(f.told.changes == [.retry(site: nil)])
    }

    @Test func bouncesTellTheSenderAndNeedAServer() throws {
        let without = try Fixture()
        #expect(without.queue(.bounce) { $0.site = Self.b("x.example") } == ExitStatus.unavailable)
        #expect(try without.rows().count == 4)
        let f = try Fixture(
            nil,
            notice: { (notice, session) throws(StoreError) in
                _ = try session.wholeBody(of: notice.message.id)
                return AcceptRequest(
                    id: MessageID(rawValue: notice.message.id.rawValue + 100), received: notice.now, sender: [],
                    trace: [], body: .inline([1]), remote: [RemoteRecipient(address: notice.sender)])
            })
        #expect(f.queue(.bounce) { $0.site = Self.b("x.example") } == 0)
        #expect(f.output.contains("returned 2 recipients; 2 notices"))
        let left = try f.rows().map { String(decoding: $0.address, as: UTF8.self) }
        #expect(left == ["b@y.example", "d@z.example", "s@local.example", "s@local.example"])
    }

    @Test func peersThatWouldBreak() throws {
        let f = try Fixture()
        try f.store.write { (s) throws(StoreError) in
            func row(_ host: String, _ version: String, _ pfs: Bool, _ verified: Bool) -> TLSResultRow {
                var row = TLSResultRow(
                    key: .init(
                        day: Int(Self.now.seconds / 86_400), domain: Self.b("x.example"), host: Self.b(host),
                        policy: .noPolicyFound, result: version.isEmpty ? .startTLSNotSupported : .success),
                    last: Self.now)
                row.version = Self.b(version)
                row.hasForwardSecrecy = pfs
                row.isVerified = verified
                return row
            }
            try s.addTLSResults([
                row("good.mx", "TLSv1.3", true, true), row("rsa.mx", "TLSv1.2", false, true),
                row("self.mx", "TLSv1.2", true, false), row("plain.mx", "", false, false),
            ])
        }
        func hosts(_ requirement: ControlTLSPeers.Requirement) throws -> ([String], Int32) {
            let status = f.run(.tlsPeers(ControlTLSPeers(requirement: requirement, days: 7)), .json)
            let list = try #require(try JSONSerialization.jsonObject(with: Data(f.output.utf8)) as? [[String: Any]])
            return (list.compactMap { $0["host"] as? String }, status)
        }
        let answers = [try hosts(.anything), try hosts(.modern), try hosts(.verified)]
        #expect(answers[0] == (["good.mx", "plain.mx", "rsa.mx", "self.mx"], 0))
        #expect(answers[1] == (["plain.mx", "rsa.mx"], ExitStatus.problemsFound))
        #expect(answers[2] == (["plain.mx", "self.mx"], ExitStatus.problemsFound))
    }
}
