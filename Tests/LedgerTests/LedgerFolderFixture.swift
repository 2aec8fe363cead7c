import Foundation

/// A folder of its own, gone with the test.
final class LedgerFolderFixture {
    let path: String

    init() {
        path = NSTemporaryDirectory() + "martlet-ledger-\(UUID().uuidString)"
        try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func names(_ suffix: String) -> [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).filter { $0.hasSuffix(suffix) }.sorted()
    }

    func read(_ name: String) -> [UInt8] {
        (FileManager.default.contents(atPath: path + "/" + name)).map { Array($0) } ?? []
    }
    func write(_ name: String, _ bytes: [UInt8]) {
        _ = FileManager.default.createFile(atPath: path + "/" + name, contents: Data(bytes))
    }
}
