package import Protocols

/// Whether an authenticated domain stands for the author domain (RFC 9989 §4.4, §4.10.2).
package enum Alignment: Sendable, Hashable {
    case aligned, unaligned
    /// An answer that is lacking decides.
    case unknown

    package init(_ identifier: DNSName, with author: DNSName, strict: Bool, _ facts: Facts) throws(Missing) {
        // One domain is aligned with itself, wherever the records are: no question needed.
        if identifier == author {
            self = .aligned
            return
        }
        // Organizational Domains are suffixes of their domains: different top-level labels never meet.
        if strict || identifier.suffix(1) != author.suffix(1) {
            self = .unaligned
            return
        }
        var missing = Missing([DNSQuestion]())
        var walks: [TreeWalk] = []
        for name in [author, identifier] {
            do throws(Missing) {
                walks.append(try TreeWalk(from: name, facts))
            } catch {
                missing.merge(error)
            }
        }
        guard let authors = walks.first, let other = walks.last, walks.count == 2 else { throw missing }
        if authors.isUncertain || other.isUncertain {
            self = .unknown
        } else {
            self = authors.organization == other.organization ? .aligned : .unaligned
        }
    }
}
