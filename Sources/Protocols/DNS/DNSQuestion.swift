/// The record types that mail needs.
package enum DNSRecordType: UInt16, Sendable, Hashable, CaseIterable, CustomStringConvertible {
    case a = 1
    case cname = 5
    case ptr = 12
    case mx = 15
    case txt = 16
    case aaaa = 28
    case tlsa = 52

    package var description: String {
        switch self {
        case .a: "A"
        case .cname: "CNAME"
        case .ptr: "PTR"
        case .mx: "MX"
        case .txt: "TXT"
        case .aaaa: "AAAA"
        case .tlsa: "TLSA"
        }
    }
}

/// A name and a type, class IN. Equal but for the case of the name: one query serves all who ask the same.
package struct DNSQuestion: Sendable, Hashable, CustomStringConvertible {
    package let name: DNSName
    package let type: DNSRecordType

    package init(_ name: DNSName, _ type: DNSRecordType) {
        self.name = name
        self.type = type
    }

    package var description: String { "\(name) \(type)" }
}
