import Base
import MailAuth
import Policy
import Protocols
import Reactor

/// Greylisting: at RCPT, and for the null sender at the end of data, because servers that verify a sender ask with it and
/// never send anything.
extension SMTPConnection {
    /// Why the recipient is put off; nil: it is not.
    func deferral(
        of address: MailAddress, _ rules: DomainDefense.Greylist, score: Int?, _ proven: [UInt8]?,
        message: MessageID? = nil
    ) -> Reply? {
        var attempt = Greylisting.Attempt(
            address: client, sender: sender, recipient: address.wire, domain: address.domain)
        attempt.isTrusted = isOwnMail || defense.isExempt
        attempt.provenDomain = proven
        attempt.score = score
        let answer = loop.services.defense.greylist.decide(attempt, rules, now: loop.reactor.wall)
        guard var event = answer.event(recipient: address.wire, afterMicroseconds: 0) else { return nil }
        if !settings.auth.isEnabled { event.detail += GreylistDecision.networkOnly }
        var figures = DefenseFigures.Greylist(
            answer.decision, identity: answer.key?.identity ?? [], sender: sender)
        figures.proven = proven ?? []
        event.figures = .greylist(figures)
        guard let reply = answer.reply else {
            note(event)
            return nil
        }
        return refusing(event, reply, message: message)
    }

    /// The same at the end of data, for all recipients together: one that has to wait makes the message wait.
    func deferralOfReport(_ message: PendingMessage, _ results: AuthResults) -> Reply? {
        guard sender.isEmpty, !isOwnMail, !isFrontEnd else { return nil }
        let proven = results.spf.flatMap { $0.result == .pass ? $0.domain : nil }
        var first: Reply?
        for recipient in message.envelope.recipients {
            let address = recipient.address
            // RFC 5321 §4.5.1
            if RecipientCase.isPostmaster(address) { continue }
            guard let rules = directory.rules(ofDomain: address.domain)?.policy.defense.greylist, rules.isOn else {
                continue
            }
            guard
                let reply = deferral(
                    of: address, rules, score: defense.scores[address.domain], proven, message: message.id)
            else { continue }
            first = first ?? reply
        }
        return first
    }
}
