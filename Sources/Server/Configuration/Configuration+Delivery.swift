import Base
import CEpoll
import Crypto
package import Delivery
import Protocols

/// From the `delivery` keys to the rules that plans follow.
extension Configuration {
    /// A route that cannot be used as it is written.
    package struct RouteProblem: Error, Sendable, CustomStringConvertible {
        package let domain: String
        package let reason: String
        package var description: String { "delivery.routes: \(domain): \(reason)" }
    }

    /// Reads the files that hold passwords, and asks the machine for its addresses: at the start and on reload.
    package func deliveryRules() throws(RouteProblem) -> DeliveryRules {
        var routes: [DeliveryRoute] = []
        for route in delivery.routes { routes.append(try Self.deliveryRoute(route)) }
        var rules = DeliveryRules(routes: RouteTable(routes), loopGuard: loopGuard)
        rules.port = UInt16(clamping: delivery.port)
        return rules
    }

    private static func deliveryRoute(_ route: Route) throws(RouteProblem) -> DeliveryRoute {
        let mode: DeliveryRoute.TLSMode =
            switch route.tls {
            case .off: .off
            case .opportunistic: .opportunistic
            case .required: .required
            case .verified: .verified
            }
        var out = DeliveryRoute(
            pattern: pattern(route.domain), host: try host(route), port: UInt16(clamping: route.port),
            isLMTP: route.transport == .lmtp, tls: mode)
        out.credentials = try credentials(route)
        return out
    }

    /// Domains are looked up as A-labels.
    private static func pattern(_ domain: String) -> [UInt8] {
        let prefix = domain.hasPrefix("*.") ? "*." : ""
        let name = Array(domain.dropFirst(prefix.count).utf8)
        return Array(prefix.utf8) + (IDNA.toASCII(name) ?? ASCII.lowercased(name))
    }

    /// Empty, or `mx`: the domain's MX under the route's rules.
    private static func host(_ route: Route) throws(RouteProblem) -> [UInt8] {
        var text = route.to
        if text.hasPrefix("["), text.hasSuffix("]") { text = String(text.dropFirst().dropLast()) }
        if text.isEmpty || text.lowercased() == "mx" {
            guard route.transport == .smtp, route.auth.isEmpty || route.auth == "none" else {
                throw RouteProblem(domain: route.domain, reason: "LMTP and AUTH need a host in \"to\"")
            }
            return []
        }
        if let address = IPAddress(text) { return Array("\(address)".utf8) }
        guard let name = IDNA.toASCII(Array(text.utf8)) else {
            throw RouteProblem(domain: route.domain, reason: "\(route.to) is neither a host name nor an address")
        }
        return name
    }

    private static func credentials(_ route: Route) throws(RouteProblem) -> RouteCredentials? {
        guard !route.auth.isEmpty, route.auth != "none" else { return nil }
        var bytes = Array(route.auth.utf8)
        if route.auth.hasPrefix("file:") {
            let path = String(route.auth.dropFirst(5))
            guard case .success(let data) = ConfigFile.read(path) else {
                throw RouteProblem(domain: route.domain, reason: "\(path) cannot be read")
            }
            bytes = Array(data.prefix { $0 != ASCII.lf && $0 != ASCII.cr })
        }
        guard let colon = bytes.firstIndex(of: ASCII.colon), colon > 0 else {
            throw RouteProblem(domain: route.domain, reason: "auth is not user:password")
        }
        return RouteCredentials(user: Array(bytes[..<colon]), password: Secret(Array(bytes[(colon + 1)...])))
    }

    private var loopGuard: LoopGuard {
        var out = LoopGuard(names: [ASCII.lowercased(Array(hostname.utf8))])
        let machine = Self.machineAddresses + delivery.localAddresses.compactMap { IPAddress($0) }
        for listener in smtp.listeners {
            guard let inet = listener.address.inet, let address = IPAddress(inet.host) else { continue }
            let port = inet.port
            out.listeners.insert(LoopGuard.Endpoint(address: address, port: port))
            guard address.isUnspecified else { continue }
            for own in machine { out.listeners.insert(LoopGuard.Endpoint(address: own, port: port)) }
        }
        return out
    }

    private static let machineAddressesMax = 1_024

    /// Of all interfaces; where names in DNS may lead when we listen on every address.
    private static var machineAddresses: [IPAddress] {
        var entries = [UInt8](repeating: 0, count: 17 * machineAddressesMax)
        let count = mt_local_addresses(&entries, Int32(machineAddressesMax))
        guard count > 0 else { return [] }
        return (0..<Int(count)).compactMap { i in
            let start = 17 * i + 1
            return IPAddress(bytes: Array(entries[start..<(start + Int(entries[start - 1]))]))
        }
    }
}
