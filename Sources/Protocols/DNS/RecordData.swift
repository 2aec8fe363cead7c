import Base

/// What one record says. Names and texts are raw bytes.
package enum RecordData: Sendable, Hashable {
    case a(IPAddress)
    case aaaa(IPAddress)
    case mx(preference: UInt16, host: DNSName)
    /// The character-strings of the record joined without anything between (RFC 7208 §3.3, RFC 6376 §3.6.2.2).
    case txt([UInt8])
    case ptr(DNSName)
    case cname(DNSName)
    case tlsa(TLSAData)

    package var type: DNSRecordType {
        switch self {
        case .a: .a
        case .aaaa: .aaaa
        case .mx: .mx
        case .txt: .txt
        case .ptr: .ptr
        case .cname: .cname
        case .tlsa: .tlsa
        }
    }

    /// The address of an A or AAAA record.
    package var address: IPAddress? {
        switch self {
        case .a(let address), .aaaa(let address): address
        default: nil
        }
    }

    package var text: [UInt8]? {
        if case .txt(let bytes) = self { return bytes }
        return nil
    }

    /// The name that a PTR, CNAME or MX record points to.
    package var target: DNSName? {
        switch self {
        case .ptr(let name), .cname(let name), .mx(_, let name): name
        default: nil
        }
    }
}

/// RFC 6698 §2.1, undigested: usability is judged by the TLSA check.
package struct TLSAData: Sendable, Hashable {
    package let usage: UInt8
    package let selector: UInt8
    package let matchingType: UInt8
    package let data: [UInt8]

    package init(usage: UInt8, selector: UInt8, matchingType: UInt8, data: [UInt8]) {
        self.usage = usage
        self.selector = selector
        self.matchingType = matchingType
        self.data = data
    }
}

extension RecordData: CustomStringConvertible {
    package var description: String {
        switch self {
        case .a(let address), .aaaa(let address): "\(address)"
        case .mx(let preference, let host): "\(preference) \(host)"
        case .txt(let bytes): "\"\(bytes.escapedText)\""
        case .ptr(let name), .cname(let name): "\(name)"
        case .tlsa(let tlsa): "\(tlsa.usage) \(tlsa.selector) \(tlsa.matchingType) \(Hex.encode(tlsa.data))"
        }
    }
}

/// Uncompressed rdata as a validating resolver hands it out. Every length is checked: the bytes are a stranger's.
extension RecordData {
    /// nil: not exactly one well-formed record of that type.
    package init?(type: DNSRecordType, rdata: [UInt8]) {
        switch type {
        case .a:
            guard rdata.count == 4 else { return nil }
            self = .a(IPAddress(record: rdata))
        case .aaaa:
            guard rdata.count == 16 else { return nil }
            self = .aaaa(IPAddress(record: rdata))
        case .mx:
            guard rdata.count > 2, let host = DNSName(wire: Array(rdata[2...])) else { return nil }
            self = .mx(preference: UInt16(rdata[0]) << 8 | UInt16(rdata[1]), host: host)
        case .txt:
            guard let text = Self.joinedStrings(rdata) else { return nil }
            self = .txt(text)
        case .ptr:
            guard let name = DNSName(wire: rdata) else { return nil }
            self = .ptr(name)
        case .cname:
            guard let name = DNSName(wire: rdata) else { return nil }
            self = .cname(name)
        case .tlsa:
            guard rdata.count >= 3 else { return nil }
            self = .tlsa(
                TLSAData(usage: rdata[0], selector: rdata[1], matchingType: rdata[2], data: Array(rdata[3...])))
        }
    }

    /// RFC 1035 §3.3.14: one or more character-strings.
    private static func joinedStrings(_ rdata: [UInt8]) -> [UInt8]? {
        guard !rdata.isEmpty else { return nil }
        var out: [UInt8] = []
        out.reserveCapacity(rdata.count)
        var i = 0
        while i < rdata.count {
            let end = i + 1 + Int(rdata[i])
            guard end <= rdata.count else { return nil }
            out.append(contentsOf: rdata[(i + 1)..<end])
            i = end
        }
        return out
    }
}
