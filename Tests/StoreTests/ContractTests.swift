import Store
import StoreSQLite
import TestKit
import Testing

@Suite struct ContractTests {
    @Test(arguments: StoreContract.cases)
    func memory(_ item: StoreContract.Case) throws {
        let store = MemoryStore()
        store.start()
        defer { store.stop() }
        try item.run(StoreClient(store.gateway))
    }

    @Test(arguments: StoreContract.cases)
    func sqlite(_ item: StoreContract.Case) throws {
        let folder = TestFolder()
        let store = try SQLiteStore.open(path: folder.path)
        store.start()
        do {
            defer { store.stop() }
            try item.run(StoreClient(store.gateway))
        }
        let report = try DirectStore(path: folder.path).verify()
        #expect(report.problems.isEmpty)
    }
}
