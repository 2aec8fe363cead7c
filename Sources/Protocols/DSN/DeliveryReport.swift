package import Base

/// A delivery status notification before it is text: what is to be said of one message, about one kind of news. `encoded`
/// (in `DeliveryReport+Encoding`) makes the message of it. Pure; bounded by `recipientsMax` and the original's octets.
// RFC 3464 §2
package struct DeliveryReport: Sendable {
    /// Recipients of one report; the rest is not mentioned.
    package static let recipientsMax = 1_000

    package enum Action: String, Sendable, Hashable, CaseIterable {
        case failed, delayed, delivered, relayed, expanded
    }

    /// One recipient's group of fields.
    package struct Recipient: Sendable {
        /// The envelope's address.
        package var address: [UInt8]
        /// ORCPT as it came (`rfc822;xtext`); empty: not given.
        package var original: [UInt8] = []
        package var action: Action
        package var status: EnhancedStatus
        /// The host that was spoken to; empty: none.
        package var remote: [UInt8] = []
        /// The remote's reply code; nil: the words are ours.
        package var code: UInt16?
        /// The reply's lines, parted by LF, or our words. Any octets: they are made safe here.
        package var text: [UInt8] = []
        package var lastAttempt: WallTime?
        /// Delayed only.
        package var retryUntil: WallTime?
        /// Failed only because time ran out.
        package var isExpired = false

        package init(address: [UInt8], action: Action, status: EnhancedStatus) {
            self.address = address
            self.action = action
            self.status = status
        }
    }

    /// The message the report is about, as bytes from its first header field on.
    package struct Original: Sendable {
        package var bytes: [UInt8]
        /// Nothing is missing at the end of `bytes`.
        package var isWhole: Bool
        /// It came with SMTPUTF8.
        package var isInternational: Bool

        package init(bytes: [UInt8], isWhole: Bool, isInternational: Bool = false) {
            self.bytes = bytes
            self.isWhole = isWhole
            self.isInternational = isInternational
        }
    }

    /// Of one action, or of actions that belong together (delivered, relayed, expanded).
    package var recipients: [Recipient]
    package var original: Original
    /// Return the body too, not only the header; the encoder falls back to the header when the body cannot be in a report.
    package var returnsBody: Bool
    /// Whom it goes to.
    package var sender: [UInt8]
    /// Our name.
    package var hostname: [UInt8]
    /// ENVID as it came (xtext); empty: not given.
    package var envelopeID: [UInt8] = []
    /// The name the message's client gave in HELO or EHLO; empty: none.
    package var receivedFrom: [UInt8] = []
    package var arrival: WallTime
    package var now: WallTime
    /// Part of the Message-ID and the boundary: letters, digits, `.`, `-`, `_`; never used for another message.
    package var token: [UInt8]
    /// The way back takes UTF-8 header fields: the forms of RFC 6533 are used as they are, otherwise in 7 bits.
    package var allowsUTF8: Bool

    package init(
        recipients: [Recipient], original: Original, returnsBody: Bool, sender: [UInt8], hostname: [UInt8],
        arrival: WallTime, now: WallTime, token: [UInt8], allowsUTF8: Bool
    ) {
        self.recipients = recipients
        self.original = original
        self.returnsBody = returnsBody
        self.sender = sender
        self.hostname = hostname
        self.arrival = arrival
        self.now = now
        self.token = token
        self.allowsUTF8 = allowsUTF8
    }

    /// The message, ready to be kept: CRLF line ends, lines of at most 998 octets.
    package struct Encoded: Sendable {
        package let bytes: [UInt8]
        /// BODY=8BITMIME is needed.
        package let has8bit: Bool
        /// SMTPUTF8 is needed.
        package let needsUTF8: Bool
    }
}
