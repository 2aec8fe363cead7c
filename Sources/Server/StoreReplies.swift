import Policy
import Protocols
import Store

/// What the wire says for what the store, the directory and the authenticator answered. The session's own texts are in
/// `StandardReplies`.
enum StoreReplies {
    // RFC 3463 §3.4: X.3.1 mail system full, X.3.0 other mail system status.
    static let storeBusy = Reply(452, EnhancedStatus(4, 3, 1), "Cannot take the message now, try again later")
    static let storeFull = Reply(452, EnhancedStatus(4, 3, 1), "Out of disk space, try again later")
    static let storeFailed = Reply(451, EnhancedStatus(4, 3, 0), "The message could not be stored, try again later")

    // RFC 3463 §3.5: X.4.0, a fault of the server's own.
    static let checksFailed = Reply(451, EnhancedStatus(4, 3, 0), "The message could not be checked, try again later")

    // RFC 3463 §3.7: X.6.0, other or undefined media error.
    static let headerUnreadable = Reply(
        554, EnhancedStatus(5, 6, 0), "The header is too long, does not end, or has too many fields")

    static let unknownRecipient = Reply(550, EnhancedStatus(5, 1, 1), "No such mailbox here")
    static let disabledRecipient = Reply(550, EnhancedStatus(5, 2, 1), "The mailbox takes no mail")
    static let aliasLoop = Reply(450, EnhancedStatus(4, 4, 6), "The alias leads round in a circle")
    static let relayDenied = Reply(550, EnhancedStatus(5, 7, 1), "Relaying denied")
    static let leadsElsewhere = Reply(
        550, EnhancedStatus(5, 7, 1), "The address leads elsewhere; LMTP delivers into mailboxes here only")
    static let tooLargeForRecipient = Reply(
        552, EnhancedStatus(5, 2, 3), "The message is larger than this domain takes")

    // A filter sends the message to somebody whom the client never named.
    static let filterTargetUnknown = Reply(
        550, EnhancedStatus(5, 1, 1), "A mail filter sends the message to a mailbox that is not here")
    static let filterTargetDisabled = Reply(
        550, EnhancedStatus(5, 2, 1), "A mail filter sends the message to a mailbox that takes no mail")
    static let filterTargetLoops = Reply(
        451, EnhancedStatus(4, 4, 6), "A mail filter sends the message to an alias that leads round in a circle")
    static let filterLeadsElsewhere = Reply(
        550, EnhancedStatus(5, 7, 1),
        "A mail filter sends the message elsewhere; LMTP delivers into mailboxes here only")

    static func filterTargetFull(_ refusal: DomainPolicy.QuotaRefusal) -> Reply {
        switch refusal {
        case .temporary:
            Reply(
                452, EnhancedStatus(4, 2, 2), "The mailbox a mail filter sends the message to is full, try again later")
        case .permanent:
            Reply(552, EnhancedStatus(5, 2, 2), "The mailbox a mail filter sends the message to is full")
        }
    }

    static let verifyNotTold = Reply(252, EnhancedStatus(2, 1, 5), "Send some mail, I will try my best")

    // RFC 4954 §6: 535 5.7.8, 454 4.7.0.
    static let badCredentials = Reply(535, EnhancedStatus(5, 7, 8), "Authentication credentials invalid")
    static let authUnavailable = Reply(454, EnhancedStatus(4, 7, 0), "Temporary authentication failure")
    static let senderNotOwned = Reply(553, EnhancedStatus(5, 7, 1), "Sender address is not yours to use")

    static func overQuota(_ refusal: DomainPolicy.QuotaRefusal) -> Reply {
        switch refusal {
        case .temporary: Reply(452, EnhancedStatus(4, 2, 2), "The mailbox is full, try again later")
        case .permanent: Reply(552, EnhancedStatus(5, 2, 2), "The mailbox is full")
        }
    }

    static func refusal(_ error: StoreError) -> Reply {
        switch error {
        case .unavailable(.diskFull): storeFull
        case .unavailable(.busy): storeBusy
        // `invalid` is a fault of ours too: a session never submits what the store could rightly refuse.
        case .unavailable(.inputOutput), .unavailable(.stopped), .corrupt, .conflict, .notFound, .invalid: storeFailed
        }
    }
}
