import Base
import MailAuth
import Protocols
import Store

/// A message whose last octet has come, on its way to the verdict and the store.
struct PendingMessage {
    let id: MessageID
    let ticket: Ticket
    let envelope: Envelope
    let recipients: [ResolvedRecipient]
    let content: AcceptRequest.Body
    let size: Int
    /// When the final dot (or the last chunk) was read.
    let began: Instant
    /// nil: nothing is checked of it.
    let check: MessageCheck?

    /// The domains that receive it, without repeats, in the order of the recipients.
    var domains: [[UInt8]] {
        var out: [[UInt8]] = []
        for recipient in envelope.recipients where !out.contains(recipient.address.domain) {
            out.append(recipient.address.domain)
        }
        return out
    }
}

/// What a message was when it was handed to the store, for the log line and the metrics after the answer.
struct AcceptedMessage: Sendable {
    let sender: [UInt8]
    let recipients: Int
    let size: Int
    let began: Instant
}

/// How mail from elsewhere is checked; the same for all loops.
struct AuthSettings: Sendable {
    /// Off: nothing is asked, nothing is decided, no field is added.
    var isEnabled = true
    var mode = DMARCMode.rfc9989
    var limits = GatherLimits()
}

extension Configuration {
    var authSettings: AuthSettings {
        AuthSettings(
            isEnabled: auth.enabled, mode: dmarc.mode == .rfc7489 ? .rfc7489 : .rfc9989,
            limits: GatherLimits(questions: auth.maxQuestions, seconds: Double(auth.timeoutSeconds)))
    }
}
