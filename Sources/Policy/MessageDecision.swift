package import Protocols

/// What becomes of one message for all of its recipients: each receiving domain decides by its own rules, and one reply
/// must do for them together.
package struct MessageDecision: Sendable, Hashable {
    package struct Entry: Sendable, Hashable {
        /// The receiving domain; empty for the bare postmaster.
        package let domain: [UInt8]
        package let disposition: Disposition

        package init(domain: [UInt8], disposition: Disposition) {
            self.domain = domain
            self.disposition = disposition
        }

        /// The domain's own wish, or the milder part of a refusal that others did not share.
        package var quarantines: Bool { disposition.action == .quarantine || disposition.action == .reject }
    }

    /// One for each receiving domain, in the order of the recipients.
    package let entries: [Entry]
    package let action: Disposition.Action

    package init(_ entries: [Entry]) {
        self.entries = entries
        action = Disposition.together(entries.map(\.disposition))
    }

    /// `domains` without repeats; a domain without rules of its own gets the defaults.
    package static func decide(
        _ results: AuthResults, domains: [[UInt8]], facts: Disposition.Facts, policy: ([UInt8]) -> DomainPolicy?
    ) -> MessageDecision {
        MessageDecision(
            domains.map {
                Entry(domain: $0, disposition: Disposition.decide(results, policy($0) ?? DomainPolicy(), facts))
            })
    }

    /// The disposition that made `action` what it is.
    package var deciding: Disposition? {
        entries.first { $0.disposition.action == action }?.disposition ?? entries.first?.disposition
    }

    /// Whether mail for `domain` goes to the junk folder.
    package func quarantines(_ domain: [UInt8]) -> Bool {
        entries.first { $0.domain == domain }?.quarantines ?? false
    }

    /// What the client is told when the message is refused or put off, with the id under which it is explained.
    package func reply(id: MessageID) -> Reply? {
        guard action == .reject || action == .postpone, let reply = deciding?.reply else { return nil }
        return Reply(code: reply.code, enhanced: reply.enhanced, text: reply.text + [0x20, 0x28] + id.text + [0x29])
    }
}
