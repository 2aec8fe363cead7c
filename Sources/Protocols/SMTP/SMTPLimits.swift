/// Every bound of the SMTP receiver. A peer never makes a session hold more than these.
package struct SMTPLimits: Sendable, Equatable {
    // RFC 5321 §4.5.3.1.4: a command line is at most 512 octets with its CRLF.
    package var commandLineOctets = 512
    // RFC 5321 §4.5.3.1.4: extensions raise it; RFC 3461 §4.2 alone asks for 500 more, RFC 4954 §5 for 500.
    package var parameterLineOctets = 4_096
    // RFC 4954 §4: lines of an AUTH exchange.
    package var authLineOctets = 12_288
    /// A longer line without an end closes the connection; a shorter one is answered 500.
    package var discardedLineOctets = 65_536
    // RFC 5321 §4.5.3.1.6: 998 is the rule for senders; we take more, and keep it as it came.
    package var textLineOctets = 65_536
    // RFC 5321 §4.5.3.1.8: at least 100 recipients.
    package var recipients = 100
    /// Messages of one connection, 0 for no limit (RFC 9422 §4.1 MAILMAX).
    package var messages = 0
    // RFC 1870 §4: the SIZE announced.
    package var messageOctets: UInt64 = 52_428_800
    /// Octets read and thrown away of a message that will be refused, beyond `messageOctets`.
    package var drainOctets: UInt64 = 67_108_864
    package var headerOctets: UInt64 = 262_144
    // RFC 5321 §6.3: at least 100 Received fields.
    package var receivedFields = 100
    /// A syntax or sequence error weighs 5, a refusal 1.
    package var errorWeight = 100
    package var authFailures = 3
    /// Replies held back behind an unanswered question.
    package var heldReplies = 256
    /// Output not yet taken by the driver at which the session stops reading commands.
    package var outputOctets = 65_536
    // RFC 5321 §4.5.3.2.7: the server waits at least 5 minutes for a command.
    package var commandTimeoutSeconds = 300.0
    // RFC 5321 §4.5.3.2.5: 3 minutes for a data block.
    package var dataTimeoutSeconds = 180.0

    package init() {}
}
