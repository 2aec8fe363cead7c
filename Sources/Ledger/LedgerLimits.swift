/// What bounds the decision ledger.
package struct LedgerLimits: Sendable, Equatable {
    /// Octets of all segments; the oldest go first.
    package var octets = 2 << 30
    /// Seconds a record is kept.
    package var age = 30 * 86_400

    package init() {}
}
