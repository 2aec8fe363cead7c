package import Protocols

/// What one host's answer (or silence) means for one recipient: what the worker does next.
package enum RecipientVerdict: Sendable, Hashable {
    /// The host took the message for this recipient.
    case delivered(code: UInt16, text: [UInt8])
    /// This host cannot or will not; another host of the destination may. After the last host
    /// `FailureClassifier.combined` says what it comes to.
    case tryNextHost(DeliveryFailure)
    /// This attempt is over; the queue tries again.
    case temporary(DeliveryFailure)
    /// Over for good.
    case permanent(DeliveryFailure)

    /// The failure it carries; nil when delivered.
    package var failure: DeliveryFailure? {
        switch self {
        case .delivered: nil
        case .tryNextHost(let f), .temporary(let f), .permanent(let f): f
        }
    }
}

/// Turns what an SMTP or LMTP client conversation came to into verdicts. Pure; the delivery worker calls it.
///
/// A permanent failure needs a server's 5yz: on greeting, EHLO and MAIL it speaks for one host only, on RCPT and later it
/// is final. Everything without a reply (DNS, connection, TLS) is temporary.
package enum FailureClassifier {
    /// By index of the envelope's recipients.
    package static func verdicts(for outcome: TransferOutcome, host: [UInt8]) -> [RecipientVerdict] {
        outcome.recipients.map { verdict(of: $0, in: outcome.verdict, host) }
    }

    /// A connection that ended, or never became usable, with no message of ours under way.
    package static func verdict(for failure: ClientFailure, host: [UInt8]) -> RecipientVerdict {
        switch failure {
        case .badReply:
            return next(.remote, EnhancedStatus(4, 5, 0), "the server's answer is no SMTP reply", host)
        case .closing(let stage, let reply):
            // RFC 5321 §3.8: the host is leaving, whatever was asked.
            return .tryNextHost(made(reply, stage, .temporary, host))
        case .refused(.authentication, let reply), .refused(.startTLS, let reply):
            // Our credentials or the way to the host are at fault, not the message.
            return .tryNextHost(made(reply, .authentication, .temporary, host))
        case .refused(let stage, let reply):
            return .tryNextHost(made(reply, stage, reply.isPermanent ? .permanent : .temporary, host))
        case .unexpected(let stage, let reply):
            return .tryNextHost(made(reply, stage, .temporary, host, status: EnhancedStatus(4, 5, 0)))
        case .unsolicited(let reply):
            return .tryNextHost(made(reply, .ready, .temporary, host, status: EnhancedStatus(4, 5, 0)))
        case .noTLS:
            return .tryNextHost(tls(.startTLSNotSupported, detail: Array("STARTTLS is not offered".utf8), host: host))
        case .bytesBehindStartTLS:
            let detail = Array("bytes in the clear behind the answer to STARTTLS".utf8)
            return .tryNextHost(tls(.validationFailure, detail: detail, host: host))
        case .noMechanism:
            return next(.local, EnhancedStatus(4, 7, 0), "no authentication mechanism of ours is offered", host)
        case .lost(let stage):
            return lost(stage, host)
        }
    }

    /// The connection could not be made: refused, unreachable, timed out. `text` says which.
    package static func unreachable(_ text: [UInt8], host: [UInt8]) -> DeliveryFailure {
        // RFC 3463 §3.5: no answer from host.
        DeliveryFailure(.temporary, .network, EnhancedStatus(4, 4, 1), text: text, host: host)
    }

    /// Transport security that was asked for could not be had.
    package static func tls(_ result: TLSResultType, detail: [UInt8], host: [UInt8]) -> DeliveryFailure {
        let status: EnhancedStatus
        switch result {
        case .startTLSNotSupported, .daneRequired: status = EnhancedStatus(4, 7, 4)
        case .success, .dnssecInvalid, .stsPolicyFetchError, .stsPolicyInvalid: status = EnhancedStatus(4, 7, 0)
        case .certificateHostMismatch, .certificateExpired, .certificateNotTrusted, .validationFailure, .tlsaInvalid,
            .stsWebPKIInvalid:
            status = EnhancedStatus(4, 7, 5)
        }
        return DeliveryFailure(
            .temporary, .tls, status, text: Array("\(result.rawValue): ".utf8) + detail, host: host)
    }

    /// What a recipient's failures at all hosts come to: temporary when any of them was, else the last.
    package static func combined(_ failures: [DeliveryFailure]) -> DeliveryFailure? {
        failures.last { $0.permanence == .temporary } ?? failures.last
    }

    /// What a recipient comes to when there is no host left.
    package static func result(of failures: [DeliveryFailure]) -> RecipientResult? {
        combined(failures).map { .failed($0) }
    }

    /// What a failed connection tells of the destination.
    package static func site(for failure: ClientFailure, host: [UInt8]) -> SiteEvent {
        guard let told = verdict(for: failure, host: host).failure else { return .reached }
        switch failure {
        case .closing: return .throttled(told)
        case .refused(_, let reply) where reply.isTransient && reply.status?.subject == 7: return .throttled(told)
        case .unsolicited, .unexpected: return .reached
        case .badReply, .refused, .noTLS, .bytesBehindStartTLS, .noMechanism, .lost: return .unreachable(told)
        }
    }

    /// Whether the host may have taken the message although we do not know: delivering again may double it.
    package static func mayHaveBeenAccepted(_ outcome: TransferOutcome) -> Bool {
        switch outcome.verdict {
        case .interrupted(.lost(.endOfMessage)), .interrupted(.lost(.chunk)), .interrupted(.badReply): true
        case .accepted, .perRecipient, .rejected, .noRecipients, .unsupported, .interrupted, .invalidEnvelope: false
        }
    }

    // MARK: One recipient

    private static func verdict(
        of reply: ServerReply?, in verdict: TransferOutcome.Verdict, _ host: [UInt8]
    ) -> RecipientVerdict {
        switch verdict {
        case .accepted(let final):
            guard let reply else { return unanswered(host) }
            return reply.isPositive ? .delivered(code: final.code, text: final.text) : judged(reply, .recipient, host)
        case .perRecipient:
            guard let reply else { return unanswered(host) }
            return reply.isPositive
                ? .delivered(code: reply.code, text: reply.text) : judged(reply, .endOfMessage, host)
        case .rejected(let stage, let refusal):
            if stage != .sender, let reply, !reply.isPositive { return judged(reply, .recipient, host) }
            return judged(refusal, stage, host)
        case .noRecipients:
            guard let reply, !reply.isPositive else { return unanswered(host) }
            return judged(reply, .recipient, host)
        case .unsupported(let need):
            return .tryNextHost(unsupported(need, host))
        case .interrupted(let failure):
            if let reply, !reply.isPositive { return judged(reply, .recipient, host) }
            let told = self.verdict(for: failure, host: host)
            // It may have been the answer to the message: another host would make two of it.
            if case .badReply = failure, let why = told.failure { return .temporary(why) }
            return told
        case .invalidEnvelope:
            return .permanent(
                DeliveryFailure(
                    .permanent, .local, EnhancedStatus(5, 1, 3), text: Array("the address cannot be sent".utf8),
                    host: host))
        }
    }

    /// A negative reply within a transaction.
    private static func judged(_ reply: ServerReply, _ stage: ClientStage, _ host: [UInt8]) -> RecipientVerdict {
        if reply.closesChannel { return .tryNextHost(made(reply, stage, .temporary, host)) }
        if reply.isPermanent {
            // RFC 5321 §4.5.3.1.10: 552 to RCPT may mean too many recipients, and is taken as temporary.
            if stage == .recipient, reply.code == 552 { return .temporary(made(reply, stage, .temporary, host)) }
            let failure = made(reply, stage, .permanent, host)
            return stage == .sender ? .tryNextHost(failure) : .permanent(failure)
        }
        let failure = made(reply, stage, .temporary, host)
        return isTroubleOfHost(reply, stage) ? .tryNextHost(failure) : .temporary(failure)
    }

    /// Whether a 4yz speaks of the host rather than of the mailbox or of a rule that every host of the destination has.
    private static func isTroubleOfHost(_ reply: ServerReply, _ stage: ClientStage) -> Bool {
        if let status = reply.status { return status.subject == 3 || status.subject == 4 }
        return reply.code == 451 && stage != .recipient
    }

    private static func unsupported(_ need: TransferOutcome.Need, _ host: [UInt8]) -> DeliveryFailure {
        let (status, text): (EnhancedStatus, StaticString) =
            switch need {
            // RFC 1870 §6.3: larger than the server takes.
            case .size: (EnhancedStatus(5, 3, 4), "the message is larger than the server takes")
            // RFC 3463 §3.7: conversion required but not supported.
            case .eightBitMIME: (EnhancedStatus(5, 6, 3), "the server takes no 8-bit mail (8BITMIME)")
            case .binaryMIME: (EnhancedStatus(5, 6, 3), "the server takes no binary mail (BINARYMIME)")
            // RFC 6531 §3.5
            case .smtpUTF8: (EnhancedStatus(5, 6, 7), "the server takes no internationalized mail (SMTPUTF8)")
            // RFC 8689 §4.2.1
            case .requireTLS: (EnhancedStatus(5, 7, 30), "the server does not support REQUIRETLS")
            }
        return DeliveryFailure(.permanent, .local, status, text: bytes(text), host: host)
    }

    private static func unanswered(_ host: [UInt8]) -> RecipientVerdict {
        next(.remote, EnhancedStatus(4, 5, 0), "the server did not answer for this recipient", host)
    }

    private static func lost(_ stage: ClientStage, _ host: [UInt8]) -> RecipientVerdict {
        let text = Array("the connection was lost \(words(stage))".utf8)
        // RFC 3463 §3.5: bad connection.
        let failure = DeliveryFailure(.temporary, .network, EnhancedStatus(4, 4, 2), text: text, host: host)
        // The message may be the host's already: another host would make two of it for sure.
        return stage == .endOfMessage || stage == .chunk ? .temporary(failure) : .tryNextHost(failure)
    }

    private static func next(
        _ source: DeliveryFailure.Source, _ status: EnhancedStatus, _ text: StaticString, _ host: [UInt8]
    ) -> RecipientVerdict {
        .tryNextHost(DeliveryFailure(.temporary, source, status, text: bytes(text), host: host))
    }

    private static func made(
        _ reply: ServerReply, _ stage: ClientStage, _ permanence: DeliveryFailure.Permanence, _ host: [UInt8],
        status: EnhancedStatus? = nil
    ) -> DeliveryFailure {
        DeliveryFailure(
            permanence, .remote, status ?? StatusDerivation.status(of: reply, at: stage, permanence),
            code: reply.code, text: reply.text, host: host)
    }

    private static func bytes(_ text: StaticString) -> [UInt8] { text.withUTF8Buffer { Array($0) } }

    private static func words(_ stage: ClientStage) -> String {
        switch stage {
        case .greeting: "before the greeting"
        case .hello: "after EHLO"
        case .startTLS: "after STARTTLS"
        case .authentication: "while authenticating"
        case .ready: "between messages"
        case .sender: "after MAIL"
        case .recipient: "after RCPT"
        case .data: "after DATA"
        case .chunk: "while sending the message"
        case .endOfMessage: "after the message was sent, before the answer"
        case .reset: "after RSET"
        case .quit: "after QUIT"
        }
    }
}
