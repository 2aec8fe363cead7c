import Base

/// Texts that stand for sizes, durations and names in a configuration; pure.
package enum ConfigText {
    private static let sizeUnits = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)]
    private static let durationUnits = [("w", 604_800), ("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)]

    /// Octets: `1048576`, `50MiB`, `64 KiB`.
    package static func size(_ text: String) -> Int? { quantity(text, sizeUnits) }
    /// Seconds: `300`, `5m`, `2h`.
    package static func duration(_ text: String) -> Int? { quantity(text, durationUnits) }
    package static func sizeText(_ n: Int) -> String { text(n, sizeUnits.dropLast()) }
    package static func durationText(_ n: Int) -> String { text(n, durationUnits[...]) }

    private static func quantity(_ text: String, _ units: [(String, Int)]) -> Int? {
        let digits = text.prefix { $0 >= "0" && $0 <= "9" }
        guard !digits.isEmpty, let number = Int(digits) else { return nil }
        let unit = text[digits.endIndex...].drop { $0 == " " }
        if unit.isEmpty { return number }
        guard let factor = units.first(where: { $0.0 == unit })?.1 else { return nil }
        let (product, overflow) = number.multipliedReportingOverflow(by: factor)
        return overflow ? nil : product
    }

    private static func text(_ n: Int, _ units: ArraySlice<(String, Int)>) -> String {
        for (name, factor) in units where n > 0 && n % factor == 0 { return "\(n / factor)\(name)" }
        return "\(n)"
    }

    /// A resolver's numeric address, with `@port` when that is not 53.
    package static func isResolver(_ text: String) -> Bool {
        let parts = text.split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false)
        guard let address = parts.first, IPNetwork.addressBytes(String(address)) != nil else { return false }
        return parts.count == 1 || (Int(parts[1]).map { (1...65_535).contains($0) } ?? false)
    }

    /// RFC 1123 §2.1 host name: letters, digits and hyphens in labels of 1 to 63, at most 253 octets.
    package static func isHostName(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        guard (1...253).contains(bytes.count) else { return false }
        return bytes.split(separator: ASCII.dot, omittingEmptySubsequences: false).allSatisfy { label in
            guard (1...63).contains(label.count), label.first != ASCII.hyphen, label.last != ASCII.hyphen else {
                return false
            }
            return label.allSatisfy { ASCII.isAlphanumeric($0) || $0 == ASCII.hyphen }
        }
    }

    /// The candidate closest to `word`, when it is close enough to be what was meant.
    package static func suggestion(for word: String, among candidates: [String]) -> String? {
        let best = candidates.map { ($0, distance(word, $0)) }.min { $0.1 < $1.1 }
        guard let (text, edits) = best, edits <= max(1, min(word.utf8.count, text.utf8.count) / 3) else { return nil }
        return text
    }

    /// Edits (insert, delete, replace, swap of neighbours) between two texts, on lower-case bytes; inputs are cut at 64.
    private static func distance(_ a: String, _ b: String) -> Int {
        let x = Array(a.utf8.prefix(64)).map(ASCII.lowercased)
        let y = Array(b.utf8.prefix(64)).map(ASCII.lowercased)
        if x.isEmpty || y.isEmpty { return max(x.count, y.count) }
        var before = [Int](repeating: 0, count: y.count + 1)
        var row = Array(0...y.count)
        for i in 1...x.count {
            var next = [Int](repeating: i, count: y.count + 1)
            for j in 1...y.count {
                next[j] = min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (x[i - 1] == y[j - 1] ? 0 : 1))
                if i > 1, j > 1, x[i - 1] == y[j - 2], x[i - 2] == y[j - 1] {
                    next[j] = min(next[j], before[j - 2] + 1)
                }
            }
            before = row
            row = next
        }
        return row[y.count]
    }
}
