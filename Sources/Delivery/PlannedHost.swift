package import Base
package import Protocols

/// One host that may take the mail, with what it must show. Made by `DeliveryPlan`, tried in order by the worker.
package struct PlannedHost: Sendable, Hashable {
    /// A-labels in lower case, or an address literal's text.
    package var name: [UInt8]
    package var preference: UInt16
    /// In the order to be tried; IPv6 and IPv4 mixed.
    package var addresses: [IPAddress]
    package var port: UInt16
    package var security: HostSecurity
    /// TLS from the first octet (a route on port 465).
    package var isImplicitTLS = false
    /// The name for SNI; empty: none.
    package var serverName: [UInt8]
    /// What was published about this host, for TLS reports.
    package var policies: [TLSPolicyFact]
    /// A policy in testing mode that the host would fail: recorded, not enforced. The security to test against.
    package var tested: HostSecurity?
    package var isLMTP = false
    package var credentials: RouteCredentials?

    package init(
        name: [UInt8], preference: UInt16, addresses: [IPAddress], port: UInt16, security: HostSecurity,
        serverName: [UInt8], policies: [TLSPolicyFact]
    ) {
        self.name = name
        self.preference = preference
        self.addresses = addresses
        self.port = port
        self.security = security
        self.serverName = serverName
        self.policies = policies
    }
}

package struct RouteCredentials: Sendable, Hashable {
    package static func == (a: RouteCredentials, b: RouteCredentials) -> Bool {
        a.user == b.user && a.password.bytes == b.password.bytes
    }

    package func hash(into hasher: inout Hasher) { hasher.combine(user) }

    package let user: [UInt8]
    package let password: Secret

    package init(user: [UInt8], password: Secret) {
        self.user = user
        self.password = password
    }
}
