import Crypto
import Handoff
import Policy
import Protocols

/// Names what arrives by what a second try of the same sender repeats: a message by its envelope sender and its header, as
/// octets; what comes before it by the client's network, the name it gives itself and the sender.
enum MessageFingerprint {
    static func of(sender: [UInt8], header: [UInt8]) -> Fingerprint {
        var digest = RunningDigest(.sha256)
        digest.update(sender)
        // No address holds a NUL, so that no other division of the octets gives the same.
        digest.update([0])
        digest.update(header)
        return Fingerprint(digest.finish())
    }

    /// `client` is nil for a Unix socket.
    static func ofEnvelope(client: IPAddress?, helo: [UInt8], sender: [UInt8]) -> Fingerprint {
        var digest = RunningDigest(.sha256)
        digest.update(client.map { AddressBlock(networkOf: $0).address.bytes } ?? [])
        digest.update([0])
        digest.update(helo)
        digest.update([0])
        digest.update(sender)
        return Fingerprint(digest.finish())
    }
}
