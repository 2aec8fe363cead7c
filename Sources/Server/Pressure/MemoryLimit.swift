import Base
import CEpoll

/// How much memory the process may have: the least of its control groups' limits and the machine's memory.
package enum MemoryLimit {
    private static let fileOctetsMax = 64 << 10

    /// In octets; 0: not known.
    package static func find() -> Int {
        let pages = sysconf(Int32(_SC_PHYS_PAGES))
        var least = pages > 0 ? Int(pages) * pageSize : 0
        guard let groups = contents("/proc/self/cgroup") else { return least }
        for path in limitFiles(groups) {
            guard let text = contents(path), let limit = octets(text) else { continue }
            if least == 0 || limit < least { least = limit }
        }
        return least
    }

    package static let pageSize = Int(sysconf(Int32(_SC_PAGESIZE)))

    /// The limit files of every group in `/proc/self/cgroup`, the groups above it included: `0::/a/b` of version 2, a line
    /// with the controller `memory` of version 1.
    package static func limitFiles(_ groups: [UInt8]) -> [String] {
        var paths: [String] = []
        for line in groups.split(separator: ASCII.lf) {
            let parts = line.split(separator: 0x3A, maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count == 3 else { continue }
            let controllers = parts[1].split(separator: 0x2C).map { String(decoding: $0, as: UTF8.self) }
            let isUnified = parts[1].isEmpty
            guard isUnified || controllers.contains("memory") else { continue }
            let root = isUnified ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory"
            let name = isUnified ? "memory.max" : "memory.limit_in_bytes"
            var path = root
            paths.append("\(path)/\(name)")
            for step in parts[2].split(separator: 0x2F) where step != [ASCII.dot, ASCII.dot][...] {
                path += "/" + String(decoding: step, as: UTF8.self)
                paths.append("\(path)/\(name)")
            }
        }
        return paths
    }

    /// nil: no limit (`max`), or not a number. Version 1 has no word for none, only a number beyond any machine.
    package static func octets(_ text: [UInt8]) -> Int? {
        let digits = Array(text.prefix { ASCII.isDigit($0) })
        guard let value = Decimal.parse(digits.span), value > 0, value < 1 << 60 else { return nil }
        return Int(value)
    }

    private static func contents(_ path: String) -> [UInt8]? {
        let descriptor = mt_open(path, O_RDONLY, 0)
        guard descriptor >= 0 else { return nil }
        defer { _ = mt_close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: fileOctetsMax)
        let count = bytes.withUnsafeMutableBytes { mt_read(descriptor, $0.baseAddress, $0.count) }
        return count < 0 ? nil : Array(bytes.prefix(Int(count)))
    }
}
