import Foundation

/// A folder that goes with the test. Never copied; owned by one test.
final class TestFolder: Sendable {
    let path: String

    init() {
        path = NSTemporaryDirectory() + "martlet-store-" + UUID().uuidString
        try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func file(_ name: String) -> String { path + "/" + name }
}
