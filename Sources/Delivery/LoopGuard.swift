package import Protocols

/// Who we are, so that mail is never handed to ourselves as if to another.
package struct LoopGuard: Sendable {
    package struct Endpoint: Sendable, Hashable {
        package var address: IPAddress
        package var port: UInt16

        package init(address: IPAddress, port: UInt16) {
            self.address = address
            self.port = port
        }
    }

    /// Lower-case A-labels.
    package var names: Set<[UInt8]>
    /// Ours on every port.
    package var addresses: Set<IPAddress>
    /// Where we listen; an unspecified address stands for all of this machine's that are known, and for loopback.
    package var listeners: Set<Endpoint>

    package init(names: Set<[UInt8]> = [], addresses: Set<IPAddress> = [], listeners: Set<Endpoint> = []) {
        self.names = names
        self.addresses = addresses
        self.listeners = listeners
    }

    package func isOwn(_ name: [UInt8]) -> Bool { names.contains(name) }

    package func isOwn(_ given: IPAddress, port: UInt16) -> Bool {
        let address = given.unmapped
        // Connecting to the unspecified address reaches this machine.
        if address.isUnspecified || addresses.contains(address) { return true }
        if listeners.contains(Endpoint(address: address, port: port)) { return true }
        guard address.isLoopback else { return false }
        return listeners.contains { $0.port == port && $0.address.isUnspecified }
    }
}

extension IPAddress {
    package var isUnspecified: Bool { bytes.allSatisfy { $0 == 0 } }
    package var isLoopback: Bool { isIPv4 ? bytes[0] == 127 : bytes[15] == 1 && bytes[..<15].allSatisfy { $0 == 0 } }
}
