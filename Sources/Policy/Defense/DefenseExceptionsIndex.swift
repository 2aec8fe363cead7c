import Base

/// `DefenseExceptions` as sessions ask for them: quickly, however many there are. Made anew at each change.
package struct DefenseExceptionsIndex: Sendable, Hashable {
    package let limits: AddressBlockIndex
    package let tarpit: AddressBlockIndex
    package let greylist: AddressBlockIndex
    package let greylistDomains: Set<[UInt8]>

    package init(_ exceptions: DefenseExceptions = DefenseExceptions()) {
        limits = AddressBlockIndex(exceptions.limits)
        tarpit = AddressBlockIndex(exceptions.tarpit)
        greylist = AddressBlockIndex(exceptions.greylist)
        greylistDomains = Set(exceptions.greylistDomains)
    }

    /// Whether `domain`, or one it is below, is exempt from greylisting.
    package func isAllowed(domain: [UInt8]) -> Bool {
        if greylistDomains.isEmpty || domain.isEmpty { return false }
        let domain = ASCII.lowercased(domain)
        if greylistDomains.contains(domain) { return true }
        for i in domain.indices where domain[i] == ASCII.dot {
            if greylistDomains.contains(Array(domain[(i + 1)...])) { return true }
        }
        return false
    }
}
