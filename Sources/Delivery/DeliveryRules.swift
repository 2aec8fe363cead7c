/// What holds for every plan of this server: made from the configuration, an immutable value shared by all workers.
package struct DeliveryRules: Sendable {
    package var routes: RouteTable
    package var loopGuard: LoopGuard
    /// For hosts found by MX and for routes without one.
    package var port: UInt16 = 25
    /// MX hosts that are looked at, best first.
    package var hostsMax = 10
    /// Addresses of one host that are tried.
    package var addressesMax = 8
    /// Whether IPv6 addresses, or IPv4 ones, are of use here.
    package var usesIPv6 = true
    package var usesIPv4 = true

    package init(routes: RouteTable = RouteTable([]), loopGuard: LoopGuard = LoopGuard()) {
        self.routes = routes
        self.loopGuard = loopGuard
    }
}
