import Base
import Foundation
import Policy
import Protocols
import Store
import StoreSQLite
import Synchronization
import TestKit
import Testing

/// Segments that fail on order.
private final class FaultySpool: Sendable {
    let writesLeft = Atomic<Int>(.max)
    let syncsLeft = Atomic<Int>(.max)
    let opened = Atomic<Int>(0)

    fileprivate static func spend(_ counter: borrowing Atomic<Int>) throws(StoreError) {
        if counter.load(ordering: .relaxed) == .max { return }
        // Fails at 0 and works again afterwards: a lost write is reported once.
        let left = counter.subtract(1, ordering: .relaxed).newValue
        if left == 0 { throw .unavailable(.inputOutput) }
    }

    func open(_ path: String) -> Result<any SpoolFile, StoreError> {
        opened.add(1, ordering: .relaxed)
        return PosixSpoolFile.open(path: path).map { FaultyFile(inner: $0, plan: self) }
    }

    private final class FaultyFile: SpoolFile {
        let inner: any SpoolFile
        let plan: FaultySpool

        init(inner: any SpoolFile, plan: FaultySpool) {
            self.inner = inner
            self.plan = plan
        }

        func write(_ bytes: [UInt8], at offset: Int64) throws(StoreError) {
            try FaultySpool.spend(plan.writesLeft)
            try inner.write(bytes, at: offset)
        }

        func sync() throws(StoreError) {
            try FaultySpool.spend(plan.syncsLeft)
            try inner.sync()
        }
    }
}

@Suite struct SpoolTests {
    private func large(_ seed: Int) -> [UInt8] { (0..<90_000).map { UInt8(truncatingIfNeeded: $0 &* seed) } }

    private func accept(_ client: StoreClient, _ id: Int64, _ bytes: [UInt8], _ account: AccountID)
        -> Result<MessageID, StoreError>
    {
        guard let body = client.spool(bytes, chunk: 10_000) else { return .failure(.unavailable(.diskFull)) }
        return client.accept(
            AcceptRequest(
                id: MessageID(rawValue: id), received: WallTime(seconds: 1), sender: [], trace: [],
                body: .spooled(body, size: bytes.count), local: [LocalDelivery(account: account, recipient: [])]))
    }

