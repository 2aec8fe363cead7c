package import Base
package import Policy

/// A key of a domain without its private half: what is listed, published and told of.
package struct DKIMKey: Sendable, Hashable {
    /// For this long after it was retired the record of a key stays published: mail signed with it may still be on its way
    /// (a queue keeps mail for five days).
    package static let retiredSeconds: Int64 = 7 * 86_400

    package enum State: String, Sendable, CaseIterable {
        /// Its record is to be published; nothing is signed with it yet.
        case published
        /// Mail is signed with it.
        case active
        /// Nothing is signed with it any more.
        case retired
    }

    package let id: SigningKeyID
    /// Lower case.
    package let domain: [UInt8]
    package let selector: [UInt8]
    package let algorithm: SigningAlgorithm
    package let bits: Int
    /// The text of the TXT record.
    package let record: [UInt8]
    package let state: State
    package let created: WallTime
    /// When it was last made active; nil: never.
    package let activated: WallTime?
    package let retired: WallTime?

    package init(
        id: SigningKeyID, domain: [UInt8], selector: [UInt8], algorithm: SigningAlgorithm, bits: Int, record: [UInt8],
        state: State, created: WallTime, activated: WallTime? = nil, retired: WallTime? = nil
    ) {
        self.id = id
        self.domain = domain
        self.selector = selector
        self.algorithm = algorithm
        self.bits = bits
        self.record = record
        self.state = state
        self.created = created
        self.activated = activated
        self.retired = retired
    }

    /// From when the record need not be published; nil while the key is in use. A key that never signed anything goes at
    /// once.
    package var removableAt: WallTime? {
        guard let retired else { return nil }
        return activated == nil ? retired : WallTime(seconds: retired.seconds + Self.retiredSeconds)
    }

    /// Whether its record is to be in the DNS.
    package func isPublished(at now: WallTime) -> Bool { removableAt.map { now < $0 } ?? true }
}

/// A key to be kept.
package struct NewDKIMKey: Sendable {
    package let domain: [UInt8]
    package let selector: [UInt8]
    package let algorithm: SigningAlgorithm
    package let bits: Int
    package let record: [UInt8]
    /// PKCS#8 in PEM.
    package let privateKey: Secret
    package let created: WallTime

    package init(
        domain: [UInt8], selector: [UInt8], algorithm: SigningAlgorithm, bits: Int, record: [UInt8],
        privateKey: Secret, created: WallTime
    ) {
        self.domain = domain
        self.selector = selector
        self.algorithm = algorithm
        self.bits = bits
        self.record = record
        self.privateKey = privateKey
        self.created = created
    }
}
