package import Base
package import Policy
package import Protocols

/// What was decided of one message that reached its end of data, and from what: enough to explain it and to decide it
/// again under other rules without asking anybody. Made by the driver on its loop, encoded there (`encoded()`), handed to
/// `LedgerWriter.record`. Texts are octets as they came; `encoded` bounds them.
package struct DecisionRecord: Sendable {
    /// The id of the message; one that is refused has one too, named in the reply.
    package var id: MessageID
    /// When the final dot came.
    package var time: WallTime
    package var session: SessionFacts
    /// Envelope sender, `local@domain`; empty: the null sender.
    package var sender: [UInt8] = []
    /// The first `recipientsMax` of `recipientCount`.
    package var recipients: [Recipient] = []
    package var recipientCount = 0
    /// Octets of the message as received.
    package var size = 0
    /// The value of Message-ID, without white space around it.
    package var messageID: [UInt8] = []
    /// What became of the message as a whole.
    package var action: Disposition.Action
    /// Why, when no rule of authentication decided (`too big`, `the store is full`); empty otherwise.
    package var cause: [UInt8] = []
    /// What the client was told after the final dot.
    package var reply: Reply
    package var results = AuthResults()
    /// Authentication-Results fields that claimed to be ours and were removed (RFC 8601 §5).
    package var removedClaims = 0
    /// Every question and its answer.
    package var facts = Facts()
    /// What `Disposition.decide` was given besides results and policy.
    package var policyFacts = Disposition.Facts()
    /// `dmarc.mode` in force, and the number drawn for it (0 to 99).
    package var dmarcMode = standardMode
    package var dice = 0
    /// One for each receiving domain.
    package var verdicts: [Verdict] = []
    package var timing = Timing()
    /// What defences did to the session so far and to the message; the first `DefenseEvent.eventsMax` are kept.
    package var events: [DefenseEvent] = []
    /// What mail filters changed: the first `FilterChange.changesMax` of `changeCount`.
    package var changes: [FilterChange] = []
    package var changeCount = 0
    /// What was found out about the client, as far as it was asked; nil: nothing was, or the record is of an earlier
    /// version.
    package var evidence: ClientEvidence?
    /// Failures that no earlier record of the session has, by receiving domain.
    package var failures: [FailureTally] = []
    /// Set by decoding: not all of `facts` found room, so a replay may lack some.
    package var isAbridged = false

    package static let standardMode = Array("rfc9989".utf8)

    package init(id: MessageID, time: WallTime, session: SessionFacts, action: Disposition.Action, reply: Reply) {
        self.id = id
        self.time = time
        self.session = session
        self.action = action
        self.reply = reply
    }

    package struct Recipient: Sendable, Hashable {
        /// As given in RCPT, without brackets.
        package var address: [UInt8]
        /// Lower case.
        package var domain: [UInt8]
        package var action: Disposition.Action
        /// The rule that decided for its domain; nil: none was asked (mail of our own for elsewhere).
        package var rule: Disposition.Rule?
        /// Where it was put: `Inbox`, `Junk`, `Queue (held)`; empty: it went to the queue, or nowhere.
        package var folder: [UInt8]
        /// A filter had this copy thrown away; others were taken.
        package var isDiscarded = false

        package init(
            address: [UInt8], domain: [UInt8], action: Disposition.Action, rule: Disposition.Rule? = nil,
            folder: [UInt8] = []
        ) {
            self.address = address
            self.domain = domain
            self.action = action
            self.rule = rule
            self.folder = folder
        }
    }

    /// A `Disposition` as it was made for one receiving domain, with the rules it was made by.
    package struct Verdict: Sendable, Hashable {
        package var domain: [UInt8]
        package var policy: DomainPolicy
        package var action: Disposition.Action
        package var rule: Disposition.Rule
        package var reason: [UInt8]
        package var overrides: [Disposition.Override]
        package var reply: Reply?

        package init(domain: [UInt8], policy: DomainPolicy, _ disposition: Disposition) {
            self.domain = domain
            self.policy = policy
            action = disposition.action
            rule = disposition.rule
            reason = disposition.reason
            overrides = disposition.overrides
            reply = disposition.reply
        }

        init(domain: [UInt8], action: Disposition.Action, rule: Disposition.Rule) {
            self.domain = domain
            policy = DomainPolicy()
            self.action = action
            self.rule = rule
            reason = []
            overrides = []
        }
    }

    /// In microseconds.
    package struct Timing: Sendable, Hashable {
        /// From MAIL to the reply after the final dot.
        package var total: UInt64 = 0
        /// From the final dot to the verdict.
        package var verdict: UInt64 = 0
        /// Spent waiting for DNS, as far as it held up anything.
        package var dns: UInt64 = 0
        /// Questions asked of the resolver, and rounds of them.
        package var questions = 0
        package var rounds = 0
        /// Before DATA: recipients waited for DNS lists, reverse names and SPF.
        package var recipients: UInt64 = 0

        package init() {}
    }
}

/// Who was at the other end: what message and session records have in common.
package struct SessionFacts: Sendable, Hashable {
    /// `mx`, `submission`, `submissions`, `lmtp`.
    package var listener: [UInt8]
    /// nil: not known (a Unix socket).
    package var peer: IPAddress?
    /// As given in HELO, EHLO or LHLO; empty: never given.
    package var helo: [UInt8] = []
    /// `TLSv1.3`; empty: in the clear.
    package var tlsVersion: [UInt8] = []
    package var tlsCipher: [UInt8] = []
    /// The identity of SMTP AUTH; empty: none.
    package var user: [UInt8] = []
    /// Logged in, from a trusted network, or an operator's exception: no score or delay is for it. nil: not recorded.
    package var isExempt: Bool?

    package init(listener: [UInt8], peer: IPAddress?) {
        self.listener = listener
        self.peer = peer
    }
}
