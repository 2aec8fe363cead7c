/// What one list in DNS says of one client (RFC 5782). MailAuth finds it, Policy gives it a weight.
package struct DNSListFinding: Sendable, Hashable {
    /// Octets of the list's own words.
    package static let textMax = 200
    /// Addresses kept of one answer.
    package static let answersMax = 16

    /// As it was asked: lower case, without a trailing dot.
    package var zone: [UInt8]
    package var outcome: Outcome
    /// What was answered, as far as it was looked at.
    package var answers: [IPAddress] = []
    /// The list's own words about the client; printable, may be empty.
    package var text: [UInt8] = []

    package init(zone: [UInt8], outcome: Outcome, answers: [IPAddress] = [], text: [UInt8] = []) {
        self.zone = zone
        self.outcome = outcome
        self.answers = answers
        self.text = text
    }

    /// Only `listed` is evidence.
    package enum Outcome: String, Sendable, Hashable, CaseIterable {
        case listed
        case notListed = "not_listed"
        /// No answer in time, or none that could be trusted.
        case unanswered
        /// The list answers, but will not tell us: asked too often, or through the wrong resolver.
        case declined
        /// The answer is no list's: a domain that was given up, or a resolver that makes names up.
        case broken
    }
}
