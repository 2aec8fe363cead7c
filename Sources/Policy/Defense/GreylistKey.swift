import Base
package import Protocols

/// What one triplet is remembered by: who sends (the client's network, or the domain that SPF proves), the envelope
/// sender without what changes from message to message, and the recipient.
///
/// A sender that came back for one recipient is known for every recipient of that domain: a client that retries once
/// does so always, and whoever writes to a second colleague, or to a list of them, is not put off again.
package struct GreylistKey: Sendable, Hashable {
    package var identity: [UInt8]
    /// Empty: the null reverse-path.
    package var sender: [UInt8]
    package var recipient: [UInt8]
    /// The receiving domain, whose rules apply.
    package var domain: [UInt8]

    /// RFC 5321 §4.5.3.1 allows less for each part.
    private static let octetsMax = 320

    // RFC 6647 §5: clusters of outgoing servers are tracked by a block of addresses or by a domain that is known to
    // be theirs.
    package init(
        address: IPAddress, provenDomain: [UInt8]?, sender: [UInt8], recipient: [UInt8], domain: [UInt8]
    ) {
        if let provenDomain, !provenDomain.isEmpty {
            identity = Self.bounded(ASCII.lowercased(provenDomain))
        } else {
            identity = Array(AddressBlock(networkOf: address.unmapped).description.utf8)
        }
        self.sender = Self.bounded(GreylistSender.normalised(sender))
        self.recipient = Self.bounded(ASCII.lowercased(recipient))
        self.domain = Self.bounded(ASCII.lowercased(domain))
    }

    /// Identity, sender and recipient with NUL between them.
    package var triplet: [UInt8] { Self.text(identity, sender, recipient) }

    /// The same with `@domain` for the recipient: all of a domain's.
    package var pair: [UInt8] { Self.text(identity, sender, [ASCII.at] + domain) }

    private static func text(_ a: [UInt8], _ b: [UInt8], _ c: [UInt8]) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(a.count + b.count + c.count + 2)
        out += a
        out.append(ASCII.nul)
        out += b
        out.append(ASCII.nul)
        out += c
        return out
    }

    /// The end is kept: domains stand there.
    private static func bounded(_ bytes: [UInt8]) -> [UInt8] {
        bytes.count <= octetsMax ? bytes : Array(bytes.suffix(octetsMax))
    }
}
