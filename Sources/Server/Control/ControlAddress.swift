import Base
import Crypto

/// Addresses and domains as people type them, brought to the form the store keeps.
enum ControlAddress {
    /// Lower-case ASCII form, or nil.
    static func domain(_ text: [UInt8]) -> [UInt8]? { IDNA.toASCII(text) }

    /// `local@domain` in lower case; `@domain` too when `catchAll`. nil: not an address.
    static func mailbox(_ text: [UInt8], catchAll: Bool = false) -> [UInt8]? {
        guard let at = text.lastIndex(of: ASCII.at), let domain = domain(Array(text[(at + 1)...])) else { return nil }
        let local = Array(text[..<at])
        if local.isEmpty { return catchAll ? [ASCII.at] + domain : nil }
        // RFC 5321 §4.5.3.1.1; quoted local parts are for other people's addresses.
        guard local.count <= 64, local.allSatisfy({ isAtomByte($0) || $0 == ASCII.dot }),
            local.first != ASCII.dot, local.last != ASCII.dot, String(validating: local, as: UTF8.self) != nil
        else { return nil }
        for i in 1..<max(local.count, 1) where local[i] == ASCII.dot && local[i - 1] == ASCII.dot { return nil }
        return ASCII.lowercased(local) + [ASCII.at] + domain
    }

    /// The domain of a checked address.
    static func domainPart(_ address: [UInt8]) -> [UInt8] {
        address.lastIndex(of: ASCII.at).map { Array(address[($0 + 1)...]) } ?? []
    }

    // RFC 5322 §3.2.3, RFC 6531 §3.3
    private static func isAtomByte(_ c: UInt8) -> Bool {
        ASCII.isAlphanumeric(c) || c >= 0x80 || "!#$%&'*+-/=?^_`{|}~".utf8.contains(c)
    }
}
