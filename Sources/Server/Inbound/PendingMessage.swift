import Base
import Ledger
import MailAuth
import Policy
import Protocols
import Store

/// A message whose last octet has come, on its way to the verdict and the store. By reference: it passes through a dozen
/// hands, one at a time, on its loop's thread.
final class PendingMessage {
    let id: MessageID
    let ticket: Ticket
    var envelope: Envelope
    var recipients: [ResolvedRecipient]
    var content: AcceptRequest.Body
    let size: Int
    /// When the final dot (or the last chunk) was read.
    let began: Instant
    /// nil: nothing is checked of it.
    let check: MessageCheck?
    /// The value of Message-ID.
    let messageID: [UInt8]
    /// Fields taken out because they claimed to be ours.
    let removedClaims: Int
    /// For a report of its delivery; empty when nobody asked for one.
    let header: [UInt8]
    /// What our own signatures on it are made of; nil: none is wanted.
    var signing: SigningOrder?
    /// The header, when filters saw the message: kept apart from the body, for what they change. nil: none did.
    var filteredHeader: [UInt8]?
    /// Receiving domains whose rules sent it to the junk folder for its client's sake.
    var junk: Set<[UInt8]> = []
    /// Why a filter wants it out of the way: `quarantined by NAME: reason`.
    var quarantine: [UInt8]?
    /// Receiving domains whose rules keep that filter off their mail.
    var quarantineSpares: Set<[UInt8]> = []
    /// Whether a filter wants what is for `domain` out of the way.
    func filtersQuarantine(_ domain: [UInt8]) -> Bool { quarantine != nil && !quarantineSpares.contains(domain) }
    /// A filter changed the sender: what was proven of the first says nothing of this one.
    var hasOtherSender = false
    /// A new body found no room.
    var isLost = false

    init(
        id: MessageID, ticket: Ticket, envelope: Envelope, recipients: [ResolvedRecipient], content: AcceptRequest.Body,
        size: Int, began: Instant, check: MessageCheck?, messageID: [UInt8], removedClaims: Int, header: [UInt8],
        signing: SigningOrder?, filteredHeader: [UInt8]?
    ) {
        self.id = id
        self.ticket = ticket
        self.envelope = envelope
        self.recipients = recipients
        self.content = content
        self.size = size
        self.began = began
        self.check = check
        self.messageID = messageID
        self.removedClaims = removedClaims
        self.header = header
        self.signing = signing
        self.filteredHeader = filteredHeader
    }

    /// The domains that receive it, without repeats, in the order of the recipients.
    var domains: [[UInt8]] {
        guard let first = envelope.recipients.first?.address.domain else { return [] }
        var out = [first]
        var seen: Set<[UInt8]> = []
        for recipient in envelope.recipients where recipient.address.domain != out[out.count - 1] {
            if seen.isEmpty { seen.insert(first) }
            if seen.insert(recipient.address.domain).inserted { out.append(recipient.address.domain) }
        }
        return out
    }
}

/// A message with its verdict; by reference like the message.
final class JudgedMessage {
    let message: PendingMessage
    let results: AuthResults
    let decision: MessageDecision
    var record: DecisionRecord?

    init(message: PendingMessage, results: AuthResults, decision: MessageDecision, record: DecisionRecord?) {
        self.message = message
        self.results = results
        self.decision = decision
        self.record = record
    }

    /// Looked through for every recipient, and there may be as many domains.
    private lazy var quarantined = Set(decision.entries.filter(\.quarantines).map(\.domain))
    private static let fewDomains = 8

    /// Whether mail for `domain` goes to the junk folder.
    func quarantines(_ domain: [UInt8]) -> Bool {
        if message.filtersQuarantine(domain) || message.junk.contains(domain) { return true }
        return decision.entries.count > Self.fewDomains ? quarantined.contains(domain) : decision.quarantines(domain)
    }
}

/// A message whose signatures are being made.
struct SignedCase {
    let judged: JudgedMessage
    let trace: [UInt8]
    let wall: WallTime
}

/// What a message was when it was handed to the store: for the log line, the metrics and the ledger after the answer,
/// whether or not its client is still there.
struct AcceptedMessage: Sendable {
    let id: MessageID
    let peer: [UInt8]
    let listener: ListenerLabel
    let sender: [UInt8]
    let recipients: Int
    let size: Int
    let began: Instant
    /// With the reply of an accepted message; nil: nothing is recorded.
    let record: RecordDraft?
}

/// A record on its way to the ledger with its message: to the store's thread and back. By reference, because a record is a
/// hundred references to count for each copy.
final class RecordDraft: Sendable {
    let record: DecisionRecord
    init(_ record: DecisionRecord) { self.record = record }
}

/// How mail from elsewhere is checked; the same for all loops, one for each message.
struct AuthSettings: Sendable, Equatable {
    /// Off: nothing is asked, nothing is decided, no field is added.
    var isEnabled = true
    var mode = DMARCMode.rfc9989
    /// Whether brand indicators (BIMI) are looked up for mail that DMARC proved.
    var looksUpIndicators = true
    var limits = GatherLimits()
}

extension Configuration {
    var authSettings: AuthSettings {
        AuthSettings(
            isEnabled: auth.enabled, mode: dmarc.mode == .rfc7489 ? .rfc7489 : .rfc9989,
            looksUpIndicators: auth.bimi,
            limits: GatherLimits(questions: auth.maxQuestions, seconds: Double(auth.timeoutSeconds)))
    }
}
