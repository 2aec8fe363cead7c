import Protocols

/// What the configuration says of mail for one domain or many: another way than by MX, or more security on it.
package struct DeliveryRoute: Sendable, Hashable {
    package enum TLSMode: String, Sendable, Hashable, CaseIterable {
        /// Not tried. Published policies of a destination found by MX hold nevertheless.
        case off = "none"
        case opportunistic
        /// Encrypted with any certificate, or mail waits.
        case required
        /// Encrypted with a certificate for the host's name that the roots vouch for, or mail waits.
        case verified
    }

    /// Lower-case A-labels; `*` for any domain, `*.example.org` for all below that one.
    package var pattern: [UInt8]
    /// A host name or a numeric address. Empty: the domain's MX, under this route's rules.
    package var host: [UInt8]
    /// 0: the default port.
    package var port: UInt16
    package var isLMTP: Bool
    package var tls: TLSMode
    package var credentials: RouteCredentials?

    package init(
        pattern: [UInt8], host: [UInt8], port: UInt16 = 0, isLMTP: Bool = false, tls: TLSMode = .opportunistic,
        credentials: RouteCredentials? = nil
    ) {
        self.pattern = pattern
        self.host = host
        self.port = port
        self.isLMTP = isLMTP
        self.tls = tls
        self.credentials = credentials
    }
}
