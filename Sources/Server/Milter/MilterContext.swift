package import Reactor
package import Telemetry

/// What the conversations with filters of one loop share: the reactor, the failures of each filter, and the memory held
/// for filters that wait. Confined to the loop's thread; made by the loop's context.
package final class MilterContext {
    package let reactor: Reactor
    package let metrics: MilterMetrics
    package let log: Log
    package var limits: MilterLimits
    var keptOctets = 0
    var health = MilterHealth()

    package init(reactor: Reactor, metrics: MilterMetrics, log: Log, limits: MilterLimits = MilterLimits()) {
        self.reactor = reactor
        self.metrics = metrics
        self.log = log
        self.limits = limits
    }
}
