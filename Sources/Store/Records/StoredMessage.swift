package import Base
package import Protocols

package struct MessageFlags: OptionSet, Sendable, Hashable {
    package let rawValue: Int64
    package init(rawValue: Int64) { self.rawValue = rawValue }
    package static let seen = MessageFlags(rawValue: 1)
    package static let answered = MessageFlags(rawValue: 2)
    package static let flagged = MessageFlags(rawValue: 4)
    package static let draft = MessageFlags(rawValue: 8)
    package static let forwarded = MessageFlags(rawValue: 16)
}

/// A line of a mailbox listing.
package struct MessageSummary: Sendable, Hashable {
    package let id: MessageID
    /// Trace fields and body.
    package let size: Int
    package let received: WallTime
    package let sender: [UInt8]
    package let recipient: [UInt8]
    package let flags: MessageFlags

    package init(
        id: MessageID, size: Int, received: WallTime, sender: [UInt8], recipient: [UInt8], flags: MessageFlags
    ) {
        self.id = id
        self.size = size
        self.received = received
        self.sender = sender
        self.recipient = recipient
        self.flags = flags
    }
}

/// A message without its body; the body is read by slices with `MailboxReader.body(of:from:max:)`.
package struct StoredMessage: Sendable, Hashable {
    package let id: MessageID
    package let received: WallTime
    package let sender: [UInt8]
    package let trace: [UInt8]
    package let envelope: [UInt8]
    /// Octets of the body alone.
    package let bodySize: Int

    package init(
        id: MessageID, received: WallTime, sender: [UInt8], trace: [UInt8], envelope: [UInt8], bodySize: Int
    ) {
        self.id = id
        self.received = received
        self.sender = sender
        self.trace = trace
        self.envelope = envelope
        self.bodySize = bodySize
    }
}
