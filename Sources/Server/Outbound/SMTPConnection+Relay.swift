import Base
import Delivery
import Handoff
import MailAuth
import Policy
import Protocols
import Reactor
import Store
import Telemetry

/// What goes on to other servers: recipients elsewhere, forwarding aliases, and our signatures on both.
extension SMTPConnection {
    /// One queue row each. RFC 3461 §5.2.1: DSN parameters go along.
    func remoteRecipients(
        _ judged: JudgedMessage, _ seals: [[UInt8]: [UInt8]], _ now: WallTime
    ) -> [RemoteRecipient] {
        let message = judged.message
        var out: [RemoteRecipient] = []
        var seen: Set<[UInt8]> = []
        for (index, resolved) in message.recipients.enumerated() where index < message.envelope.recipients.count {
            let recipient = message.envelope.recipients[index]
            let notify = recipient.notify.rawValue
            let original = recipient.orcpt ?? []
            if resolved.isRemote {
                let address = recipient.address.wire
                guard seen.insert(address).inserted else { continue }
                out.append(RemoteRecipient(address: address, notify: notify, originalRecipient: original))
            }
            if let first = resolved.bouncesTo, seen.insert(first).inserted {
                out.append(RemoteRecipient(address: first, notify: DSNNotify.never.rawValue))
            }
            // What is kept in Junk here does not go on under our name.
            if judged.quarantines(recipient.address.domain), !resolved.accounts.isEmpty { continue }
            // RFC 3461 §5.2.7.3: of an alias's targets one tells of success: the mailbox here, or the first elsewhere.
            var asked = resolved.accounts.isEmpty ? recipient.notify : recipient.notify.withoutSuccess
            for target in resolved.forwards where seen.insert(target).inserted {
                out.append(
                    RemoteRecipient(
                        address: target, notify: asked.rawValue, originalRecipient: original,
                        sender: forwardingPath(recipient.address, now),
                        prefix: seals[recipient.address.domain] ?? []))
                asked = asked.withoutSuccess
            }
        }
        return out
    }

    /// The reverse-path of a forwarded message: an address of the alias's domain that leads back to the sender, so that
    /// SPF holds at the next server. nil: the sender's own will do.
    private func forwardingPath(_ alias: MailAddress, _ now: WallTime) -> [UInt8]? {
        guard !sender.isEmpty, !isOwnMail, let forwarding = loop.services.delivery.forwarding else { return nil }
        // A sender that cannot be rewritten is stood for by the address that forwards.
        let path = forwarding.rewritten(sender, domain: alias.domain, now: now) ?? alias.wire
        return path == sender ? nil : path
    }

    // MARK: Signatures

    /// Whether mail that this domain of ours forwards is sealed.
    func wantsSeal(_ domain: [UInt8]) -> Bool { !isOwnMail && !directory.arcKeys(ofDomain: domain).isEmpty }

    /// What is to be signed of the message; nil: nothing.
    func signing(
        _ envelope: Envelope, _ recipients: [ResolvedRecipient], _ hashes: [BodyHashKey: BodyHash]
    ) -> SigningOrder? {
        guard let header = preparedHeader, !hashes.isEmpty else { return nil }
        var order = SigningOrder(
            header: header.index, hashes: hashes, hostname: loop.services.hostname,
            now: UInt64(clamping: loop.reactor.wall.seconds))
        if isOwnMail {
            order.keys = loop.signingKeys.parsed(signingKeys(header.author))
        } else {
            var seen: Set<[UInt8]> = []
            for (index, recipient) in recipients.enumerated() where !recipient.forwards.isEmpty {
                let domain = envelope.recipients[index].address.domain
                guard wantsSeal(domain), seen.insert(domain).inserted else { continue }
                let keys = loop.signingKeys.parsed(directory.arcKeys(ofDomain: domain))
                if let key = keys.first { order.sealers.append((domain, key)) }
            }
        }
        return order.keys.isEmpty && order.sealers.isEmpty ? nil : order
    }

