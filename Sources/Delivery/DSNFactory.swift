package import Base
package import Protocols
package import Store

/// What a notice comes to.
package enum DSNDecision: Sendable {
    case report(OutgoingReport)
    /// Nobody is told; why, for the log.
    case silent(Reason)

    package enum Reason: String, Sendable, Hashable, CaseIterable {
        /// The message is a bounce or report itself.
        case nullSender = "null-sender"
        /// No recipient's NOTIFY asks for this news.
        case notAsked = "not-asked"
        /// The sender was not proven: telling it could hit a bystander.
        case unproven = "unproven-sender"
        /// The reverse-path is an address of ours that leads nowhere any more.
        case expiredPath = "expired-path"
    }
}

/// A report ready for `Store.accept`: from the null reverse-path, to one recipient the caller resolves.
package struct OutgoingReport: Sendable {
    package let recipient: [UInt8]
    package let body: [UInt8]
    /// An `EnvelopeRecord`.
    package let envelope: [UInt8]
    // RFC 3461 §6.1: NOTIFY=NEVER, so that the report makes no report.
    package let notify = DSNNotify.never.rawValue

    /// For a recipient on this server.
    package func request(id: MessageID, now: WallTime, local: [LocalDelivery]) -> AcceptRequest {
        AcceptRequest(
            id: id, received: now, sender: [], trace: [], body: .inline(body), envelope: envelope, local: local)
    }

    /// For a recipient elsewhere.
    package func request(id: MessageID, now: WallTime) -> AcceptRequest {
        AcceptRequest(
            id: id, received: now, sender: [], trace: [], body: .inline(body), envelope: envelope,
            remote: [RemoteRecipient(address: recipient, notify: notify)])
    }
}

/// Decides who is told what of a message's fate, and writes it. Pure; the scheduler's `notice` closure calls it.
package struct DSNFactory: Sendable {
    /// Our name in reports.
    package var hostname: [UInt8]
    /// Octets of message that are returned without being asked.
    package var returnOctetsMax = 65_536
    /// Octets of message that are returned for RET=FULL.
    package var returnFullOctetsMax = 1_048_576
    /// Whether senders that gave no NOTIFY hear of delays.
    // RFC 3461 §4.1: no NOTIFY means FAILURE or FAILURE,DELAY.
    package var tellsDelaysUnasked = true
    /// To find the sender behind a forwarder's path of ours.
    package var forwarding: SRS?
    /// To find the sender behind a bounce address of ours.
    package var bounces: VERP?

    package init(hostname: [UInt8]) { self.hostname = hostname }

    package struct Context: Sendable {
        /// The message's first octets (trace fields, then body), as many as `octetsWanted` says or all.
        package var original: [UInt8]
        package var isWhole: Bool
        /// The sender was authenticated, came from a relay network, or passed the checks for forwarded mail.
        package var isSenderProven: Bool
        /// The sender's mailbox is on this server.
        package var isSenderLocal: Bool
        /// At least 12 unguessable characters: letters, digits, `-`, `_`.
        package var token: [UInt8]

        package init(original: [UInt8], isWhole: Bool, isSenderProven: Bool, isSenderLocal: Bool, token: [UInt8]) {
            self.original = original
            self.isWhole = isWhole
            self.isSenderProven = isSenderProven
            self.isSenderLocal = isSenderLocal
            self.token = token
        }
    }
}
