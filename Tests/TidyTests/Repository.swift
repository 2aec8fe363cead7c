import Foundation

/// The tree these tests look at.
enum Repository {
    static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    struct File {
        /// Relative to the root.
        let path: String
        let text: String
        var lines: [Substring] { text.split(separator: "\n", omittingEmptySubsequences: false) }
    }

    static func text(_ path: String) -> String? {
        try? String(contentsOf: root.appending(path: path), encoding: .utf8)
    }

    /// Every text file below `folder` that belongs to the project, sorted by path.
    static func files(below folder: String = "", suffix: String = "") -> [File] {
        let start = folder.isEmpty ? root : root.appending(path: folder)
        guard let walker = FileManager.default.enumerator(atPath: start.path()) else { return [] }
        var found: [File] = []
        while let name = walker.nextObject() as? String {
            let last = (name as NSString).lastPathComponent
            let isScratch = last.hasPrefix(".build") || [".git", ".swiftpm", "data", "corpus"].contains(last)
            if isScratch {
                walker.skipDescendants()
                continue
            }
            guard walker.fileAttributes?[.type] as? FileAttributeType == .typeRegular, name.hasSuffix(suffix) else {
                continue
            }
            let path = folder.isEmpty ? name : folder + "/" + name
            if let text = text(path) { found.append(File(path: path, text: text)) }
        }
        return found.sorted { $0.path < $1.path }
    }

    /// The target a source file belongs to.
    static func target(of path: String) -> String {
        let parts = path.split(separator: "/")
        return parts.count > 1 ? String(parts[1]) : ""
    }

    /// `line` without comments and without what stands in string literals.
    static func code(_ line: Substring) -> String {
        var out = ""
        var inString = false
        var previous: Character = " "
        for c in line {
            if c == "\"", previous != "\\" { inString.toggle() }
            if !inString, c == "/", previous == "/" {
                out.removeLast()
                break
            }
            if !inString { out.append(c) }
            previous = c
        }
        return out
    }

    /// Compares `path` with what it should hold, or writes it when `make docs` runs this. Nil when it is up to date.
    static func generated(_ path: String, _ content: String) throws -> String? {
        if ProcessInfo.processInfo.environment["MARTLET_WRITE_DOCS"] == "1" {
            try content.write(to: root.appending(path: path), atomically: true, encoding: .utf8)
        }
        return text(path) == content ? nil : "\(path) is stale: run `make docs`"
    }
}
