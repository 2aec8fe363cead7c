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
    /// Of the recipient.
    package var domain: [UInt8]

    /// RFC 5321 §4.5.3.1 allows less for each part.
    private static let octetsMax = 320

    // RFC 6647 §5: clusters of outgoing servers are tracked by a block of addresses or by a domain that is known to
    // be theirs.
    /// `domain` is for a recipient that has none.
    package init(
        address: IPAddress, provenDomain: [UInt8]?, sender: [UInt8], recipient: [UInt8], domain: [UInt8]
    ) {
        if let provenDomain, !provenDomain.isEmpty {
            identity = Self.bounded(ASCII.lowercased(provenDomain))
        } else {
            identity = Self.network(address)
        }
        self.sender = Self.bounded(GreylistSender.normalised(sender))
        // RFC 5321 §4.5.1: `<postmaster>` needs no domain.
        let recipient = ASCII.lowercased(recipient.contains(ASCII.at) ? recipient : recipient + [ASCII.at] + domain)
        self.recipient = Self.bounded(recipient)
        self.domain = recipient.lastIndex(of: ASCII.at).map { Self.bounded(Array(recipient[($0 + 1)...])) } ?? []
    }

    /// The same mail of a client that has proven nothing.
    package func ofNetwork(_ address: IPAddress) -> GreylistKey {
        var key = self
        key.identity = Self.network(address)
        return key
    }

    private static func network(_ address: IPAddress) -> [UInt8] {
        Array(AddressBlock(networkOf: address.unmapped).description.utf8)
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
