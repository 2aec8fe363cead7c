package import Base
import Protocols
package import Store

extension DeliveryNotice {
    /// News of a message that is in its recipients' mailboxes; nil when none of them came with NOTIFY=SUCCESS, or nobody
    /// can be told.
    package static func delivered(
        _ message: StoredMessage, to recipients: [RemoteRecipient], now: WallTime
    ) -> DeliveryNotice? {
        let told = recipients.filter { DSNNotify(rawValue: $0.notify).contains(.success) }
        guard !message.sender.isEmpty, !told.isEmpty else { return nil }
        return DeliveryNotice(
            kind: .delivered, message: message, sender: message.sender,
            recipients: told.map {
                Recipient(recipient: $0, failure: nil, code: 0, text: [], host: [], attempts: 0)
            }, now: now, until: now)
    }
}
