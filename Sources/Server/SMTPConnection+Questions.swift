import Base
import Policy
import Protocols
import Reactor
import Store
import Telemetry

/// A recipient the directory knows, as RCPT found it.
struct ResolvedRecipient {
    let accounts: [AccountID]
}

extension SMTPConnection {
    func ask(_ question: Question, _ ticket: Ticket) {
        switch question {
        case .sender(let address): answer(ticket, sender(address))
        case .recipient(let address, _): answer(ticket, recipient(address))
        // RFC 5321 §3.5.3: 252 tells nothing and is a right answer.
        case .verify: answer(ticket, .refused(StoreReplies.verifyNotTold))
        case .authenticate(let request): authenticate(request, ticket)
        case .submit(let envelope): submit(envelope, ticket)
        }
    }

    private func sender(_ address: MailAddress?) -> Answer {
        // The directory of the moment counts for the whole transaction.
        directory = loop.services.directory.current
        sender = address?.wire ?? []
        guard let identity = session.authenticatedIdentity else { return .accepted }
        // RFC 6409 §6.1: a user sends as himself, or as an alias that is his.
        guard let address, maySend(as: address, identity) else { return .refused(StoreReplies.senderNotOwned) }
        return .accepted
    }

    private func maySend(as address: MailAddress, _ identity: [UInt8]) -> Bool {
        guard let account = directory.account(identity) else { return false }
        let resolution = directory.resolve(localpart: address.localpart, domain: address.domain, declaredSize: 0)
        switch resolution {
        case .deliver(let accounts, _): return accounts.contains(account.id)
        case .overQuota: return ASCII.lowercased(address.wire) == account.address
        case .notLocal, .unknown, .disabled, .aliasLoop: return false
        }
    }

    private func recipient(_ address: MailAddress) -> Answer {
        let metrics = loop.services.metrics
        let declared = Int(clamping: session.declaredSize ?? 0)
        switch directory.resolve(localpart: address.localpart, domain: address.domain, declaredSize: declared) {
        case .deliver(let accounts, let forwards):
            if !forwards.isEmpty { return refuse(.deferred, StoreReplies.noOutboundDelivery) }
            if let most = directory.policy(ofDomain: address.domain)?.maxMessageSize, declared > most {
                return refuse(.rejected, StoreReplies.tooLargeForRecipient)
            }
            resolved.append(ResolvedRecipient(accounts: accounts))
            metrics.recipients.add(.accepted)
            return .accepted
        case .notLocal:
            let mayRelay =
                session.authenticatedIdentity != nil
                || loop.services.relayNetworks.contains { $0.contains(peerAddress) }
            return mayRelay
                ? refuse(.deferred, StoreReplies.noOutboundDelivery) : refuse(.relayDenied, StoreReplies.relayDenied)
        case .unknown: return refuse(.unknown, StoreReplies.unknownRecipient)
        case .disabled: return refuse(.rejected, StoreReplies.disabledRecipient)
        case .overQuota(let how): return refuse(how == .temporary ? .deferred : .rejected, StoreReplies.overQuota(how))
        case .aliasLoop: return refuse(.deferred, StoreReplies.aliasLoop)
        }
    }

    private func refuse(_ result: RecipientResult, _ reply: Reply) -> Answer {
        loop.services.metrics.recipients.add(result)
        tally.refusedRecipients += 1
        tally.refusal = reply
        loop.services.log.info("recipient_refused") {
            $0.add("peer", peer)
            $0.add("reply", Int(reply.code))
            $0.add("reason", reply.text)
        }
        return .refused(reply)
    }
}
