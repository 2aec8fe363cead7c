import Base
package import Protocols

/// Which TLSA records of a mail host can serve to know it by. Matching, names and digest agility are OpenSSL's.
package enum TLSACheck {
    /// Records of one set that are used; the rest are ignored.
    package static let recordsMax = 32

    package enum Verdict: Sendable, Hashable {
        /// At least one: the host must match one of them.
        case usable([TLSAData])
        /// There are records and none says anything to a mail client: encrypt, without knowing with whom.
        // RFC 7672 §2.2: a non-empty set of unusable records
        case unusable
        case absent
    }

    package static func judge(_ records: [TLSAData]) -> Verdict {
        guard !records.isEmpty else { return .absent }
        let usable = records.filter(isUsable).prefix(recordsMax)
        return usable.isEmpty ? .unusable : .usable(Array(usable))
    }

    /// The certificate usages of mail, known selectors and digests, and data of the length these say.
    // RFC 7672 §3.1.3 and RFC 7671 §4.1
    package static func isUsable(_ record: TLSAData) -> Bool {
        guard record.usage == 2 || record.usage == 3, record.selector <= 1 else { return false }
        switch record.matchingType {
        case 0: return isDERSequence(record.data)
        case 1: return record.data.count == 32
        case 2: return record.data.count == 64
        default: return false
        }
    }

    /// Whether the bytes are one DER SEQUENCE and nothing else: certificates and public keys are.
    private static func isDERSequence(_ data: [UInt8]) -> Bool {
        guard data.count > 2, data[0] == 0x30 else { return false }
        let first = Int(data[1])
        guard first >= 0x80 else { return data.count == 2 + first }
        let octets = first & 0x7F
        guard (1...3).contains(octets), data.count > 2 + octets else { return false }
        var length = 0
        for c in data[2..<(2 + octets)] { length = length << 8 | Int(c) }
        return data.count == 2 + octets + length
    }

    /// The four fields as reports show them.
    // RFC 8460 §4.5
    package static func text(_ record: TLSAData) -> [UInt8] {
        let hex = Hex.encode(record.data).utf8.map { ASCII.uppercased($0) }
        var out: [UInt8] = []
        for field in [record.usage, record.selector, record.matchingType] {
            out.append(decimal: field)
            out.append(ASCII.space)
        }
        return out + hex
    }
}
