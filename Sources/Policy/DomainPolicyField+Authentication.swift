import Base
import Protocols

/// What is done with the results of authentication.
extension DomainPolicyField {
    static let authentication: [DomainPolicyField] = [
        choice(
            "dmarc_enforce", \.dmarcEnforcement,
            summary: "Whether mail that fails DMARC is quarantined or refused as its author domain asks: true or false."
        ),
        choice(
            "dmarc_temperror", \.dmarcTemporary,
            summary: "Mail that DNS trouble keeps from a verdict that could refuse it: defer (451) or accept."),
        domains(
            "dmarc_exempt", \.dmarcExempt,
            summary: "Author domains whose DMARC failures are let pass (up to 100, parted by commas), or none."),
        domains(
            "trusted_forwarders", \.trustedForwarders,
            summary: "Domains that, proven by SPF or DKIM, may forward mail that fails DMARC (up to 100), or none."),
        domains(
            "trusted_arc_sealers", \.trustedARCSealers,
            summary: "Domains whose ARC seals are believed when they say DMARC passed (up to 100), or none."),
        choice(
            "spf_fail", \.spfFail,
            summary: "Mail that fails SPF and does not pass DMARC: accept, quarantine or reject."),
        choice(
            "broken_from", \.brokenFrom,
            summary: "Mail whose From field names no author domain or several: accept, quarantine or reject."),
    ]

    static func choice<Value: RawRepresentable & Sendable>(
        _ name: String, _ path: any WritableKeyPath<DomainPolicy, Value> & Sendable, summary: String
    ) -> DomainPolicyField where Value.RawValue == String {
        DomainPolicyField(
            name: name, summary: summary, defaultText: DomainPolicy()[keyPath: path].rawValue,
            read: { $0[keyPath: path].rawValue },
            write: { policy, text in
                guard let value = Value(rawValue: text) else { return false }
                policy[keyPath: path] = value
                return true
            })
    }

    static func domains(
        _ name: String, _ path: any WritableKeyPath<DomainPolicy, [[UInt8]]> & Sendable, summary: String
    ) -> DomainPolicyField {
        DomainPolicyField(
            name: name, summary: summary, defaultText: "none",
            read: { policy in
                let list = policy[keyPath: path]
                return list.isEmpty ? "none" : list.map(\.escapedText).joined(separator: ",")
            },
            write: { policy, text in
                guard let list = parse(text) else { return false }
                policy[keyPath: path] = list
                return true
            })
    }

    /// Nil unless every entry is an ASCII domain name.
    private static func parse(_ text: String) -> [[UInt8]]? {
        if text == "none" { return [] }
        var out: [[UInt8]] = []
        for part in text.utf8.split(separator: ASCII.comma, omittingEmptySubsequences: false) {
            let domain = ASCII.lowercased(SettingText.trimmed(part))
            let isName = domain.allSatisfy { ASCII.isAlphanumeric($0) || "-._".utf8.contains($0) }
            // `None` would be written as the word for an empty list.
            guard isName, !"none".utf8.elementsEqual(domain), domain.last != ASCII.dot,
                let name = DNSName(dotted: domain), name.dotted.count <= 253,
                out.count < DomainPolicy.domainsMax
            else { return nil }
            if !out.contains(domain) { out.append(domain) }
        }
        return out
    }
}

/// true and false as words.
enum Switch: String, Sendable {
    case on = "true"
    case off = "false"
}

extension DomainPolicy {
    fileprivate var dmarcEnforcement: Switch {
        get { dmarcEnforced ? .on : .off }
        set { dmarcEnforced = newValue == .on }
    }
}
