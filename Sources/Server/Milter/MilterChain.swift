import Base
package import Policy
import Protocols
import Reactor

/// The filters of one SMTP session, in order: each holds one connection, made at the first MAIL and used for every later
/// message. Owned by the session's driver, confined to the loop. Completions come on the loop's thread, once each, and
/// maybe before the call returns; none after `abort` or `close`. Bounded by `MilterLimits`.
package final class MilterChain {
    package var facts: MilterConnectFacts
    /// Called when `wantsPause` has become false.
    package var onDrain: (() -> Void)?
    /// The id of the message, told to filters as the queue id from the next command on.
    package var messageID: [UInt8] = []

    package init(servers: [MilterServer], context: MilterContext, facts: MilterConnectFacts) {
        self.facts = facts
    }

    /// At MAIL. Connects what is not connected and says HELO where it is new.
    package func mail(_ mail: MilterMail, _ completion: @escaping (MilterVerdict) -> Void) { completion(.proceed) }

    /// At RCPT, one at a time. Filters the recipient's domain does not want are not told.
    package func recipient(
        _ address: [UInt8], parameters: [[UInt8]] = [], filters: DomainDefense.Milters = .all,
        _ completion: @escaping (MilterVerdict) -> Void
    ) { completion(.proceed) }

    /// Whether any filter wants the message: otherwise `beginMessage` and what follows need not be called.
    package var wantsMessage: Bool { false }

    /// The whole header block, with its empty line, as the message will be stored. What filters say of it is told at the
    /// end of the message.
    package func beginMessage(header: [UInt8]) {}

    /// The next octets of the body, CRLF line ends, dots unstuffed. Copied.
    package func body(_ bytes: Span<UInt8>) {}

    /// Too much waits for the filters: read nothing more until `onDrain`.
    package var wantsPause: Bool { false }

    package func endOfMessage(_ completion: @escaping (MilterOutcome) -> Void) {
        completion(MilterOutcome(verdict: .proceed))
    }

    /// What the filters did since the last call, for a transaction that ends before its message.
    package func takeEvents() -> [DefenseEvent] { [] }

    /// The transaction is over without a message, or the message was refused elsewhere.
    package func abort() {}

    /// The session ends.
    package func close() {}
}
