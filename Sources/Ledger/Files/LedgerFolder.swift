import CEpoll
package import Protocols

/// The folder of the ledger: segments `<start>.log` with their indexes `<start>.idx`. A start is the moment the segment
/// was begun in the form of an id, so names sort by time.
struct LedgerFolder: Sendable {
    let path: String

    func log(_ start: MessageID) -> String { path + "/" + name(start) + ".log" }
    func index(_ start: MessageID) -> String { path + "/" + name(start) + ".idx" }

    private func name(_ start: MessageID) -> String { String(decoding: start.text, as: UTF8.self) }

    /// The segments there are, oldest first.
    func segments() -> [MessageID] {
        var out: [MessageID] = []
        for name in names() where name.count == 17 && name.suffix(4) == Array(".log".utf8) {
            if let start = MessageID(text: Array(name.prefix(13))) { out.append(start) }
        }
        return out.sorted()
    }

    /// What a crash may have left: indexes that were never finished, and those of segments that are gone.
    func sweep() {
        let starts = Set(segments().map(\.text))
        for name in names() {
            let isUnfinished = name.suffix(4) == Array(".tmp".utf8)
            let isOrphan = name.suffix(4) == Array(".idx".utf8) && !starts.contains(Array(name.dropLast(4)))
            if isUnfinished || isOrphan { _ = mt_unlink(path + "/" + String(decoding: name, as: UTF8.self)) }
        }
    }

    func remove(_ start: MessageID) {
        _ = mt_unlink(log(start))
        _ = mt_unlink(index(start))
    }

    private func names() -> [[UInt8]] {
        guard let directory = opendir(path) else { return [] }
        defer { closedir(directory) }
        var out: [[UInt8]] = []
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { Array($0.prefix { $0 != 0 }) }
            out.append(name)
        }
        return out
    }
}

extension MessageID {
    /// The milliseconds since 1970 that an id begins with.
    package var milliseconds: Int64 { rawValue >> 21 }

    /// The first id of that millisecond.
    init(startingAt milliseconds: Int64) { self.init(rawValue: max(0, milliseconds) << 21) }
}
