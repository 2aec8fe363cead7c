package import Base

/// One MTA-STS policy as it is kept over restarts: one row per policy domain. Written by the fetch thread through
/// `STSPolicyStorage`, read once at the start.
// RFC 8461 §5.1
package struct STSPolicyRecord: Sendable, Hashable {
    /// Lower-case A-labels: the key.
    package var domain: [UInt8]
    /// The `id` of the TXT record the policy was fetched for.
    package var id: [UInt8]
    /// The policy file as it came; at most 64 KiB.
    package var policy: [UInt8]
    /// When it was last fetched and found good.
    package var fetched: WallTime
    /// `fetched` and the policy's max_age.
    package var expires: WallTime

    package init(domain: [UInt8], id: [UInt8], policy: [UInt8], fetched: WallTime, expires: WallTime) {
        self.domain = domain
        self.id = id
        self.policy = policy
        self.fetched = fetched
        self.expires = expires
    }
}
