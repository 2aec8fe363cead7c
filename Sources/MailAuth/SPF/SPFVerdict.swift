package import Protocols

/// What RFC 7208 says of one identity, and why. Equal facts make equal verdicts.
package struct SPFVerdict: Sendable, Hashable {
    package var result: AuthResult
    /// Which identity was checked.
    package var identity: SPFCheck.Identity
    /// <sender>: the identity as it went in, with the local-part that stands in for a missing one and A-labels.
    package var sender: [UInt8]
    /// The domain whose record was asked for first, A-labels.
    package var domain: [UInt8]
    /// The first record found, as published.
    package var record: [UInt8] = []
    /// What decided, outermost first: the `include` or `redirect` terms that led there and the mechanism that matched.
    /// Empty when nothing matched or led anywhere.
    package var path: [Step] = []
    /// Terms that ask the DNS, of the ten allowed (RFC 7208 §4.6.4).
    package var lookups = 0
    /// Terms whose questions had no answer, of the two allowed.
    package var voidLookups = 0
    /// The domain owner's text for a "fail": a stranger's words, printable US-ASCII (RFC 7208 §6.2). nil: none given.
    package var explanation: [UInt8]?
    /// Why the result is none, temperror or permerror, for people.
    package var problem: String?
    /// Every answer the verdict rests on was validated by DNSSEC.
    package var isSecure = false

    /// A term and the domain whose record holds it.
    package struct Step: Sendable, Hashable {
        package let domain: [UInt8]
        package let term: [UInt8]

        package init(domain: [UInt8], term: [UInt8]) {
            self.domain = domain
            self.term = term
        }
    }

    init(identity: SPFCheck.Identity, sender: [UInt8], domain: [UInt8]) {
        result = .absent
        self.identity = identity
        self.sender = sender
        self.domain = domain
    }

    /// The term of the first record that decided; empty: none, the result is the default one.
    package var mechanism: [UInt8] { path.first?.term ?? [] }

    /// Octets of a term and of a record that go into the summary; real ones are far shorter.
    private static let termMax = 512
    private static let recordMax = 2_048

    /// The part that all checks have in common, for policy, `Authentication-Results` and the ledger.
    package var summary: AuthResults.SPF {
        var spf = AuthResults.SPF(
            result: result, domain: Array(domain.prefix(255)), identity: Array(sender.prefix(320)))
        spf.mechanism = Array(mechanism.prefix(Self.termMax))
        spf.record = Array(record.prefix(Self.recordMax))
        spf.explanation = explanation ?? []
        spf.reason = Array((problem ?? "").utf8.prefix(AuthResults.reasonMax))
        spf.lookups = lookups
        spf.isSecure = isSecure
        return spf
    }
}
