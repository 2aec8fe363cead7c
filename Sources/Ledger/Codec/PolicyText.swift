package import Policy

/// A domain's rules as `name=value` texts, those that differ from the default.
package enum PolicyText {
    private static let defaults = DomainPolicyField.all.map { ($0, $0.read(DomainPolicy())) }
    private static let standard = DomainPolicy()

    package static func differences(_ policy: DomainPolicy) -> [String] {
        if policy == standard { return [] }
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
