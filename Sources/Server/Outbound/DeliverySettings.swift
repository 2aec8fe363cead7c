import Base
import CEpoll
import Crypto
import Delivery
import Fetch
import Policy
import Protocols
import Reactor

/// The configuration as delivery wants it.
extension Configuration {
    func deliveryRules() throws -> DeliveryRules {
        var rules = DeliveryRules(routes: RouteTable(try delivery.routes.map { try $0.route() }), loopGuard: loopGuard)
        rules.port = UInt16(clamping: delivery.port)
        return rules
    }

    private var loopGuard: LoopGuard {
        var out = LoopGuard()
        out.names = [ASCII.lowercased(Array(hostname.utf8))]
        for listener in smtp.listeners {
            guard let address = IPAddress(listener.address.host) else { continue }
            out.listeners.insert(LoopGuard.Endpoint(address: address, port: listener.address.port))
        }
        return out
    }

    func workerOptions() throws -> DeliveryWorkerOptions {
        let roots = delivery.caFile.isEmpty ? nil : delivery.caFile
        let tls: TLSContext
        do {
            tls = try TLSContext(client: TLSClientOptions.outbound(rootsPath: roots))
        } catch {
            throw StartupError.configuration("delivery.ca_file: \(error)")
        }
        var out = DeliveryWorkerOptions(helloName: Array(hostname.utf8), tls: tls)
        let sources = delivery.localAddresses.compactMap { IPAddress($0) }
        out.sourceIPv4 = sources.first { $0.isIPv4 }
        out.sourceIPv6 = sources.first { !$0.isIPv4 }
        return out
    }

    var schedulerConfiguration: SchedulerConfiguration {
        var out = SchedulerConfiguration()
        out.windowMax = delivery.maxConnectionsPerDestination
        out.windowStart = min(out.windowStart, out.windowMax)
        out.ratePerMinute = delivery.maxMessagesPerMinute
        return out
    }

    var fetchAccess: FetchAccess {
        var out = FetchAccess()
        out.port = UInt16(clamping: mtaSTS.port)
        out.rootsFile = delivery.caFile.isEmpty ? nil : delivery.caFile
        out.allowsLocalAddresses = mtaSTS.allowPrivate
        return out
    }

    var retrySchedule: RetrySchedule {
        RetrySchedule(intervalSeconds: delivery.retryIntervalSeconds, maxAgeSeconds: delivery.maxAgeSeconds)
    }
}

extension Configuration.Route {
    fileprivate func route() throws -> DeliveryRoute {
        var out = DeliveryRoute(
            pattern: ASCII.lowercased(Array(domain.utf8)), host: ASCII.lowercased(Array(to.utf8)),
            port: UInt16(clamping: port), isLMTP: transport == .lmtp, tls: mode)
        out.credentials = try credentials()
        return out
    }

    private var mode: DeliveryRoute.TLSMode {
        switch tls {
        case .off: .off
        case .opportunistic: .opportunistic
        case .required: .required
        case .verified: .verified
        }
    }

    private func credentials() throws -> RouteCredentials? {
        if auth.isEmpty { return nil }
        var text = Array(auth.utf8)
        if auth.hasPrefix("file:") {
            let path = String(auth.dropFirst(5))
            guard case .success(let bytes) = ConfigFile.read(path) else {
                throw StartupError.configuration("delivery.routes: \(path) cannot be read")
            }
            text = bytes
            while text.last == ASCII.lf || text.last == ASCII.cr { text.removeLast() }
        }
        guard let colon = text.firstIndex(of: ASCII.colon), colon > 0 else {
            throw StartupError.configuration("delivery.routes: auth for \(domain) is not user:password")
        }
        return RouteCredentials(user: Array(text[..<colon]), password: Secret(Array(text[(colon + 1)...])))
    }
}
