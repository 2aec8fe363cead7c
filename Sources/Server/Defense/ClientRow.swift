package import Policy

/// One line of what operators see of clients.
package struct ClientRow: Sendable, Hashable {
    /// An address, a /64 of IPv6, or a network.
    package var client: AddressBlock
    package var isNetwork: Bool
    /// Connections now.
    package var open: Int
    /// What is used up of its rates.
    package var spent: ClientRecord.Spent
    /// Of the last hour.
    package var failures: Int
    /// Until its held answer goes out; 0: it is not slowed now.
    package var slowedSeconds: Double
    package var refused: ClientRecord.Refused
    package var isKnownGood: Bool
    /// Since it was last dealt with.
    package var idleSeconds: Double

    package enum Kind: Sendable {
        /// Clients and networks that a limit counts now or refused.
        case limits
        /// Clients with failures.
        case tarpit
    }
}
