import Base

/// Every rule that may differ from domain to domain, with its default. The only place such a rule lives; read it from the
/// snapshot a transaction captured, never from anywhere else.
package struct DomainPolicy: Sendable, Hashable {
    /// Whether the domain takes mail.
    package var enabled = true
    /// The byte that ends a local part's mailbox name (`alice+lists` is `alice`); nil: no sub-addressing.
    package var subaddressSeparator: UInt8? = ASCII.plus
    /// Most octets of a message for this domain; nil: the server's limit.
    package var maxMessageSize: Int?
    /// What a full mailbox answers: 452 4.2.2 (try later) or 552 5.2.2.
    package var quotaRefusal = QuotaRefusal.temporary

    /// Whether mail that fails DMARC is treated as the owner of its author domain asks; off: only recorded.
    package var dmarcEnforced = true
    /// When DNS trouble keeps a check from an end that could be a refusal: put the mail off (451), or take it.
    package var dmarcTemporary = TemporaryFailure.postpone
    /// Author domains whose DMARC failures are let pass.
    package var dmarcExempt: [[UInt8]] = []
    /// Domains that, proven by SPF or DKIM, may send mail for others: forwarders and lists.
    package var trustedForwarders: [[UInt8]] = []
    /// Domains (d=) whose ARC seals are believed about what they received.
    package var trustedARCSealers: [[UInt8]] = []
    /// SPF fail, unless DMARC passes.
    package var spfFail = Strictness.accept
    /// A From field without an author domain, or more than one (RFC 9989 §11.5). Mail without any From is not meant.
    package var brokenFrom = Strictness.reject

    /// Whether mail of the domain is signed; without an active key it never is.
    package var dkimSign = true
    /// Whether forwarded mail gets an ARC set; never mail of our own.
    package var arcSeal = false

    /// Greylisting, tarpitting, lists and filters.
    package var defense = DomainDefense()

    /// Entries of one list of domains.
    package static let domainsMax = 100

    package init() {}

    package enum Strictness: String, Sendable, CaseIterable {
        case accept, quarantine, reject
    }

    package enum TemporaryFailure: String, Sendable, CaseIterable {
        case postpone = "defer"
        case accept
    }

    package enum QuotaRefusal: String, Sendable, CaseIterable {
        case temporary, permanent
    }
}

/// A domain setting by its name: how the command line, the admin page and the store read and write `DomainPolicy`.
package struct DomainPolicyField: Sendable {
    package let name: String
    package let summary: String
    package let defaultText: String
    package let read: @Sendable (DomainPolicy) -> String
    /// False when the text is not a value of this setting.
    package let write: @Sendable (inout DomainPolicy, String) -> Bool
    /// Which part of a text that `write` does not take is wrong; nil: there is no more to say than `summary`.
    var part: @Sendable (String) -> String? = { _ in nil }

    /// Why `write` does not take `text`, for people.
    package func complaint(_ text: String) -> String { part(text) ?? summary }

    package static let all: [DomainPolicyField] = mailboxes + authentication + signing + defense

    /// What is taken for the domain's mailboxes.
    private static let mailboxes: [DomainPolicyField] = [
        DomainPolicyField(
            name: "enabled", summary: "Whether the domain takes mail: true or false.", defaultText: "true",
            read: { $0.enabled ? "true" : "false" },
            write: { policy, text in
                guard text == "true" || text == "false" else { return false }
                policy.enabled = text == "true"
                return true
            }),
        DomainPolicyField(
            name: "subaddress_separator",
            summary: "The character that ends the mailbox name in alice+lists@…; none switches sub-addressing off.",
            defaultText: "+",
            read: { $0.subaddressSeparator.map { String(Unicode.Scalar($0)) } ?? "none" },
            write: { policy, text in
                if text == "none" {
                    policy.subaddressSeparator = nil
                    return true
                }
                let bytes = Array(text.utf8)
                guard bytes.count == 1, let byte = bytes.first, "+-=_#".utf8.contains(byte) else { return false }
                policy.subaddressSeparator = byte
                return true
            }),
        DomainPolicyField(
            name: "max_message_size",
            summary: "Most octets of a message for this domain (1024 to 1073741824); default: smtp.max_message_size.",
            defaultText: "default",
            read: { $0.maxMessageSize.map(String.init) ?? "default" },
            write: { policy, text in
                if text == "default" {
                    policy.maxMessageSize = nil
                    return true
                }
                guard let size = Int(text), (1024...1_073_741_824).contains(size) else { return false }
                policy.maxMessageSize = size
                return true
            }),
        DomainPolicyField(
            name: "quota_refusal",
            summary: "How mail for a full mailbox is refused: temporary (452) or permanent (552).",
            defaultText: "temporary",
            read: { $0.quotaRefusal.rawValue },
            write: { policy, text in
                guard let value = DomainPolicy.QuotaRefusal(rawValue: text) else { return false }
                policy.quotaRefusal = value
                return true
            }),
    ]

    package static func named(_ name: String) -> DomainPolicyField? { all.first { $0.name == name } }
}
