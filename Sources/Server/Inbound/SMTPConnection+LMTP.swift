import Base
import Policy
import Protocols
import Store

/// What is different when a front end delivers (RFC 2033): mailboxes here only, and an own result for each recipient.
extension SMTPConnection {
    /// RFC 2033 §1: no queue. What could only be sent on is refused, so that its failure stays the front end's to tell.
    func lookHere(_ address: MailAddress) -> DirectoryAnswer {
        let answer = look(up: address)
        guard case .known(let found) = answer else { return answer }
        let isHere = !found.isRemote && found.forwards.isEmpty && found.bouncesTo == nil && !found.accounts.isEmpty
        return isHere
            ? answer
            : .refused(
                .relayDenied, StoreReplies.leadsElsewhere, "it leads to other servers, where LMTP sends nothing")
    }

    /// Takes out who cannot have a message of this size and tells each so by itself (RFC 2033 §4.2). What MAIL announced
    /// was looked at before; this is what came. The last refusal, when nobody is left.
    func settleEach(_ envelope: inout Envelope, _ recipients: inout [ResolvedRecipient], size: Int) -> Reply? {
        var kept: [Int] = []
        var last: Reply?
        for (index, recipient) in envelope.recipients.enumerated() where index < recipients.count {
            guard let refusal = refusal(of: recipient.address, size: size) else {
                kept.append(index)
                continue
            }
            last = refusal
            let told = refusing(
                .directory, refusal, subject: recipient.address.wire,
                because: "\(size) octets do not fit into the mailbox, or are more than its domain takes")
            _ = refuse(refusal.code >= 500 ? .rejected : .deferred, told)
            session.settle(recipient: index, told)
        }
        guard let last else { return nil }
        envelope.recipients = kept.map { envelope.recipients[$0] }
        recipients = kept.map { recipients[$0] }
        return kept.isEmpty ? last : nil
    }

    private func refusal(of address: MailAddress, size: Int) -> Reply? {
        if let most = directory.policy(ofDomain: address.domain)?.maxMessageSize, size > most {
            return StoreReplies.tooLargeForRecipient
        }
        switch directory.resolve(localpart: address.localpart, domain: address.domain, declaredSize: size) {
        case .overQuota(let how): return StoreReplies.overQuota(how)
        case .deliver, .notLocal, .unknown, .disabled, .aliasLoop: return nil
        }
    }
}
