import Synchronization

/// Whose PROXY headers are believed. One for all loops; a reload replaces the list.
///
/// Shareable: the list is behind a mutex that is held for a copy only, and asked once a connection of a listener with
/// `proxy_protocol`.
package final class ProxyNetworks: Sendable {
    private let networks: Mutex<[IPNetwork]>

    package init(_ networks: [IPNetwork]) { self.networks = Mutex(networks) }

    package func publish(_ fresh: [IPNetwork]) { networks.withLock { $0 = fresh } }

    /// `address`: 4 or 16 bytes; none for a Unix socket, whose permissions say who may connect.
    package func contains(_ address: [UInt8]) -> Bool {
        if address.isEmpty { return true }
        let current = networks.withLock { $0 }
        return current.contains { $0.contains(address) }
    }
}
