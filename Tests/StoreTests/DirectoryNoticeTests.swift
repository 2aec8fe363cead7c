import Policy
import Protocols
import Store
import StoreSQLite
import Synchronization
import TestKit
import Testing

@Suite struct DirectoryNoticeTests {
    private final class Directory: Sendable {
        let current = Mutex(DirectorySnapshot.empty)
        let seen = Mutex<[Int]>([])
    }

    /// Before any thread has run: a server that listens already must not tell anybody that a domain is not its own.
    @Test func theDirectoryIsThereBeforeTheThreadsAre() throws {
        let folder = TestFolder()
        let first = try SQLiteStore.open(path: folder.path)
        first.start()
        _ = try StoreContract.accounts(StoreClient(first.gateway))
        first.stop()
        let again = try SQLiteStore.open(path: folder.path)
        #expect(again.initialSnapshot.accountCount == 2)
        again.stop()
    }

    /// A client that fills a mailbox and names it again at once must be told that it is full.
    @Test func theSizeOfAMailboxIsKnownBeforeTheMessageIsAnswered() throws {
        let folder = TestFolder()
        let store = try SQLiteStore.open(path: folder.path)
        let directory = Directory()
        store.start { snapshot in directory.current.withLock { $0 = snapshot } }
        let client = StoreClient(store.gateway)
        let (account, _) = try StoreContract.accounts(client)
        for id in 1...20 as ClosedRange<Int64> {
            let posted = store.gateway.accept(StoreContract.request(id, to: [account])) { _ in
                let entry = directory.current.withLock { $0 }.entry(account)
                directory.seen.withLock { $0.append(entry?.usage.current ?? -1) }
            }
            #expect(posted)
        }
        store.stop()
        let seen = directory.seen.withLock { $0 }
        let size = StoreContract.request(1, to: [account]).size
        #expect(seen.count == 20)
        #expect(zip(seen, 1...).allSatisfy { $0 >= size * $1 })
    }
}

extension DirectorySnapshot {
    fileprivate func entry(_ id: AccountID) -> AccountEntry? {
        ["a@x.example", "b@x.example"].lazy.compactMap { self.account(Array($0.utf8)) }.first { $0.id == id }
    }
}
