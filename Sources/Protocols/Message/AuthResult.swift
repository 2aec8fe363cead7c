/// What a check came to, in the words of RFC 8601 §2.7. Shared by every method; no method uses all of them.
package enum AuthResult: String, Sendable, Hashable, CaseIterable {
    /// Nothing to check: no record, no signature, no chain.
    case absent = "none"
    case pass, fail, softfail, neutral
    /// The signature is good, but not one we accept (RFC 8601 §2.4).
    case policy
    /// Could not be told now (DNS); another try may tell.
    case temperror
    /// Could not be told at all: a record or a signature that is not well formed.
    case permerror
}
