import Base

/// The name rows of one destination share: the recipient's domain in lower case, or an address literal with its brackets.
package enum QueueSite {
    /// What comes after the last `@` of `address`, in lower case (ASCII only); empty without one.
    package static func of(_ address: [UInt8]) -> [UInt8] {
        guard let at = address.lastIndex(of: ASCII.at) else { return [] }
        return ASCII.lowercased(Array(address[(at + 1)...]))
    }
}
