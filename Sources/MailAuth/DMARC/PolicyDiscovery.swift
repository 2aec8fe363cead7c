package import Protocols

/// Which record applies to an author domain (RFC 9989 §4.10.1): its own, that of its Organizational Domain, or that of the
/// public suffix above.
package struct PolicyDiscovery: Sendable {
    package let author: DNSName
    /// The record that applies.
    package private(set) var lookup: DMARCLookup?
    /// Known when the tree had to be walked.
    package private(set) var organization: DNSName?
    /// No record was found, but an answer is lacking where one could be.
    package private(set) var isUncertain = false
    package private(set) var isSecure: Bool
    private let authorHasNames: Bool

    package init(_ author: DNSName, _ facts: Facts) throws(Missing) {
        self.author = author
        let own = try DMARCLookup(author, facts)
        authorHasNames = own.exists
        isSecure = own.isSecure
        if own.record != nil {
            lookup = own
            return
        }
        let walk = try TreeWalk(from: author, facts)
        let organization = walk.organization
        self.organization = organization
        isSecure = walk.isSecure
        lookup =
            walk.found.first { $0.name == organization }
            ?? walk.found.last { $0.record?.publicSuffix == .yes }
        // What the author domain, or a name between, would have said is not known.
        if let failed = walk.failed.first, failed == author || lookup == nil || walk.isUncertain {
            lookup = nil
            isUncertain = true
        }
    }

    /// RFC 9989 §3.2.13: only NXDOMAIN means that a domain does not exist. Asked only when the answer matters; an answer
    /// that is lacking counts as existence.
    package func authorExists(_ facts: Facts) throws(Missing) -> Bool {
        guard let lookup, lookup.name != author, !authorHasNames, lookup.record?.asksForExistence == true else {
            return true
        }
        return try facts.need(author, .a).status != .nxDomain
    }
}
