import Base
import Policy
import Protocols
import Store

/// A message that was set aside on its way to those it was for: into their mailboxes and the queue as it is, without a
/// look at it. Pure.
struct PoisonRelease {
    let request: AcceptRequest
    /// Recipients that nobody here takes mail for any more.
    let refused: [[UInt8]]

    init(_ message: PoisonedMessage, body: [UInt8], directory: DirectorySnapshot) {
        var local: [LocalDelivery] = []
        var remote: [RemoteRecipient] = []
        var refused: [[UInt8]] = []
        for recipient in message.recipients {
            if let first = recipient.bouncesTo {
                remote.append(RemoteRecipient(address: first, notify: DSNNotify.never.rawValue))
                continue
            }
            let (localpart, domain) = Self.split(recipient.address)
            switch directory.resolve(localpart: localpart, domain: domain, declaredSize: 0) {
            case .deliver(let accounts, let forwards):
                for account in accounts where !local.contains(where: { $0.account == account }) {
                    local.append(LocalDelivery(account: account, recipient: recipient.address))
                }
                remote += forwards.map { Self.elsewhere($0, recipient) }
            // It was accepted for elsewhere.
            case .notLocal: remote.append(Self.elsewhere(recipient.address, recipient))
            case .unknown, .disabled, .overQuota, .aliasLoop: refused.append(recipient.address)
            }
        }
        self.refused = refused
        request = AcceptRequest(
            id: message.id, received: message.received, sender: message.sender, trace: message.trace,
            body: .inline(body), envelope: message.envelope, local: local, remote: remote)
    }

    private static func split(_ address: [UInt8]) -> (local: [UInt8], domain: [UInt8]) {
        guard let at = address.lastIndex(of: ASCII.at) else { return (address, []) }
        return (Array(address[..<at]), ASCII.lowercased(Array(address[(at + 1)...])))
    }

    private static func elsewhere(_ address: [UInt8], _ recipient: PoisonedMessage.Recipient) -> RemoteRecipient {
        RemoteRecipient(
            address: address, notify: recipient.notify, originalRecipient: recipient.originalRecipient)
    }
}
