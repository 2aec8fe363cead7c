package import Protocols

/// Knows the MTA-STS policy of every domain that mail goes to. One for the process.
package final class STSPolicyService: Sendable {
    package init(resolver: any DNSResolver, storage: any STSPolicyStorage) {}

    /// Tells what holds for `domain` (lower-case A-labels) now: at once on the caller's thread when it is known, else
    /// later on the service's own. `reply` is called once and must not block: post to your own mailbox. False: too much
    /// is under way, nobody will reply; try the delivery later.
    package func lookup(_ domain: [UInt8], reply: @escaping @Sendable (STSVerdict) -> Void) -> Bool { false }
}
