package import Base
package import Protocols

/// What transport security came to with one host under one policy on one day: the source of TLS reports and of
/// `martlet tls peers`. Counts add up; the facts are those of the last session.
package struct TLSResultRow: Sendable, Hashable {
    package struct Key: Sendable, Hashable {
        /// Days since 1970-01-01, UTC.
        // RFC 8460 §4.1
        package var day: Int
        /// The recipient domain.
        package var domain: [UInt8]
        package var host: [UInt8]
        package var policy: TLSPolicyType
        package var result: TLSResultType

        package init(
            day: Int, domain: [UInt8], host: [UInt8], policy: TLSPolicyType, result: TLSResultType
        ) {
            self.day = day
            self.domain = domain
            self.host = host
            self.policy = policy
            self.result = result
        }
    }

    package var key: Key
    package var sessions = 1
    package var last: WallTime
    /// The host's address, as text.
    package var address: [UInt8] = []
    /// What the policy said, and whose it is.
    package var policyDomain: [UInt8] = []
    package var policyStrings: [[UInt8]] = []
    package var policyHosts: [[UInt8]] = []
    /// The failure would have been enforced but for a testing mode.
    package var isTesting = false
    package var detail: [UInt8] = []
    /// Empty: there was no TLS session.
    package var version: [UInt8] = []
    package var cipher: [UInt8] = []
    package var group: [UInt8] = []
    package var hasForwardSecrecy = false
    package var isVerified = false
    package var certificate: AttemptRecord.Certificate?

    package init(key: Key, last: WallTime) {
        self.key = key
        self.last = last
    }

    /// The sessions of `newer` and its facts.
    package mutating func add(_ newer: TLSResultRow) {
        let sum = sessions.addingReportingOverflow(newer.sessions)
        self = newer
        sessions = sum.overflow ? .max : sum.partialValue
    }
}
