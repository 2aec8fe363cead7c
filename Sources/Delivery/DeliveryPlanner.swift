import Protocols
package import Reactor

/// What a plan depends on.
package struct PlanQuestion: Sendable, Hashable {
    package let destination: [UInt8]
    package let demand: DeliveryPlan.Demand

    package init(destination: [UInt8], demand: DeliveryPlan.Demand) {
        self.destination = destination
        self.demand = demand
    }
}

/// Finds the hosts of a destination. `PlanDriver` asks DNS; tests have a table.
package protocol DeliveryPlanner: Sendable {
    /// Calls `done` once, on the thread of `reactor`, possibly before returning.
    func plan(
        _ question: PlanQuestion, _ reactor: Reactor,
        done: @escaping @Sendable (Reactor, DeliveryPlanVerdict) -> Void)
}
