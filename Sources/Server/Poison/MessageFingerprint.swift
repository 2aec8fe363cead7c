import Crypto
import Handoff

/// Names a message that arrives by what a second try of the same sender repeats: its envelope sender and its header, as
/// octets.
enum MessageFingerprint {
    static func of(sender: [UInt8], header: [UInt8]) -> Fingerprint {
        var digest = RunningDigest(.sha256)
        digest.update(sender)
        // No address holds a NUL, so that no other division of the octets gives the same.
        digest.update([0])
        digest.update(header)
        return Fingerprint(digest.finish())
    }
}
