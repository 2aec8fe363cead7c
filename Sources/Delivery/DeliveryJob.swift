package import Store

/// One message for one destination: what the scheduler hands a worker. The rows are leased to this process; the worker
/// settles nothing, it reports.
package struct DeliveryJob: Sendable {
    /// The recipients' domain, lower case A-labels, or an address literal with its brackets.
    package let destination: [UInt8]
    package let message: StoredMessage
    /// The body while it is still in memory (handed over by the accepting loop); nil: read it from the store.
    package let body: [UInt8]?
    /// At least one, at most `recipientsMax`, all with the same reverse-path and prefix.
    package let recipients: [JobRecipient]
    /// Recipients of one transaction.
    // RFC 5321 §4.5.3.1.8: every server takes 100.
    package static let recipientsMax = 100

    package init(destination: [UInt8], message: StoredMessage, body: [UInt8]?, recipients: [JobRecipient]) {
        self.destination = destination
        self.message = message
        self.body = body
        self.recipients = recipients
    }

    /// The reverse-path of the transaction: the message's, or the one its forwarding gave it.
    package var sender: [UInt8] { recipients.first?.recipient.sender ?? message.sender }
    /// Fields that go before the message for these recipients (the seals of a forwarder); each with its CRLF.
    package var prefix: [UInt8] { recipients.first?.recipient.prefix ?? [] }
}

package struct JobRecipient: Sendable, Hashable {
    package let lease: Lease
    package let recipient: RemoteRecipient
    /// Attempts that ended before this one.
    package let attempts: Int
    /// Whether the sender was told that it waits.
    package let isWarned: Bool

    package init(lease: Lease, recipient: RemoteRecipient, attempts: Int, isWarned: Bool = false) {
        self.isWarned = isWarned
        self.lease = lease
        self.recipient = recipient
        self.attempts = attempts
    }
}
