package import Store

/// Where policies outlive the process. Calls come from the fetch thread, which they may hold up.
package protocol STSPolicyStorage: Sendable {
    /// Once, at the start.
    func load() -> [STSPolicyRecord]
    func save(_ record: STSPolicyRecord)
    func remove(domain: [UInt8])
}
