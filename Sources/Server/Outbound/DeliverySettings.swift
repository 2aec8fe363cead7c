import Base
import CEpoll
import Crypto
import Delivery
import Fetch
import Policy
import Protocols
import Reactor

/// What delivery follows of the configuration; a reload makes a new one.
struct DeliverySettings: Sendable, Equatable {
    let routes: [Configuration.Route]
    let port: Int
    let scheduler: SchedulerConfiguration
    let schedule: RetrySchedule
    let delayWarningSeconds: Int
    let sourceIPv4: IPAddress?
    let sourceIPv6: IPAddress?
    let rootsPath: String?
    let fetch: FetchAccess

    init(_ configuration: Configuration) {
        let delivery = configuration.delivery
        routes = delivery.routes
        port = delivery.port
        scheduler = configuration.schedulerConfiguration
        schedule = RetrySchedule(
            intervalSeconds: delivery.retryIntervalSeconds, maxAgeSeconds: delivery.maxAgeSeconds)
        delayWarningSeconds = delivery.delayWarningSeconds
        let sources = delivery.localAddresses.compactMap { IPAddress($0) }
        sourceIPv4 = sources.first { $0.isIPv4 }
        sourceIPv6 = sources.first { !$0.isIPv4 }
        rootsPath = delivery.caFile.isEmpty ? nil : delivery.caFile
        fetch = configuration.fetchAccess
    }

    var times: OutcomeRules.Times {
        let schedule = schedule
        return OutcomeRules.Times(
            maxAgeSeconds: Double(schedule.maxAgeSeconds), delayWarningSeconds: Double(delayWarningSeconds)
        ) { attempts, random in
            schedule.seconds(afterAttempts: attempts, random: random)
        }
    }

    /// Reads the roots.
    func workerOptions(helloName: [UInt8]) throws(StartupError) -> DeliveryWorkerOptions {
        let tls: TLSContext
        do {
            tls = try TLSContext(client: TLSClientOptions.outbound(rootsPath: rootsPath))
        } catch {
            throw .configuration("delivery.ca_file: \(error)")
        }
        var out = DeliveryWorkerOptions(helloName: helloName, tls: tls)
        out.rootsPath = rootsPath
        out.sourceIPv4 = sourceIPv4
        out.sourceIPv6 = sourceIPv6
        return out
    }
}

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
}
