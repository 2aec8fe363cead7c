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
    /// The session's keys cannot be had from the server's long-term key.
    package var hasForwardSecrecy = true
    /// Clients only.
    package var peerCertificate: PeerCertificate?

    package struct PeerCertificate: Sendable, Equatable {
        package var subject: String
        package var issuer = ""
        /// `RSA 2048`, `ECDSA P-256`, `Ed25519`.
        package var key = ""
        /// Unix seconds; 0 when it could not be read.
        package var notAfter: Int64 = 0
        package var sha256: [UInt8]
        /// A check was made (enforced, or only observed) and holds.
        package var verified: Bool
        /// What the check found wrong; nil when it holds and when none was made.
        package var failure: TLSFailureKind?
        /// OpenSSL's text for what the check found.
        package var verifyText: String
        /// The usage of the TLSA record that matched.
        package var daneUsage: UInt8?
        /// TLSA records that could be used. 0 with DANE asked for: any certificate was taken (RFC 7672 §2.2).
        package var usableRecords = 0

        package init(subject: String, sha256: [UInt8], verified: Bool, verifyText: String) {
            self.subject = subject
            self.sha256 = sha256
            self.verified = verified
            self.verifyText = verifyText
        }
    }

    package init(version: String, cipher: String, cipherBits: Int, group: String, resumed: Bool) {
        self.version = version
        self.cipher = cipher
        self.cipherBits = cipherBits
        self.group = group
        self.resumed = resumed
    }
}
