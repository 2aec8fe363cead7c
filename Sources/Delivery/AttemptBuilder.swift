import Base
import Protocols
import Reactor
import Store

/// Writes a job's envelope as the client session wants it, and an attempt's facts as the ledger wants them.
enum AttemptBuilder {
    /// The envelope of one transaction, for the recipients of `batch`.
    static func envelope(_ run: OutboundJob, _ batch: [Int], peer: PeerCapabilities) -> OutgoingEnvelope {
        let job = run.job
        let recipients = batch.map { job.recipients[$0].recipient.address }
        var envelope = OutgoingEnvelope(sender: job.sender, recipients: recipients, size: run.content.size)
        if run.record.bodyType == .binaryMIME {
            envelope.body = .binary
        } else if run.content.isEightBit(unknown: run.record.bodyType == .eightBitMIME || peer.eightBitMIME) {
            envelope.body = .eightBit
        }
        envelope.smtpUTF8 = needsUTF8(run, recipients)
        envelope.requireTLS = run.demand == .verifiedTLS
        if peer.dsn { addDSN(run, batch, &envelope) }
        return envelope
    }

    /// RFC 6531 §3.2: asked for where an address or the header section is internationalized, not because the sender's
    /// client said so.
    private static func needsUTF8(_ run: OutboundJob, _ recipients: [[UInt8]]) -> Bool {
        if ByteScan.containsNonASCII(run.job.sender.span) { return true }
        for recipient in recipients where ByteScan.containsNonASCII(recipient.span) { return true }
        return run.record.smtpUTF8 && run.content.hasUTF8Header
    }

    /// RFC 3461 §5.2.1: what the sender asked goes along to a server that knows DSN, unchanged.
    private static func addDSN(_ run: OutboundJob, _ batch: [Int], _ envelope: inout OutgoingEnvelope) {
        switch run.record.ret {
        case .full: envelope.senderParameters.append(ascii: " RET=FULL")
        case .headers: envelope.senderParameters.append(ascii: " RET=HDRS")
        case nil: break
        }
        if !run.record.envid.isEmpty {
            envelope.senderParameters.append(ascii: " ENVID=")
            envelope.senderParameters += run.record.envid
        }
        let asked = batch.contains {
            let recipient = run.job.recipients[$0].recipient
            return recipient.notify != 0 || !recipient.originalRecipient.isEmpty
        }
        guard asked else { return }
        envelope.recipientParameters = batch.map { parameters(run.job.recipients[$0].recipient) }
    }

    private static func parameters(_ recipient: RemoteRecipient) -> [UInt8] {
        var out: [UInt8] = []
        let notify = DSNNotify(rawValue: recipient.notify)
        if notify.contains(.never) {
            out.append(ascii: " NOTIFY=NEVER")
        } else if !notify.isDisjoint(with: [.success, .failure, .delay]) {
            out.append(ascii: " NOTIFY=")
            var isFirst = true
            for (flag, word) in Self.words where notify.contains(flag) {
                if !isFirst { out.append(ASCII.comma) }
                out.append(ascii: word)
                isFirst = false
            }
        }
        if !recipient.originalRecipient.isEmpty {
            out.append(ascii: " ORCPT=")
            out += recipient.originalRecipient
        }
        return out
    }

    private static let words: [(DSNNotify, StaticString)] = [
        (.success, "SUCCESS"), (.failure, "FAILURE"), (.delay, "DELAY"),
    ]

    // MARK: Transport security

    static func verification(_ security: HostSecurity) -> TLSVerification {
        switch security {
        case .plain, .opportunistic: .opportunistic
        case .encrypted: .encrypted
        case .webPKI(let names): .webPKI(names: names.map(text))
        case .dane(let records, let names):
            .dane(
                records: records.map {
                    DANERecord(usage: $0.usage, selector: $0.selector, matching: $0.matchingType, data: $0.data)
                }, names: names.map(text))
        }
    }

    static func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

    static func requirement(_ security: HostSecurity) -> [UInt8] {
        let word: StaticString =
            switch security {
            case .plain: "plain"
            case .opportunistic: "opportunistic"
            case .encrypted: "encrypted"
            case .webPKI: "webpki"
            case .dane: "dane"
            }
        return word.withUTF8Buffer { Array($0) }
    }

    static func base(_ host: PlannedHost) -> AttemptRecord.TLS {
        var tls = AttemptRecord.TLS()
        tls.policies = host.policies
        tls.requirement = requirement(host.security)
        return tls
    }

    /// A session that came about.
    static func session(_ host: PlannedHost, _ info: TLSInfo) -> AttemptRecord.TLS {
        var tls = described(base(host), info)
        guard let shown = info.peerCertificate else { return tls }
        tls.isVerified = shown.verified
        if host.tested == .webPKI(names: []) {
            // RFC 8461 §5: in testing mode a host outside the policy gets its mail, and the failure is reported.
            tls.result = .validationFailure
            tls.detail = TLSPolicy.notInPolicy
            tls.isTesting = true
        } else if let kind = shown.failure, host.tested != nil {
            tls.result = result(of: kind)
            tls.detail = Array(shown.verifyText.utf8)
            tls.isTesting = true
        }
        return tls
    }

    /// What was seen, whatever came of it.
    static func described(_ known: AttemptRecord.TLS, _ info: TLSInfo) -> AttemptRecord.TLS {
        var tls = known
        tls.version = Array(info.version.utf8)
        tls.cipher = Array(info.cipher.utf8)
        tls.group = Array(info.group.utf8)
        tls.hasForwardSecrecy = info.hasForwardSecrecy
        if let shown = info.peerCertificate {
            tls.certificate = AttemptRecord.Certificate(
                key: Array(shown.key.utf8), subject: Array(shown.subject.utf8), issuer: Array(shown.issuer.utf8),
                notAfter: shown.notAfter)
        }
        return tls
    }

    /// No session: why.
    static func failed(
        _ host: PlannedHost, _ result: TLSResultType, _ detail: [UInt8], _ info: TLSInfo? = nil
    ) -> AttemptRecord.TLS {
        var tls = base(host)
        if let info { tls = described(tls, info) }
        tls.result = result
        tls.detail = detail
        tls.isTesting = host.tested != nil && host.security.allowsPlaintext
        return tls
    }

    // RFC 8460 §4.3
    static func result(of kind: TLSFailureKind) -> TLSResultType {
        switch kind {
        case .nameMismatch: .certificateHostMismatch
        case .expired: .certificateExpired
        case .notTrusted: .certificateNotTrusted
        // None of the records was found to be valid for what the host showed.
        case .daneMismatch: .tlsaInvalid
        }
    }
}
