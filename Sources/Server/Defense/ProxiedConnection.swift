import Base
package import Protocols
package import Reactor

/// Reads the PROXY header of a connection that came through a proxy, then hands the connection to the driver made for
/// the client it names. Octets behind the header stay unread for that driver. Confined to its loop's thread; holds
/// nothing but the connection's place for `waitSeconds` at most.
package final class ProxiedConnection: ConnectionDriver {
    package enum Refusal: String, Sendable, CaseIterable {
        /// Not from `smtp.proxy_networks`.
        case untrusted
        case malformed
        case timeout
    }

    /// A proxy sends the header with the first segment.
    package static let waitSeconds = 5.0

    package static let refusal = Reply(
        421, EnhancedStatus(4, 7, 0), "This port is for a proxy; connection refused")
    package static let untrustedReason = "the client is not one of smtp.proxy_networks"

    private let isTrusted: Bool
    private let makeDriver: (Connection, ProxyHeader) -> any ConnectionDriver
    private let refused: (Connection, Refusal, String) -> [UInt8]

    /// `makeDriver` is called once, with the connection at the point where the client's own octets begin; what it returns
    /// gets `opened`. `refused` counts, records, and gives the line that is said before the connection is closed.
    package init(
        _ c: Connection, networks: ProxyNetworks, refused: @escaping (Connection, Refusal, String) -> [UInt8],
        makeDriver: @escaping (Connection, ProxyHeader) -> any ConnectionDriver
    ) {
        isTrusted = networks.contains(c.peer.addressBytes)
        self.makeDriver = makeDriver
        self.refused = refused
    }

    package func opened(_ c: Connection) {
        guard isTrusted else {
            return refuse(c, .untrusted, Self.untrustedReason)
        }
        c.setDeadline(afterSeconds: Self.waitSeconds)
    }

    package func received(_ c: Connection, _ bytes: Span<UInt8>) -> Int {
        guard isTrusted else { return bytes.count }
        switch ProxyHeader.read(bytes) {
        case .needMore: return 0
        case .invalid(let fault):
            refuse(c, .malformed, fault.rawValue)
            return bytes.count
        case .done(let header, let octets):
            c.clearDeadline()
            let driver = makeDriver(c, header)
            c.replaceDriver(driver)
            driver.opened(c)
            if octets < bytes.count { c.offerInput() }
            return octets
        }
    }

    package func timedOut(_ c: Connection) {
        // The time to send what was written is over as well.
        guard c.isOpen else { return c.close(.timedOut) }
        refuse(c, .timeout, "no PROXY header came in time")
    }

    /// A proxy in front of the wrong port, or a client on a port meant for proxies: both should be able to tell.
    private func refuse(_ c: Connection, _ refusal: Refusal, _ reason: String) {
        c.write(refused(c, refusal, reason))
        c.closeAfterFlush()
    }
}
