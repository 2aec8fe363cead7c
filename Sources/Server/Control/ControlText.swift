import Base
import CEpoll
import Ledger

/// Text of commands' output.
enum ControlText {
    /// Bytes from the store or a peer as text: UTF-8 without controls and invisible characters as it is, everything else
    /// escaped, as in explanations, but for line ends, which are escaped here too.
    static func shown(_ bytes: [UInt8]) -> String { bytes.contains(ASCII.lf) ? bytes.escapedText : bytes.shownText }

    /// `2026-11-23T01:02:03Z`
    static func utc(_ time: WallTime) -> String {
        var seconds = time_t(time.seconds)
        var parts = tm()
        guard gmtime_r(&seconds, &parts) != nil else { return "\(time.seconds)" }
        func two(_ n: Int32) -> String { n < 10 ? "0\(n)" : "\(n)" }
        let date = "\(parts.tm_year + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))"
        return date + "T\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec))Z"
    }

    /// Columns padded to their widest value; the last one is not padded.
    static func table(_ header: [String], _ rows: [[String]]) -> [UInt8] {
        let all = [header] + rows
        let widths = header.indices.map { i in all.map { $0[i].unicodeScalars.count }.max() ?? 0 }
        var out = ""
        for row in all {
            for (i, cell) in row.enumerated() {
                out += cell
                if i + 1 < row.count {
                    out += String(repeating: " ", count: widths[i] - cell.unicodeScalars.count + 2)
                }
            }
            out += "\n"
        }
        return Array(out.utf8)
    }
}
