import Base
import Delivery
import Protocols
import Store

/// Success reports of what goes no further than mailboxes here.
extension SMTPConnection {
    func wantsDeliveredReport(_ envelope: Envelope) -> Bool {
        envelope.recipients.contains { $0.notify.contains(.success) }
    }

    /// To be kept with the message; nil when nobody is to be told.
    func deliveredReport(_ message: PendingMessage, _ request: AcceptRequest, _ now: WallTime) -> AcceptRequest? {
        guard !request.local.isEmpty, !request.sender.isEmpty, wantsDeliveredReport(message.envelope) else {
            return nil
        }
        // RFC 3461 §5.2.3
        let reached = zip(message.envelope.recipients, message.recipients).filter { !$1.accounts.isEmpty }.map {
            recipient, _ in
            RemoteRecipient(
                address: recipient.address.wire, notify: recipient.notify.rawValue,
                originalRecipient: recipient.orcpt ?? [])
        }
        guard let notice = DeliveryNotice.delivered(request.storedMessage, to: reached, now: now) else { return nil }
        // With its empty line: a header that ends without one counts as cut.
        let original =
            message.filteredHeader == nil ? request.trace + message.header + [ASCII.cr, ASCII.lf] : request.trace
        return loop.services.delivery.deliveredReport(notice, original: original)
    }
}
