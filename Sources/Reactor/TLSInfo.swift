/// What a completed handshake agreed on, for logs, trace headers and policy.
package struct TLSInfo: Sendable, Equatable {
    /// As OpenSSL spells it: `TLSv1.3`.
    package var version: String
    package var cipher: String
    package var cipherBits: Int
    /// Key-exchange group, empty when there was none.
    package var group: String
    /// The name the client asked for, nil when it named none.
    package var serverName: String?
    package var resumed: Bool
    /// Clients only.
    package var peerCertificate: PeerCertificate?

    package struct PeerCertificate: Sendable, Equatable {
        package var subject: String
        package var sha256: [UInt8]
        /// Chain and name were checked and hold. False when no check was asked for.
        package var verified: Bool
        /// OpenSSL's text for what the check found.
        package var verifyText: String
    }
}
