package import Policy

/// Settings as they would be, written over the rules that were in force. Remembers the last rules it changed: those of one
/// domain are the same for most of its mail.
package struct ChangedRules: Sendable {
    private let settings: [(field: DomainPolicyField, value: String)]
    private var last: (old: DomainPolicy, new: DomainPolicy)?

    package init(_ settings: [(field: DomainPolicyField, value: String)]) { self.settings = settings }

    package mutating func callAsFunction(_ old: DomainPolicy) -> DomainPolicy {
        if let last, last.old == old { return last.new }
        var new = old
        for (field, value) in settings { _ = field.write(&new, value) }
        last = (old, new)
        return new
    }
}
