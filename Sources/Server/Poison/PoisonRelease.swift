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

    init(_ message: PoisonedMessage, body: AcceptRequest.Body, directory: DirectorySnapshot) {
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
            body: body, envelope: message.envelope, local: local, remote: remote)
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

/// The octets of a message on their way from its file into the spool. For a thread that may block.
struct PoisonSpooling {
    let folder: PoisonFolder
    let gateway: StoreGateway
    private static let chunksMax = 16

    /// nil: the file cannot be read, is not whole, or the store takes nothing.
    func body(of message: PoisonedMessage) -> AcceptRequest.Body? {
        guard let spooled = gateway.openBody() else { return nil }
        var offset = 0
        while offset < message.octets {
            // The last of a few answers for them all: the spool keeps their order.
            let written = StoreAwait<Bool>()
            let end = min(message.octets, offset + Self.chunksMax * SpoolBody.chunkMax)
            while offset < end {
                let length = min(SpoolBody.chunkMax, end - offset)
                guard let bytes = folder.body(message.id, from: offset, most: length), bytes.count == length else {
                    spooled.abandon()
                    return nil
                }
                offset += length
                let isLast = offset == end
                guard spooled.append(bytes, done: { if isLast { written.give(.success(true)) } }) else {
                    spooled.abandon()
                    return nil
                }
            }
            guard case .success = written.wait(), spooled.failure == nil else { return nil }
        }
        return .spooled(spooled, size: message.octets)
    }

    /// After the answer the message is in the store.
    func accept(_ request: AcceptRequest) -> StoreError? {
        let wait = StoreAwait<MessageID>()
        guard gateway.accept(request, completion: { wait.give($0) }) else { return .unavailable(.busy) }
        if case .failure(let error) = wait.wait() { return error }
        return nil
    }
}
