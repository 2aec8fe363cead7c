package import Base

/// Names one open question of one session. Never reused within a session.
package struct Ticket: Sendable, Hashable {
    package let value: UInt64
    package init(value: UInt64) { self.value = value }
}

/// What a session wants from its driver, in order.
package enum Effect: Sendable {
    /// Answer with `resume(_:with:)`, now or later.
    case ask(Question, Ticket)
    /// Write the output first, throw away unread input, do the handshake, then call `secured`.
    case startTLS
    /// Write the output, then close. Nothing more will be consumed.
    case close(SessionClose)
    case note(SessionNote)
    /// MAIL was accepted.
    case transactionStarted
    /// The transaction ended without `.submit`; whatever the body sink holds is worthless.
    case transactionAborted
}

/// A question only the world outside can answer.
package enum Question: Sendable {
    /// Nil is the null reverse-path. `.accepted` or `.refused`.
    case sender(MailAddress?)
    /// The second value counts RCPT commands of the transaction from 0. `.accepted` or `.refused`.
    case recipient(MailAddress, Int)
    /// VRFY's argument. `.accepted` is answered 252; `.refused` carries any reply.
    case verify([UInt8])
    /// A command that is not known or not implemented, only when `SMTPSession.asksAboutUnknown`. `.accepted`: it is answered
    /// as usual; `.refused` carries another reply.
    case unknown([UInt8])
    /// `.challenge`, `.authenticated` or `.refused`.
    case authenticate(SASLRequest)
    /// The body has gone to the sink in full. `.stored` or `.refused`.
    indirect case submit(Envelope)
}

/// What the driver says. An answer that does not fit its question is a 451.
package enum Answer: Sendable {
    case accepted
    /// A 421 also ends the session (RFC 5321 §3.8).
    case refused(Reply)
    /// SASL server data, not yet base64.
    case challenge([UInt8])
    case authenticated(identity: [UInt8])
    case stored(MessageID)
}

/// One step of a SASL exchange for the driver to judge.
package enum SASLRequest: Sendable {
    /// PLAIN and LOGIN; `authorization` is empty for LOGIN and usually for PLAIN.
    case password(authorization: [UInt8], user: [UInt8], password: Secret)
    /// A client message of SCRAM-SHA-256; `isFirst` opens the exchange. After `.challenge(server-final)` the client
    /// sends an empty message, which arrives here too and is answered `.authenticated`.
    case scram(message: Secret, isFirst: Bool)
}

package enum SessionClose: Sendable, Hashable {
    case quit, timeout, peerClosed, shutdown, tooManyErrors, lineTooLong, bareLineEnding, foreignProtocol, outOfSync
    case drainLimit
    /// An answer was 421: the client is told to go away.
    case refused
}

/// Things worth a counter or a log line that are not replies.
package enum SessionNote: Sendable, Hashable {
    case bareLineEnding, foreignProtocol, lineTooLong, tooManyErrors, messageTooLarge, hopLimit, authenticationFailed
    case authenticationCancelled, drainLimit
}

/// Where body octets go: unstuffed, exactly as they shall be stored, CRLF kept.
package protocol BodySink {
    /// A body begins (354 was queued, or the first BDAT was accepted).
    mutating func begin()
    mutating func append(_ bytes: Span<UInt8>)
    /// What was appended since `begin` is thrown away.
    mutating func discard()
}
