package import Protocols

/// Where mail for one destination may go, and what became of the hosts that may not have it.
package struct DeliveryPlanVerdict: Sendable, Hashable {
    package enum Outcome: Sendable, Hashable {
        /// At least one, in the order to be tried.
        case hosts([PlannedHost])
        case failed(DeliveryFailure)
    }

    package var outcome: Outcome
    /// Hosts that the plan ruled out, each to be recorded as an attempt that failed.
    package var skipped: [SkippedHost]
    /// The domain's MTA-STS policy could not be had: goes into TLS reports once per session with any host.
    package var policyProblem: TLSPolicyProblem?
    /// The verdict may be used again for so long: the least TTL of the answers it rests on, at most 300; 0: do not.
    package var ttlSeconds: UInt32

    package init(
        outcome: Outcome, skipped: [SkippedHost] = [], policyProblem: TLSPolicyProblem? = nil, ttlSeconds: UInt32 = 0
    ) {
        self.outcome = outcome
        self.skipped = skipped
        self.policyProblem = policyProblem
        self.ttlSeconds = ttlSeconds
    }
}

/// A host that no connection is made to.
package struct SkippedHost: Sendable, Hashable {
    package var name: [UInt8]
    package var preference: UInt16
    /// Why, as the recipients' failure would read.
    package var failure: DeliveryFailure
    /// For TLS reports; nil: it was not about transport security (no address, our own).
    package var result: TLSResultType?
    package var policies: [TLSPolicyFact]

    package init(
        name: [UInt8], preference: UInt16, failure: DeliveryFailure, result: TLSResultType? = nil,
        policies: [TLSPolicyFact] = []
    ) {
        self.name = name
        self.preference = preference
        self.failure = failure
        self.result = result
        self.policies = policies
    }
}

package struct TLSPolicyProblem: Sendable, Hashable {
    package var result: TLSResultType
    package var detail: [UInt8]
    package var policy: TLSPolicyFact

    package init(result: TLSResultType, detail: [UInt8], policy: TLSPolicyFact) {
        self.result = result
        self.detail = detail
        self.policy = policy
    }
}
