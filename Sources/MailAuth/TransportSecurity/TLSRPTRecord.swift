import Base

/// The TXT record of `_smtp._tls.<domain>`: who wants TLS reports.
// RFC 8460 §3
package struct TLSRPTRecord: Sendable, Hashable {
    /// Places a report is sent to; further ones are not read.
    private static let targetsMax = 10

    package enum Target: Sendable, Hashable {
        /// An address, still percent-encoded as it came.
        case mailto([UInt8])
        /// The whole URI.
        case https([UInt8])
    }

    /// In their order; empty when all are of unknown schemes.
    package let targets: [Target]

    /// nil: not a valid record.
    package init?(_ text: [UInt8]) {
        guard let fields = PolicyRecordFields(text, version: "v=TLSRPTv1", spaced: "rua") else { return nil }
        let lists = fields.values("rua")
        guard !lists.isEmpty else { return nil }
        var targets: [Target] = []
        for list in lists {
            for part in list.split(separator: ASCII.comma, omittingEmptySubsequences: false) {
                let uri = Array(PolicyRecordFields.trimmed(part))
                guard Self.isURI(uri) else { return nil }
                guard let target = Self.target(uri), targets.count < Self.targetsMax else { continue }
                targets.append(target)
            }
        }
        self.targets = targets
    }

    /// The one record among all texts of the name. nil: no reports are wanted.
    package static func find(in texts: [[UInt8]]) -> TLSRPTRecord? {
        let records = texts.filter { PolicyRecordFields.begins($0, with: "v=TLSRPTv1") }
        return records.count == 1 ? TLSRPTRecord(records[0]) : nil
    }

    private static func target(_ uri: [UInt8]) -> Target? {
        guard let colon = uri.firstIndex(of: ASCII.colon) else { return nil }
        let scheme = ASCII.lowercased(Array(uri[..<colon]))
        if scheme == Array("mailto".utf8) {
            // RFC 6068 §2: header fields after "?" are nothing we would let a stranger set.
            let address = uri[(colon + 1)...].prefix { $0 != 0x3F }
            return address.contains(ASCII.at) ? .mailto(Array(address)) : nil
        }
        if scheme == Array("https".utf8), uri[(colon + 1)...].starts(with: Array("//".utf8)), uri.count > colon + 3 {
            return .https(uri)
        }
        return nil
    }

    /// A scheme, and the characters of RFC 3986 §2 without the three that must be encoded here.
    private static func isURI(_ uri: [UInt8]) -> Bool {
        guard let colon = uri.firstIndex(of: ASCII.colon), colon > 0, colon + 1 < uri.count, ASCII.isAlpha(uri[0])
        else { return false }
        for c in uri[..<colon]
        where !(ASCII.isAlphanumeric(c) || c == ASCII.plus || c == ASCII.hyphen || c == ASCII.dot) { return false }
        for (i, c) in uri.enumerated() {
            if c == 0x25 {
                guard i + 2 < uri.count, Hex.value(uri[i + 1]) != nil, Hex.value(uri[i + 2]) != nil else {
                    return false
                }
            } else if !(0x21..<0x7F).contains(c) || c == 0x21 || c == ASCII.quote || c == ASCII.less
                || c == ASCII.greater
                || c == ASCII.backslash
            {
                return false
            }
        }
        return true
    }
}
