import Protocols
import Store
import StoreSQLite
import Synchronization
import TestKit
import Testing

@Suite struct CommitNoticeTests {
    private final class Notices: StoreObserver {
        let list = Mutex<[String]>([])
        func commitBegan() { list.withLock { $0.append("began") } }
        func batchCommitted(_ batch: StoreBatch) { list.withLock { $0.append("committed") } }
    }

    /// Who watches for a commit that hangs must be told before it can.
    @Test func aCommitIsAnnouncedBeforeItIsMade() throws {
        let folder = TestFolder()
        let notices = Notices()
        let store = try SQLiteStore.open(path: folder.path)
        store.start(observer: notices)
        let client = StoreClient(store.gateway)
        let (account, _) = try StoreContract.accounts(client)
        for id in 1...5 as ClosedRange<Int64> {
            #expect(client.accept(StoreContract.request(id, to: [account])) == .success(MessageID(rawValue: id)))
        }
        store.stop()
        let seen = notices.list.withLock { $0 }
        #expect(seen.count >= 12)
        #expect(stride(from: 0, to: seen.count, by: 2).allSatisfy { seen[$0] == "began" })
        #expect(stride(from: 1, to: seen.count, by: 2).allSatisfy { seen[$0] == "committed" })
    }
}