    private func segments(_ folder: TestFolder) -> [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: folder.file("spool"))) ?? []).sorted()
    }

    @Test(arguments: [true, false])
    func aFaultFailsTheBodyAndNothingElse(atWrite: Bool) throws {
        let folder = TestFolder()
        let plan = FaultySpool()
        var options = SQLiteOptions()
        options.openSegment = { plan.open($0) }
        let store = try SQLiteStore.open(path: folder.path, options: options)
        store.start()
        let client = StoreClient(store.gateway)
        let (account, _) = try StoreContract.accounts(client)
        #expect(accept(client, 1, large(3), account) == .success(MessageID(rawValue: 1)))
        if atWrite {
            plan.writesLeft.store(4, ordering: .relaxed)
        } else {
            plan.syncsLeft.store(1, ordering: .relaxed)
        }
        #expect(accept(client, 2, large(5), account) == .failure(.unavailable(.inputOutput)))
        #expect(accept(client, 3, large(7), account) == .success(MessageID(rawValue: 3)))
        #expect(plan.opened.load(ordering: .relaxed) == 2, "the segment in doubt was used again")
        let bodies = try client.read { (s) throws(StoreError) in
            (try s.wholeBody(of: MessageID(rawValue: 1)), try s.wholeBody(of: MessageID(rawValue: 3)))
        }
        #expect(bodies.0 == large(3) && bodies.1 == large(7))
        store.stop()
        #expect(try DirectStore(path: folder.path).verify().problems.isEmpty)
    }

    /// A body that began before a failed sync must not be saved by a later good one.
    @Test func aLostSyncIsNotForgotten() throws {
        let folder = TestFolder()
        let plan = FaultySpool()
        var options = SQLiteOptions()
        options.openSegment = { plan.open($0) }
        let store = try SQLiteStore.open(path: folder.path, options: options)
        store.start()
        defer { store.stop() }
        let client = StoreClient(store.gateway)
        let (account, _) = try StoreContract.accounts(client)
        let early = try #require(client.spool(large(3), chunk: 9000))
        plan.syncsLeft.store(1, ordering: .relaxed)
        #expect(accept(client, 2, large(5), account) == .failure(.unavailable(.inputOutput)))
        let answer = client.accept(
            AcceptRequest(
                id: MessageID(rawValue: 1), received: WallTime(seconds: 1), sender: [], trace: [],
                body: .spooled(early, size: 90_000), local: [LocalDelivery(account: account, recipient: [])]))
        #expect(answer == .failure(.unavailable(.inputOutput)))
    }

    @Test func deadSegmentsAreSwept() throws {
        let folder = TestFolder()
        var options = SQLiteOptions()
        options.segmentOctetsMax = 100_000
        options.sweepSeconds = 0
        let store = try SQLiteStore.open(path: folder.path, options: options)
        store.start()
        let client = StoreClient(store.gateway)
        let (account, _) = try StoreContract.accounts(client)
        for id in 1...6 as ClosedRange<Int64> {
            #expect(accept(client, id, large(Int(id)), account) == .success(MessageID(rawValue: id)))
        }
        let waiting = try #require(client.spool(large(9), chunk: 9000))
        let before = segments(folder)
        #expect(before.count >= 5)
        try client.write { (s) throws(StoreError) in
            for id in 1...6 as ClosedRange<Int64> where id != 4 {
                try s.expunge(MessageID(rawValue: id), of: account, from: .inbox)
            }
        }
        // The sweep follows the batch; the next batch's answer comes after it.
        try client.write { (s) throws(StoreError) in _ = try s.domains() }
        let after = segments(folder)
        #expect(after.count < before.count && !after.isEmpty)
        let kept = try client.read { (s) throws(StoreError) in try s.wholeBody(of: MessageID(rawValue: 4)) }
        #expect(kept == large(4))
        let late = client.accept(
            AcceptRequest(
                id: MessageID(rawValue: 9), received: WallTime(seconds: 1), sender: [], trace: [],
                body: .spooled(waiting, size: 90_000), local: [LocalDelivery(account: account, recipient: [])]))
        #expect(late == .success(MessageID(rawValue: 9)))
        store.stop()
        #expect(try DirectStore(path: folder.path).verify().problems.isEmpty)
        try DirectStore(path: folder.path).write { (s) throws(StoreError) in
            try s.expunge(MessageID(rawValue: 4), of: account, from: .inbox)
            try s.expunge(MessageID(rawValue: 9), of: account, from: .inbox)
        }
        _ = try SQLiteStore.open(path: folder.path)
        #expect(segments(folder).isEmpty)
    }

    @Test func verifySeesADamagedSpool() throws {
        let folder = TestFolder()
        let store = try SQLiteStore.open(path: folder.path)
        store.start()
        let client = StoreClient(store.gateway)
        let (account, _) = try StoreContract.accounts(client)
        #expect(accept(client, 1, large(3), account) == .success(MessageID(rawValue: 1)))
        store.stop()
        let name = try #require(segments(folder).first)
        let handle = try #require(FileHandle(forWritingAtPath: folder.file("spool/" + name)))
        try handle.truncate(atOffset: 80_000)
        try handle.close()
        #expect(try DirectStore(path: folder.path).verify().problems.count == 1)
    }

    /// The folder copied while mail comes in is what a killed process leaves: everything answered with 250 is in the copy.
    @Test func copiesTakenWhileWriting() throws {
        let folder = TestFolder()
        var options = SQLiteOptions()
        // A copy is not a frozen disk: a checkpoint between the copies of database and log would tear it.
        options.walOctetsMax = 1 << 40
        options.idleMilliseconds = 60_000
        let store = try SQLiteStore.open(path: folder.path, options: options)
        store.start()
        let client = StoreClient(store.gateway)
        let (account, _) = try StoreContract.accounts(client)
        let done = Mutex<Set<Int64>>([])
        var next: Int64 = 1
        for round in 0..<6 {
            let pending = (0..<60).map { _ in
                let id = next
                next += 1
                let waiter = Waiter<Bool>()
                let request = StoreContract.request(id, body: [UInt8](repeating: 7, count: 3000), to: [account])
                _ = store.gateway.accept(request) { result in
                    if (try? result.get()) != nil { done.withLock { _ = $0.insert(id) } }
                    waiter.fulfil(true)
                }
                return waiter
            }
            for waiter in pending.prefix(round * 10) { _ = waiter.wait() }
            if accept(client, next, large(round + 1), account) == .success(MessageID(rawValue: next)) {
                done.withLock { _ = $0.insert(next) }
            }
            next += 1
            let answered = done.withLock { $0 }
            let copy = TestFolder()
            try Self.copy(folder, to: copy)
            let reopened = try DirectStore(path: copy.path)
            #expect(try reopened.verify().problems.isEmpty)
            for id in answered {
                let found = try reopened.read { (s) throws(StoreError) in
                    try s.message(MessageID(rawValue: id), of: account)
                }
                #expect(found != nil, "\(id) was answered and is not in the copy")
            }
            for waiter in pending { _ = waiter.wait() }
        }
        store.stop()
    }

    private static func copy(_ from: TestFolder, to: TestFolder) throws {
        // Rows before the spool they name: what the rows say must have been there already.
        for name in ["martlet.db", "martlet.db-wal"] {
            let data = try Data(contentsOf: URL(fileURLWithPath: from.file(name)))
            try data.write(to: URL(fileURLWithPath: to.file(name)))
        }
        try FileManager.default.copyItem(atPath: from.file("spool"), toPath: to.file("spool"))
    }
}
