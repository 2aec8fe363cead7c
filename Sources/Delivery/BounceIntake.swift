package import Base
package import Protocols

/// Mail for an address that `VERP` makes: recognises real bounces and reads them. Pure; who took the message calls it.
package struct BounceIntake: Sendable {
    private let verp: VERP

    package init(verp: VERP) { self.verp = verp }

    package enum Finding: Sendable, Hashable {
        /// The address is no bounce address: ordinary mail.
        case ordinary
        /// A bounce address that was not made here or is too old: refuse it as an unknown mailbox.
        case refused
        /// A report about the message and recipient that the token names.
        case bounce(VERP.Token, ReceivedReport)
        /// Mail to a good token that is no report (an auto-reply, a list): of no use, and proves nothing.
        case noReport(VERP.Token)
    }

    /// `sender` is the envelope's. Nothing but a delivery status report from the null sender counts as a bounce: subjects
    /// and texts are never guessed at.
    package func read(sender: [UInt8], recipient: [UInt8], message: [UInt8], now: WallTime) -> Finding {
        switch verp.read(recipient, now: now) {
        case .foreign: return .ordinary
        case .invalid: return .refused
        case .token(let token):
            // RFC 3464 §2: a report comes from the null reverse-path.
            guard sender.isEmpty, let report = ReceivedReport(message) else { return .noReport(token) }
            return .bounce(token, report)
        }
    }
}
