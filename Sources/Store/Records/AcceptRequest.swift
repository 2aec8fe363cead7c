package import Base
package import Policy
package import Protocols

/// A message that shall be kept: the only way into mailboxes and queue, for inbound mail, bounces and reports alike.
package struct AcceptRequest: Sendable {
    package let id: MessageID
    package let received: WallTime
    /// Envelope sender; empty is the null sender.
    package let sender: [UInt8]
    /// Fields put before the body (`Return-Path:` at delivery, `Received:`…), each with its CRLF.
    package let trace: [UInt8]
    package let body: Body
    /// What the envelope carried besides addresses, in the server's own compact form. The store never looks inside.
    package let envelope: [UInt8]
    package let local: [LocalDelivery]
    package let remote: [RemoteRecipient]
    /// Unless nil the queue rows begin as leased by this owner until `leaseUntil`, with the leases that `leases` names: who
    /// has room to deliver at once needs no second write for it.
    package var leasedTo: LeaseOwner?
    package var leaseUntil = WallTime(microseconds: 0)
    /// Unless nil the queue rows begin as held, with this status, and wait for an operator; nobody leases them.
    package var hold: [UInt8]?
    /// Reports of this message's delivery, kept in the same transaction. One that no mailbox here can take is left out.
    package var reports: [AcceptRequest] = []

    package enum Body: Sendable {
        case inline([UInt8])
        case spooled(SpoolBody, size: Int)
    }

    package init(
        id: MessageID, received: WallTime, sender: [UInt8], trace: [UInt8], body: Body, envelope: [UInt8] = [],
        local: [LocalDelivery] = [], remote: [RemoteRecipient] = []
    ) {
        self.id = id
        self.received = received
        self.sender = sender
        self.trace = trace
        self.body = body
        self.envelope = envelope
        self.local = local
        self.remote = remote
    }

    /// The leases of the remote recipients, in their order, once the request was accepted; empty when none were asked for.
    package var leases: [Lease] {
        guard leasedTo != nil else { return [] }
        return remote.indices.map { lease(of: $0) }
    }

    /// The lease of the remote recipient at `index`, for a request with an owner.
    package func lease(of index: Int) -> Lease {
        Lease(
            row: QueueRowID(message: id, recipient: Int32(truncatingIfNeeded: index)),
            generation: Lease.firstGeneration, until: leaseUntil)
    }

    /// What a worker sees of the message.
    package var storedMessage: StoredMessage {
        StoredMessage(
            id: id, received: received, sender: sender, trace: trace, envelope: envelope,
            bodySize: size - trace.count)
    }

    /// Octets a mailbox is charged: trace fields and body.
    package var size: Int {
        switch body {
        case .inline(let bytes): trace.count + bytes.count
        case .spooled(_, let size): trace.count + size
        }
    }
}

/// One mailbox the message goes to.
package struct LocalDelivery: Sendable, Hashable {
    package let account: AccountID
    package let folder: FolderID
    /// The address as the client named it.
    package let recipient: [UInt8]

    package init(account: AccountID, folder: FolderID = .inbox, recipient: [UInt8]) {
        self.account = account
        self.folder = folder
        self.recipient = recipient
    }
}

/// One address elsewhere the message goes to: becomes a queue row.
package struct RemoteRecipient: Sendable, Hashable {
    /// `local@domain`.
    package let address: [UInt8]
    /// RFC 3461 NOTIFY as the server encodes it; 0 when not given.
    package let notify: UInt8
    /// RFC 3461 ORCPT, decoded or not as the server likes; empty when not given.
    package let originalRecipient: [UInt8]
    /// The reverse-path when it is not the message's: a forwarder's own (SRS).
    package let sender: [UInt8]?
    /// Fields put before the message for this recipient alone (a forwarder's seals), each with its CRLF.
    package let prefix: [UInt8]

    /// The destination: the domain in lower case, as the address spells it otherwise. Rows of one site wait together.
    package var site: [UInt8] { QueueSite.of(address) }

    package init(
        address: [UInt8], notify: UInt8 = 0, originalRecipient: [UInt8] = [], sender: [UInt8]? = nil,
        prefix: [UInt8] = []
    ) {
        self.address = address
        self.notify = notify
        self.originalRecipient = originalRecipient
        self.sender = sender
        self.prefix = prefix
    }
}
