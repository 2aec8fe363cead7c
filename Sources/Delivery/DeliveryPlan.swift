import MailAuth
package import Protocols

/// Which hosts mail for one destination may go to, in which order, and what each must show: the routes, RFC 5321 §5.1,
/// null MX, DANE and MTA-STS as one pure function of DNS answers. Driven by a `FactGatherer`.
package struct DeliveryPlan: Evaluation {
    /// What the message itself asks of the way (RFC 8689).
    package enum Demand: Sendable, Hashable, CaseIterable {
        case ordinary
        /// REQUIRETLS: hosts proven by DNSSEC or MTA-STS, with verified certificates, or none. Not for a null
        /// reverse-path (RFC 8689 §4.2.1).
        case verifiedTLS
        /// `TLS-Required: No`, and TLS reports themselves: policies are followed, their failure stops nothing.
        case bestEffort
    }

    /// Lower-case A-labels, or an address literal with its brackets.
    package let destination: [UInt8]
    package let rules: DeliveryRules
    package let sts: STSVerdict
    package let demand: Demand
    /// Shuffles hosts of equal preference: another number for another message.
    package let seed: UInt64

    package init(
        destination: [UInt8], rules: DeliveryRules, sts: STSVerdict = .absent, demand: Demand = .ordinary,
        seed: UInt64 = 0
    ) {
        self.destination = destination
        self.rules = rules
        self.sts = sts
        self.demand = demand
        self.seed = seed
    }

    /// Whether `sts` is of use at all: false for literals and for routes to a named host. Then the service need not be
    /// asked.
    package static func wantsSTS(_ destination: [UInt8], _ rules: DeliveryRules) -> Bool {
        destination.first != 0x5B && (rules.routes.route(for: destination)?.host ?? []).isEmpty
    }

    package func evaluate(_ facts: Facts) throws(Missing) -> DeliveryPlanVerdict {
        DeliveryPlanVerdict(
            outcome: .failed(
                DeliveryFailure(.temporary, .dns, EnhancedStatus(4, 4, 3), text: Array("no plan".utf8))))
    }
}
