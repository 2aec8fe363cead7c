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
    /// `deliveryRules`, with what is wrong said as at every start.
    func startRules() throws(StartupError) -> DeliveryRules {
        do throws(RouteProblem) {
            return try deliveryRules()
        } catch {
            throw .configuration("\(error)")
        }
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
        // The limit is the operator's word on what a destination bears; failures take it down from there.
        out.windowStart = out.windowMax
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
