import Base
import Policy
import Protocols
import Store

extension DSNFactory {
    /// Octets of the message (trace fields first) that `decide` wants in `Context.original`; 0: it will be silent.
    package func octetsWanted(for notice: DeliveryNotice) -> Int {
        guard !notice.sender.isEmpty, !told(notice).isEmpty else { return 0 }
        let whole = notice.message.trace.count + notice.message.bodySize
        return returnsBody(notice) ? whole : min(whole, Self.headerOctetsMax)
    }

    /// Who is told, and the report for it.
    package func decide(_ notice: DeliveryNotice, _ context: Context) -> DSNDecision {
        // RFC 5321 §4.5.5: never about a message from the null reverse-path.
        guard !notice.sender.isEmpty, !notice.message.sender.isEmpty else { return .silent(.nullSender) }
        // RFC 3834 §2: nothing to senders that may be somebody else's.
        guard context.isSenderProven else { return .silent(.unproven) }
        let told = told(notice)
        guard !told.isEmpty else { return .silent(.notAsked) }
        guard let sender = origin(of: notice) else { return .silent(.expiredPath) }
        return .report(report(about: notice, told, to: sender, context))
    }

    /// Whom the news is for when the reverse-path is an address we made; nil when that leads nowhere.
    private func origin(of notice: DeliveryNotice) -> [UInt8]? {
        switch bounces?.read(notice.sender, now: notice.now) {
        case .token: return notice.message.sender
        case .invalid: return nil
        case .foreign, nil: break
        }
        switch forwarding?.reversed(notice.sender, now: notice.now) {
        case .sender(let first): return first
        case .invalid: return nil
        case .foreign, nil: return notice.sender
        }
    }

    /// Octets of a header that are returned at most.
    private static let headerOctetsMax = 65_536

    private func report(
        about notice: DeliveryNotice, _ told: [DeliveryNotice.Recipient], to sender: [UInt8], _ context: Context
    ) -> OutgoingReport {
        let record = EnvelopeRecord(encoded: notice.message.envelope) ?? EnvelopeRecord()
        let needsUTF8 = ByteScan.containsNonASCII(sender.span)
        var report = DeliveryReport(
            recipients: told.map { group($0, notice) },
            original: DeliveryReport.Original(
                bytes: context.original, isWhole: context.isWhole, isInternational: record.smtpUTF8),
            returnsBody: returnsBody(notice), sender: sender, hostname: hostname, arrival: notice.message.received,
            now: notice.now, token: notice.message.id.text + [ASCII.dot] + context.token,
            // RFC 6533 §4.5: our own mailboxes take UTF-8, and so does the host of a UTF-8 sender.
            allowsUTF8: needsUTF8 || (context.isSenderLocal && record.smtpUTF8))
        report.envelopeID = record.envid
        report.receivedFrom = record.helo
        let encoded = report.encoded()
        var envelope = EnvelopeRecord()
        envelope.bodyType = encoded.has8bit ? .eightBitMIME : .sevenBit
        envelope.smtpUTF8 = encoded.needsUTF8
        envelope.recipients = [EnvelopeRecord.Recipient(address: sender, notify: .never, orcpt: [])]
        return OutgoingReport(recipient: sender, body: encoded.bytes, envelope: envelope.encoded())
    }

    private func group(_ item: DeliveryNotice.Recipient, _ notice: DeliveryNotice) -> DeliveryReport.Recipient {
        let failure = item.failure
        var out = DeliveryReport.Recipient(
            address: item.recipient.address, action: action(notice.kind), status: status(item, notice.kind))
        out.original = item.recipient.originalRecipient
        out.remote = item.host.isEmpty ? failure?.host ?? [] : item.host
        out.text = failure?.text ?? item.text
        if let failure {
            out.code = failure.source == .remote ? failure.code : nil
            out.isExpired = notice.kind == .failed && failure.permanence == .temporary
        } else {
            out.code = item.code == 0 ? nil : item.code
        }
        if notice.kind == .failed || notice.kind == .delayed, item.attempts > 0 { out.lastAttempt = notice.now }
        if notice.kind == .delayed { out.retryUntil = notice.until }
        return out
    }

    private func action(_ kind: DeliveryNotice.Kind) -> DeliveryReport.Action {
        switch kind {
        case .failed: .failed
        case .delayed: .delayed
        case .delivered: .delivered
        case .relayed: .relayed
        }
    }

    private func status(_ item: DeliveryNotice.Recipient, _ kind: DeliveryNotice.Kind) -> EnhancedStatus {
        switch kind {
        case .failed:
            return item.failure?.status ?? EnhancedStatus(5, 0, 0)
        case .delayed:
            guard let status = item.failure?.status, status.category == 4 else { return EnhancedStatus(4, 0, 0) }
            return status
        case .delivered, .relayed:
            return EnhancedStatus(2, 0, 0)
        }
    }

    /// The recipients whose NOTIFY wants this news.
    // RFC 3461 §4.1, §5.2
    private func told(_ notice: DeliveryNotice) -> [DeliveryNotice.Recipient] {
        notice.recipients.filter { item in
            let notify = DSNNotify(rawValue: item.recipient.notify)
            if notify.contains(.never) { return false }
            switch notice.kind {
            case .failed: return notify.isEmpty || notify.contains(.failure)
            case .delayed: return notify.isEmpty ? tellsDelaysUnasked : notify.contains(.delay)
            case .delivered, .relayed: return notify.contains(.success)
            }
        }
    }

    /// RFC 3461 §4.3: RET speaks of failures only; other reports have the header.
    private func returnsBody(_ notice: DeliveryNotice) -> Bool {
        guard notice.kind == .failed else { return false }
        let size = notice.message.trace.count + notice.message.bodySize
        let record = EnvelopeRecord(encoded: notice.message.envelope)
        // RFC 8689 §5: what must not travel in the clear does not travel in a report that may.
        if record?.requireTLS == true { return false }
        switch record?.ret {
        case .headers: return false
        case .full: return size <= returnFullOctetsMax
        case nil: return size <= returnOctetsMax
        }
    }
}
