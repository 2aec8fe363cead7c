package import Base

/// One host tried for one message: the line of `explain` about it, and the source of TLS reports. Made by the delivery
/// worker, kept by the ledger.
package struct AttemptRecord: Sendable, Hashable {
    package var message: MessageID
    package var began: WallTime
    package var elapsedMicroseconds: UInt64
    /// The recipient domain.
    package var destination: [UInt8]
    /// Of the recipients, those this attempt was for.
    package var recipients: [Recipient]
    /// The MX or route host; empty when no host was found to try.
    package var host: [UInt8]
    /// Its address as text.
    package var address: [UInt8] = []
    package var port: UInt16 = 0
    /// Whether a connection made for an earlier message served.
    package var isReused = false
    /// The remote's greeting line or EHLO name, for people.
    package var banner: [UInt8] = []
    package var tls: TLS?

    package struct Recipient: Sendable, Hashable {
        package var address: [UInt8]
        package var result: Result

        package init(address: [UInt8], result: Result) {
            self.address = address
            self.result = result
        }
    }

    package enum Result: Sendable, Hashable {
        /// The remote took it: its code and words.
        case delivered(code: UInt16, text: [UInt8])
        case failed(DeliveryFailure)
        /// Tried at the next host within the same delivery.
        case passedOn(DeliveryFailure)
    }

    /// What is known of transport security, whether a session came about or not.
    package struct TLS: Sendable, Hashable {
        package var policies: [TLSPolicyFact] = []
        /// What was asked of the host.
        package var requirement: [UInt8] = []
        package var result: TLSResultType = .success
        /// Why, for people.
        package var detail: [UInt8] = []
        /// Whether the failure would have been enforced but for a testing mode.
        package var isTesting = false
        /// Empty: no TLS session.
        package var version: [UInt8] = []
        package var cipher: [UInt8] = []
        package var group: [UInt8] = []
        package var hasForwardSecrecy = false
        /// Chain and name were verified, by DANE or by roots.
        package var isVerified = false
        package var certificate: Certificate?

        package init() {}
    }

    package struct Certificate: Sendable, Hashable {
        /// `RSA 2048`, `ECDSA P-256`, `Ed25519`.
        package var key: [UInt8]
        package var subject: [UInt8]
        package var issuer: [UInt8]
        /// Unix seconds.
        package var notAfter: Int64

        package init(key: [UInt8], subject: [UInt8], issuer: [UInt8], notAfter: Int64) {
            self.key = key
            self.subject = subject
            self.issuer = issuer
            self.notAfter = notAfter
        }
    }

    package init(
        message: MessageID, began: WallTime, elapsedMicroseconds: UInt64, destination: [UInt8], recipients: [Recipient],
        host: [UInt8]
    ) {
        self.message = message
        self.began = began
        self.elapsedMicroseconds = elapsedMicroseconds
        self.destination = destination
        self.recipients = recipients
        self.host = host
    }
}
