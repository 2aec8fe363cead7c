import Base

/// What every back-end checks of names before it keeps them. Coarse on purpose: the exact grammar is the server's.
package enum DirectoryRules {
    /// What comes after the last `@`; nil without one or when nothing does.
    package static func domain(of address: [UInt8]) -> [UInt8]? {
        guard let at = address.lastIndex(of: ASCII.at), at + 1 < address.count else { return nil }
        return Array(address[(at + 1)...])
    }

    /// `local@domain` with both parts, at most 64 and 255 octets, printable.
    package static func isMailbox(_ address: [UInt8]) -> Bool {
        guard let at = address.lastIndex(of: ASCII.at), at > 0, at <= 64, at + 1 < address.count else { return false }
        return address.count - at - 1 <= 255 && address.allSatisfy { $0 > ASCII.space && $0 != 0x7F }
    }

    package static func isDomain(_ name: [UInt8]) -> Bool {
        !name.isEmpty && name.count <= 255 && name.allSatisfy { $0 > ASCII.space && $0 != 0x7F && $0 != ASCII.at }
            && name.first != ASCII.dot && name.last != ASCII.dot
    }

    /// RFC 6376 §3.1: labels of letters, digits and inner hyphens, parted by dots.
    package static func isSelector(_ name: [UInt8]) -> Bool {
        guard (1...100).contains(name.count) else { return false }
        return name.split(separator: ASCII.dot, omittingEmptySubsequences: false).allSatisfy { label in
            (1...63).contains(label.count) && label.first != ASCII.hyphen && label.last != ASCII.hyphen
                && label.allSatisfy { ASCII.isAlphanumeric($0) || $0 == ASCII.hyphen }
        }
    }
}