    /// The keys of the author's domain when the client may speak for it; else of the sender's domain, which it proved. A
    /// user of one domain must not get the signature of another that lives here.
    private func signingKeys(_ author: Author) -> [SigningKey] {
        let own = domain(of: sender)
        if case .domain(let domain) = author {
            let mayUse =
                session.authenticatedIdentity.map { domain == own || domain == self.domain(of: $0) } ?? true
            let keys = mayUse ? directory.dkimKeys(ofDomain: domain) : []
            if !keys.isEmpty { return keys }
        }
        return directory.dkimKeys(ofDomain: own)
    }

    private func domain(of address: [UInt8]) -> [UInt8] {
        address.lastIndex(of: ASCII.at).map { ASCII.lowercased(Array(address[($0 + 1)...])) } ?? []
    }

    /// Whether a report about the message reaches who sent it: mail of our own, or a reverse-path that SPF or a signature
    /// of its very domain proved. The author's signature proves the author, not the reverse-path.
    func isSenderProven(_ results: AuthResults) -> Bool {
        if isOwnMail { return true }
        if let spf = results.spf, spf.result == .pass, !sender.isEmpty { return true }
        let own = domain(of: sender)
        return results.dkim.contains { $0.result == .pass && $0.coversBody && $0.domain == own }
    }

    /// Signs on a worker thread and goes on in `signed`. A pool that is full means unsigned mail would leave: then the client
    /// tries again later.
    func sign(_ order: SigningOrder, _ judged: JudgedMessage) {
        let (id, results) = (judged.message.id, judged.results)
        let handle = loop.reactor.handle
        let token = self.token
        let metrics = loop.services.metrics
        let mark = body.mark
        let taken = loop.services.signers.run {
            mark?.begin()
            defer { InProgress.end() }
            let signed = order.carriedOut(results: results)
            let delivered = handle.post { reactor in
                // Its client is gone: nothing was acknowledged, nothing is kept.
                guard let connection = SMTPConnection.on(reactor, token) else { return }
                mark?.begin()
                connection.signed(id, signed)
                // What was answered on the spot has to go out: nobody else runs the session here.
                if let c = reactor.connection(for: token) { connection.pump(c) }
            }
            if !delivered { metrics.mailboxFull.add(.reactor) }
        }
        guard !taken else { return }
        underSignature = nil
        discard(judged.message.content)
        refuseMessage(
            judged.message.ticket, .store, StoreReplies.storeBusy, because: "too many messages wait for signatures")
    }
}

extension DeliveryService {
    /// Room for the message's jobs: then its rows begin as ours and skip the queue. The number of slots taken.
    func reserve(_ request: inout AcceptRequest, now: WallTime) -> Int {
        guard let first = request.remote.first, request.hold == nil else { return 0 }
        let jobs = AcceptedJobs.count(request.remote)
        guard scheduler.gate.tryReserve(jobs, site: first.site) else { return 0 }
        request.leasedTo = scheduler.gate.owner
        request.leaseUntil = scheduler.gate.leaseEnd(now)
        return jobs
    }

    /// After the store's answer, on whatever thread it comes: the scheduler learns of the rows.
    func accepted(_ request: AcceptRequest, jobs: Int, isStored: Bool) {
        let reports = isStored ? Set(request.reports.flatMap { $0.remote.map(\.site) }) : []
        if !reports.isEmpty { scheduler.noteQueued(Array(reports), due: request.received) }
        guard !request.remote.isEmpty else { return }
        guard isStored else { return scheduler.gate.release(jobs) }
        // Nothing is due before an operator says so.
        guard request.hold == nil else { return }
        guard jobs > 0 else {
            return scheduler.noteQueued(Array(Set(request.remote.map(\.site))), due: request.received)
        }
        var body: [UInt8]?
        if case .inline(let bytes) = request.body { body = bytes }
        scheduler.noteAccepted(AcceptedJobs.make(request, body: body))
    }
}
