package import MailAuth
package import Protocols

/// What MTA-STS says of one recipient domain now. Made by `STSPolicyService`, read by `DeliveryPlan`.
package enum STSVerdict: Sendable, Hashable {
    /// The domain publishes nothing, or took its policy back (mode none).
    case absent
    /// Fresh or cached; its mode is `enforce` or `testing`.
    case policy(MTASTSPolicy, id: [UInt8])
    /// A policy is announced and could not be had, and none is cached: delivery goes on without, and it is reported.
    // RFC 8460 §4.3.2.2
    case fetchFailed(TLSResultType, detail: [UInt8])
}
