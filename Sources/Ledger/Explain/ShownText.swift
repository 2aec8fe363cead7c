import Base
package import Protocols

/// Text of explanations.
extension Array where Element == UInt8 {
    /// Octets of a peer for people: UTF-8 without controls and invisible characters as it is, else escaped; lines of a
    /// reply parted by ` / `.
    package var shownText: String {
        if contains(ASCII.lf) {
            return split(separator: ASCII.lf).map { Array($0).shownText }.joined(separator: " / ")
        }
        guard let text = String(validating: self, as: UTF8.self),
            text.unicodeScalars.allSatisfy({ $0.value >= 0x20 && Self.isVisible($0) })
        else { return escapedText }
        return text
    }

    private static func isVisible(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator: false
        default: true
        }
    }
}

enum ShownText {
    /// `2026-11-23T01:02:03Z`
    static func utc(_ time: WallTime) -> String {
        let t = DateTime(time)
        func two(_ n: Int) -> String { n < 10 ? "0\(n)" : "\(n)" }
        return "\(t.year)-\(two(t.month))-\(two(t.day))T\(two(t.hour)):\(two(t.minute)):\(two(t.second))Z"
    }

    /// `12.3 ms`, `4.2 s`
    static func duration(_ microseconds: UInt64) -> String {
        let tenths = microseconds / 100
        if tenths < 10_000 { return "\(tenths / 10).\(tenths % 10) ms" }
        return "\(tenths / 10_000).\(tenths / 1_000 % 10) s"
    }

    static func reply(_ reply: Reply) -> String {
        let status = reply.enhanced.map { "\($0.shownText) " } ?? ""
        return "\(reply.code) \(status)\(reply.text.shownText)"
    }

    /// A word of a command that people copy into a shell: as it is where no shell sees anything in it, else in quotes. `other`
    /// stands for what is empty, would be taken for an option, or cannot be quoted; a peer may have chosen the octets.
    static func argument(_ bytes: [UInt8], or other: String) -> String {
        guard let first = bytes.first, first != ASCII.hyphen else { return other }
        if bytes.allSatisfy(isBare) { return String(decoding: bytes, as: UTF8.self) }
        let isQuotable = bytes.allSatisfy { (0x20...0x7e).contains($0) && $0 != 0x27 && $0 != 0x60 }
        return isQuotable ? "'" + String(decoding: bytes, as: UTF8.self) + "'" : other
    }

    /// `192.0.2.0/24` for a command; nil: it is no network.
    static func network(_ bytes: [UInt8]) -> String? {
        let isNetwork = bytes.contains(0x2f) && bytes.allSatisfy { ASCII.isAlphanumeric($0) || "./:".utf8.contains($0) }
        return isNetwork ? String(decoding: bytes, as: UTF8.self) : nil
    }

    private static func isBare(_ byte: UInt8) -> Bool {
        ASCII.isAlphanumeric(byte) || "@._+=-".utf8.contains(byte)
    }

    static func path(_ address: [UInt8]) -> String { "<\(address.shownText)>" }
}

extension EnhancedStatus {
    package var shownText: String { "\(category).\(subject).\(detail)" }
}

extension MessageID {
    var shownText: String { String(decoding: text, as: UTF8.self) }
}
