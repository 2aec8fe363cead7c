import Base
import Delivery
import MailAuth
import Policy
import Protocols
import Reactor
import Store
import Telemetry

/// A recipient the directory knows, as RCPT found it.
struct ResolvedRecipient {
    /// Mailboxes here.
    var accounts: [AccountID] = []
    /// Where an alias of ours leads elsewhere.
    var forwards: [[UInt8]] = []
    /// The address itself is elsewhere.
    var isRemote = false
    /// The sender behind an address that we made for forwarding; the report for it goes there.
    var bouncesTo: [UInt8]?
}

/// What became of an address in the directory.
enum DirectoryAnswer {
    case known(ResolvedRecipient)
    /// With the reason, for the operator.
    case refused(RecipientResult, Reply, String)
}

extension SMTPConnection {
    func ask(_ question: Question, _ ticket: Ticket) {
        switch question {
        case .sender(let address): sender(address, ticket)
        case .recipient(let address, _): take(RecipientCase(ticket: ticket, address: address))
        // RFC 5321 §3.5.3: 252 tells nothing and is a right answer.
        case .verify: answer(ticket, .refused(StoreReplies.verifyNotTold))
        case .unknown(let line): askFilters(ofUnknown: line, ticket)
        case .authenticate(let request): authenticate(request, ticket)
        case .submit(let envelope): submit(envelope, ticket)
        }
    }

    /// MAIL: whose it is, whether the client may have more, what the filters of the listener say.
    private func sender(_ address: MailAddress?, _ ticket: Ticket) {
        // What holds at the moment counts for the whole transaction.
        settings = loop.settings
        directory = loop.services.directory.current
        sender = address?.wire ?? []
        defense.beginTransaction()
        if let identity = session.authenticatedIdentity {
            // RFC 6409 §6.1: a user sends as himself, or as an alias that is his.
            guard let address, maySend(as: address, identity) else {
                let reply = refusing(
                    .directory, StoreReplies.senderNotOwned, subject: sender,
                    because: "it is neither the address of the account that is logged in nor an alias of it")
                return answer(ticket, .refused(reply))
            }
        }
        if let deaths = body.beginEnvelope(client: client, helo: session.heloName, sender: sender) {
            let reply = refusing(PoisonReplies.envelopeEvent(deaths), PoisonReplies.envelope)
            return answer(ticket, .refused(reply))
        }
        if let refusal = refusalOfMail() { return answer(ticket, .refused(refusal)) }
        askFilters(ofSender: address, ticket)
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

    /// What the directory says of a recipient: where its mail goes, or why not.
    func look(up address: MailAddress) -> DirectoryAnswer {
        let declared = Int(clamping: session.declaredSize ?? 0)
        // Before a catch-all takes it: only we could make such an address.
        if directory.rules(ofDomain: address.domain) != nil, let first = returnPath(address) {
            return bounce(to: first)
        }
        switch directory.resolve(localpart: address.localpart, domain: address.domain, declaredSize: declared) {
        case .deliver(let accounts, let forwards):
            if let most = directory.rules(ofDomain: address.domain)?.policy.maxMessageSize, declared > most {
                return .refused(
                    .rejected, StoreReplies.tooLargeForRecipient,
                    "SIZE=\(declared) was announced, max_message_size of the domain is \(most)")
            }
            if !forwards.isEmpty, wantsSeal(address.domain) { body.extraHashes = [ARCSealer.bodyKey] }
            return .known(ResolvedRecipient(accounts: accounts, forwards: forwards))
        case .notLocal:
            return clientIsTrusted
                ? .known(ResolvedRecipient(isRemote: true))
                : .refused(
                    .relayDenied, StoreReplies.relayDenied,
                    "the domain is not served here; the client is not logged in and not in smtp.relay_networks")
        case .unknown: return Self.unknown
        case .disabled: return .refused(.rejected, StoreReplies.disabledRecipient, "the account is disabled")
        case .overQuota(let how):
            return .refused(
                how == .temporary ? .deferred : .rejected, StoreReplies.overQuota(how),
                "the message does not fit into the quota of the mailbox")
        case .aliasLoop:
            return .refused(.deferred, StoreReplies.aliasLoop, "aliases lead to each other, or through too many others")
        }
    }

    private static var unknown: DirectoryAnswer {
        .refused(
            .unknown, StoreReplies.unknownRecipient, "the domain has no mailbox, alias or catch-all for it")
    }

    func accept(_ recipient: ResolvedRecipient) -> Answer {
        resolved.append(recipient)
        loop.services.metrics.recipients.add(.accepted)
        return .accepted
    }

    /// A report goes on to the sender of the forwarded message, be he elsewhere or here.
    private func bounce(to first: [UInt8]) -> DirectoryAnswer {
        guard let at = first.lastIndex(of: ASCII.at) else { return Self.unknown }
        let domain = ASCII.lowercased(Array(first[(at + 1)...]))
        switch directory.resolve(localpart: Array(first[..<at]), domain: domain, declaredSize: 0) {
        case .notLocal: return .known(ResolvedRecipient(bouncesTo: first))
        case .deliver(let accounts, let forwards):
            return .known(ResolvedRecipient(accounts: accounts, forwards: forwards))
        case .unknown, .disabled, .overQuota, .aliasLoop: return Self.unknown
        }
    }

    /// The sender behind an address that forwarding made; nil: it is none, or no report comes for it.
    private func returnPath(_ address: MailAddress) -> [UInt8]? {
        // RFC 5321 §4.5.5: reports have the null reverse-path.
        guard sender.isEmpty, let forwarding = loop.services.delivery.forwarding else { return nil }
        let meaning = forwarding.reversed(address.wire, now: loop.reactor.wall)
        if case .sender(let first) = meaning { return first }
        return nil
    }

    func refuse(_ result: RecipientResult, _ reply: Reply) -> Answer {
        loop.services.metrics.recipients.add(result)
        tally.refusedRecipients += 1
        tally.refusal = reply
        loop.services.log.info("recipient_refused") {
            $0.add("id", defense.id.text)
            $0.add("peer", peer)
            $0.add("reply", Int(reply.code))
            $0.add("reason", reply.text)
        }
        return .refused(reply)
    }
}
