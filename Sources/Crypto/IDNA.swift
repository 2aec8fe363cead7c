import Base
import CIDN2

/// Domain names between Unicode (U-labels, UTF-8) and ASCII (A-labels), after IDNA 2008 with the UTS #46 mapping,
/// non-transitional. Names of hosts and mail domains only: at most 253 octets, labels at most 63.
package enum IDNA {
    /// UTF-8 longer than this cannot become 253 octets of ASCII.
    private static let inputMax = 1_024

    /// Lower-case ASCII form, or nil when the name is not a valid one. A trailing dot is refused.
    package static func toASCII(_ name: [UInt8]) -> [UInt8]? {
        guard (1...inputMax).contains(name.count), !name.contains(0), name.last != ASCII.dot else { return nil }
        if !ByteScan.containsNonASCII(name.span), !hasALabel(name) {
            let lower = ASCII.lowercased(name)
            return isHostName(lower) ? lower : nil
        }
        var out: UnsafeMutablePointer<UInt8>?
        let flags = Int32(IDN2_NFC_INPUT.rawValue | IDN2_NONTRANSITIONAL.rawValue | IDN2_USE_STD3_ASCII_RULES.rawValue)
        let status = idn2_lookup_u8(name + [0], &out, flags)
        guard status == IDN2_OK.rawValue, let out else { return nil }
        defer { idn2_free(out) }
        let ascii = ASCII.lowercased(bytes(out))
        return isHostName(ascii) ? ascii : nil
    }

    /// UTF-8 form of an ASCII name (labels that are not valid A-labels refuse the whole), or nil.
    package static func toUnicode(_ name: [UInt8]) -> [UInt8]? {
        guard (1...253).contains(name.count), !name.contains(0) else { return nil }
        if !hasALabel(name) { return toASCII(name) }
        var out: UnsafeMutablePointer<CChar>?
        let status = idn2_to_unicode_8z8z(name.map { CChar(bitPattern: $0) } + [0], &out, 0)
        guard status == IDN2_OK.rawValue, let out else { return nil }
        defer { idn2_free(out) }
        let unicode = out.withMemoryRebound(to: UInt8.self, capacity: 1) { bytes($0) }
        // Only a form that leads back to the name shows what the name is (RFC 5891 §5.4).
        return toASCII(unicode) == ASCII.lowercased(name) ? unicode : nil
    }

    private static func bytes(_ text: UnsafePointer<UInt8>) -> [UInt8] {
        var out: [UInt8] = []
        while text[out.count] != 0, out.count < 4_096 { out.append(text[out.count]) }
        return out
    }

    private static func hasALabel(_ name: [UInt8]) -> Bool {
        name.split(separator: ASCII.dot).contains { ASCII.lowercased(Array($0.prefix(4))) == Array("xn--".utf8) }
    }

    // RFC 1035 §2.3.4 and RFC 1123 §2.1
    private static func isHostName(_ name: [UInt8]) -> Bool {
        guard (1...253).contains(name.count) else { return false }
        return name.split(separator: ASCII.dot, omittingEmptySubsequences: false).allSatisfy { label in
            (1...63).contains(label.count) && label.first != ASCII.hyphen && label.last != ASCII.hyphen
                && label.allSatisfy { ASCII.isAlphanumeric($0) || $0 == ASCII.hyphen }
        }
    }
}
