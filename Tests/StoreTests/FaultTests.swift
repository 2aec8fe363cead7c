import Base
import CFaultVFS
import Policy
import Protocols
import Store
import StoreSQLite
import Synchronization
import TestKit
import Testing

/// SQLite's codes as the fault VFS takes them.
private let ioErrorWrite: Int32 = 10 | (3 << 8)
private let ioErrorSync: Int32 = 10 | (4 << 8)
private let diskFull: Int32 = 13

// One fault plan for the whole process: the tests take turns.
@Suite(.serialized) struct FaultTests {
    private func options() -> SQLiteOptions {
        _ = fault_vfs_register()
        fault_vfs_reset()
        var options = SQLiteOptions()
        options.vfs = "fault"
        options.retrySecondsMin = 0.001
        options.retrySecondsMax = 0.002
        options.idleMilliseconds = 60_000
        return options
    }

    private func burst(_ client: StoreClient, _ ids: ClosedRange<Int64>, to account: AccountID) -> Set<Int64> {
        let waiters = ids.map { id in
            let waiter = Waiter<Result<MessageID, StoreError>>()
            let body = [UInt8](repeating: UInt8(truncatingIfNeeded: id), count: 3000)
            if !client.gateway.accept(StoreContract.request(id, body: body, to: [account]), completion: waiter.fulfil) {
                waiter.fulfil(.failure(.unavailable(.busy)))
            }
            return waiter
        }
        var kept = Set<Int64>()
        for waiter in waiters {
            if case .success(let id) = waiter.wait() { kept.insert(id.rawValue) }
        }
        return kept
    }

    /// Accepts until one is taken: the store must come back by itself.
    private func recovers(_ client: StoreClient, from id: Int64, to account: AccountID) -> Int64 {
        var id = id
        while true {
            if case .success = client.accept(StoreContract.request(id, to: [account])) { return id }
            id += 1
        }
    }

    private func check(_ folder: TestFolder, kept: Set<Int64>, account: AccountID, _ label: String) throws {
        let store = try DirectStore(path: folder.path)
        let report = try store.verify()
        #expect(report.problems.isEmpty, "\(label)")
        for id in kept {
            let found = try store.read { (s) throws(StoreError) in
                try s.message(MessageID(rawValue: id), of: account) != nil
                    ? try s.wholeBody(of: MessageID(rawValue: id)) : nil
            }
            #expect(found != nil, "\(label): message \(id) was answered with 250 and is gone")
            if id < 1000 { #expect(found == [UInt8](repeating: UInt8(truncatingIfNeeded: id), count: 3000)) }
        }
    }

    private func sweep(
        _ label: String, _ arm: (Int64) -> Void, hits: () -> Int64, count: ClosedRange<Int64>,
        walOctetsMax: Int = 1 << 30
    ) throws {
        for nth in count {
            let folder = TestFolder()
            var options = options()
            options.walOctetsMax = walOctetsMax
            let store = try SQLiteStore.open(path: folder.path, options: options)
            store.start()
            let client = StoreClient(store.gateway)
            let (account, _) = try StoreContract.accounts(client)
            var kept = burst(client, 1...20, to: account)
            #expect(kept.count == 20)
            arm(nth)
            var id: Int64 = 101
            while hits() < nth {
                kept.formUnion(burst(client, id...(id + 39), to: account))
                id += 40
            }
            fault_vfs_reset()
            kept.insert(recovers(client, from: 1000, to: account))
            kept.formUnion(burst(client, 901...920, to: account))
            #expect(kept.isSuperset(of: 901...920), "\(label) \(nth): not back")
            store.stop()
            try check(folder, kept: kept, account: account, "\(label) \(nth)")
        }
    }

    @Test func everyWriteFailsOnce() throws {
        try sweep("write", { fault_vfs_writes($0, 0, ioErrorWrite) }, hits: fault_vfs_write_count, count: 1...40)
    }

    @Test func everyWriteFindsTheDiskFull() throws {
        try sweep("full", { fault_vfs_writes($0, 1, diskFull) }, hits: fault_vfs_write_count, count: 1...12)
    }

    @Test func everySyncFailsOnce() throws {
        try sweep("sync", { fault_vfs_syncs($0, 0, ioErrorSync) }, hits: fault_vfs_sync_count, count: 1...6)
    }

    /// With a checkpoint after every batch the faults fall into checkpoints too.
    @Test func checkpointsFail() throws {
        try sweep(
            "checkpoint sync", { fault_vfs_syncs($0, 0, ioErrorSync) }, hits: fault_vfs_sync_count, count: 1...9,
            walOctetsMax: 1)
        try sweep(
            "checkpoint write", { fault_vfs_writes($0, 1, diskFull) }, hits: fault_vfs_write_count, count: 1...30,
            walOctetsMax: 1)
    }

    @Test func syncsFailForEver() throws {
        let folder = TestFolder()
        let store = try SQLiteStore.open(path: folder.path, options: options())
        store.start()
        let client = StoreClient(store.gateway)
        let (account, _) = try StoreContract.accounts(client)
        fault_vfs_syncs(1, 1, ioErrorSync)
        for id in 1...20 as ClosedRange<Int64> {
            let answer = client.accept(StoreContract.request(id, to: [account]))
            #expect(answer == .failure(.unavailable(.inputOutput)))
        }
        // Reading goes on.
        let accounts = try client.read { (s) throws(StoreError) in try s.accounts().count }
        #expect(accounts == 2)
        fault_vfs_reset()
        let id = recovers(client, from: 100, to: account)
        store.stop()
        try check(folder, kept: [], account: account, "for ever")
        let found = try DirectStore(path: folder.path).read { (s) throws(StoreError) in
            try s.message(MessageID(rawValue: id), of: account)
        }
        #expect(found != nil)
    }

    @Test func lowDiskRefusesBeforeItIsFull() throws {
        let folder = TestFolder()
        let free = Gauge()
        var options = SQLiteOptions()
        options.diskFree = { _ in free.value }
        options.diskCheckSeconds = 0
        let store = try SQLiteStore.open(path: folder.path, options: options)
        store.start()
        defer { store.stop() }
        let client = StoreClient(store.gateway)
        let (account, _) = try StoreContract.accounts(client)
        free.value = 1 << 20
        #expect(client.accept(StoreContract.request(1, to: [account])) == .failure(.unavailable(.diskFull)))
        #expect(store.gateway.openBody() == nil)
        free.value = 1 << 40
        #expect(client.accept(StoreContract.request(2, to: [account])) == .success(MessageID(rawValue: 2)))
        #expect(store.gateway.openBody() != nil)
    }

    @Test func oneProcessAtATime() throws {
        let folder = TestFolder()
        let store = try SQLiteStore.open(path: folder.path)
        #expect(throws: StoreError.unavailable(.busy)) { try SQLiteStore.open(path: folder.path) }
        #expect(throws: StoreError.unavailable(.busy)) { try DirectStore(path: folder.path) }
        store.start()
        store.stop()
        _ = try DirectStore(path: folder.path)
    }
}

/// A number a test changes under a store's feet.
final class Gauge: Sendable {
    private let number = Atomic<Int64>(1 << 40)
    var value: Int64 {
        get { number.load(ordering: .relaxed) }
        set { number.store(newValue, ordering: .relaxed) }
    }
}
