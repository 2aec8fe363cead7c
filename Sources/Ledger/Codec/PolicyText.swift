package import Policy
import Synchronization

/// A domain's rules as `name=value` texts, those that differ from the default.
package enum PolicyText {
    private static let defaults = DomainPolicyField.all.map { ($0, $0.read(DomainPolicy())) }
    private static let standard = DomainPolicy()

    /// The rules asked for of late: every message of a domain has the same, and their texts take longer than all the rest
    /// of a record.
    private static let recent = Mutex<[Known]>([])
    private static let recentMax = 16

    private struct Known: Sendable {
        let policy: DomainPolicy
        let texts: [String]
    }

    package static func differences(_ policy: DomainPolicy) -> [String] {
        if policy == standard { return [] }
        if let known = recent.withLock({ $0.first { $0.policy == policy } }) { return known.texts }
        let known = Known(policy: policy, texts: made(policy))
        recent.withLock {
            if $0.count == recentMax { $0.removeFirst() }
            $0.append(known)
        }
        return known.texts
    }

    private static func made(_ policy: DomainPolicy) -> [String] {
        var out: [String] = []
        for (field, standard) in defaults {
            let text = field.read(policy)
            if text != standard { out.append("\(field.name)=\(text)") }
        }
        return out
    }

    /// A setting that this version does not know changes nothing.
    package static func apply(_ text: String, to policy: inout DomainPolicy) {
        guard let equals = text.utf8.firstIndex(of: 0x3D), let field = DomainPolicyField.named(String(text[..<equals]))
        else { return }
        _ = field.write(&policy, String(text[text.utf8.index(after: equals)...]))
    }
}
