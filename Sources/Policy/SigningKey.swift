package import Base

/// Names one key for good: ids are never used again.
package struct SigningKeyID: Sendable, Hashable {
    package let rawValue: Int64
    package init(rawValue: Int64) { self.rawValue = rawValue }
}

/// What DKIM and ARC signatures are made with (RFC 8301 §3.1, RFC 8463 §3).
package enum SigningAlgorithm: String, Sendable, Hashable, CaseIterable {
    case rsa = "rsa-sha256"
    case ed25519 = "ed25519-sha256"
}

/// An active key of a domain of ours as the snapshot carries it: octets, not yet parsed. `SigningKeyCache` (Server) parses
/// each once for every thread that signs. The private key never prints itself.
package struct SigningKey: Sendable {
    package let id: SigningKeyID
    /// Lower case; d=.
    package let domain: [UInt8]
    package let selector: [UInt8]
    package let algorithm: SigningAlgorithm
    /// PKCS#8 in PEM.
    package let privateKey: Secret

    package init(
        id: SigningKeyID, domain: [UInt8], selector: [UInt8], algorithm: SigningAlgorithm, privateKey: Secret
    ) {
        self.id = id
        self.domain = domain
        self.selector = selector
        self.algorithm = algorithm
        self.privateKey = privateKey
    }
}
