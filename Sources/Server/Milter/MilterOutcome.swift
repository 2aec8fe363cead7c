package import Ledger
package import Policy
package import Protocols

/// What the filters say of one command, or of the whole message.
package enum MilterVerdict: Sendable, Equatable {
    case proceed
    /// 4xx or 5xx in the filter's words or ours. Code 421 asks for the end of the connection.
    case refuse(Reply)
    /// No filter wants to hear more of this message: it may go on.
    case accept
    /// The message is answered 250 at its end and thrown away.
    case discard

    /// Whether the command is let through.
    package var isPositive: Bool { if case .refuse = self { false } else { true } }
}

/// Everything the filters want changed of one message, the later ones' wishes after the earlier ones'. Bounded: the header
/// by `MilterLimits.headerMax`, the body by `bodyMax`, the recipients by `recipientsMax`.
package struct MilterModifications: Sendable, Equatable {
    /// The header block with every change made, up to and with its empty line; nil: as it was given.
    package var header: [UInt8]?
    /// A body instead of the message's own; nil: as it was.
    package var body: [UInt8]?
    package var sender: MilterSender?
    /// Each address once.
    package var addedRecipients: [MilterRecipient] = []
    /// Taken away first: what was added again since is on both lists.
    package var removedRecipients: [MailAddress] = []
    /// Why the message belongs in quarantine; nil: it does not. Printable, bounded.
    package var quarantine: [UInt8]?
    /// Receiving domains that none of the filters that want it has heard of, by the domains' own rules: theirs stays out.
    package var quarantineSpares: Set<[UInt8]> = []

    package init() {}

    package var isEmpty: Bool {
        header == nil && body == nil && sender == nil && addedRecipients.isEmpty && removedRecipients.isEmpty
            && quarantine == nil
    }
}

/// What the filters made of a whole message.
package struct MilterOutcome: Sendable, Equatable {
    package var verdict: MilterVerdict
    /// Empty unless the verdict lets the message through.
    package var modifications = MilterModifications()
    /// What `explain` shows, of the whole transaction since MAIL.
    package var events: [DefenseEvent] = []
    /// Each change that was made, the first `FilterChange.changesMax` of `changeCount`.
    package var changes: [FilterChange] = []
    package var changeCount = 0

    package init(verdict: MilterVerdict) { self.verdict = verdict }
}
