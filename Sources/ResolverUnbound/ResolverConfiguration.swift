/// Where questions go and what answers are validated from.
package struct ResolverConfiguration: Sendable, Equatable {
    package enum TrustAnchors: Sendable, Equatable {
        /// The root keys known when this was built.
        case builtIn
        /// DS or DNSKEY records in master-file form. A file without any means that nothing is validated.
        case file(String)
        /// Nothing is validated: every answer is insecure.
        case none
    }

    /// `address` or `address@port`; empty: from the root servers down.
    package var forward: [String]
    package var anchors: TrustAnchors
    /// Root servers in master-file form; empty: the public ones.
    package var rootHints: String
    /// One question, all attempts together.
    package var timeoutSeconds: Double

    package init(
        forward: [String] = [], anchors: TrustAnchors = .builtIn, rootHints: String = "", timeoutSeconds: Double = 20
    ) {
        self.forward = forward
        self.anchors = anchors
        self.rootHints = rootHints
        self.timeoutSeconds = timeoutSeconds
    }
}

/// What bounds the resolver thread. An unbounded table would let a dead resolver eat the memory of the process.
package struct ResolverLimits: Sendable {
    /// Distinct questions that libunbound works on, those nobody waits for any more included.
    package var open = 8_192
    /// From so many open questions on the table is crowded: each is waited for `crowdedSeconds` at most, and when nobody
    /// waits for half of them libunbound, which works on for half a minute, is started afresh. Otherwise a few thousand
    /// names without servers would fill the table for as long.
    package var crowded = 3_072
    package var crowdedSeconds = 1.5
    /// Askers waiting, all questions together.
    package var waiters = 65_536
    /// Batches in the inbox.
    package var inbox = 8_192
    /// Batches taken from the inbox in one turn.
    package var perTurn = 1_024
    /// Seconds between looks for overdue questions; how late a timeout may be.
    package var sweepSeconds = 0.05
    /// Answers kept in front of libunbound, and what they may take.
    package var cacheEntries = 32_768
    package var cacheOctets = 32 << 20
    package var cacheSeconds: UInt32 = 3_600
    /// So many questions open and no answer for so long: the way out is dead, and libunbound is started afresh, as often
    /// as that takes. Otherwise its back-off and its backlog would outlast the outage by a minute.
    package var silenceQuestions = 32
    package var silenceSeconds = 3.0
    /// While DNS is silent: seconds between fresh starts with a probe, and how many questions are tried beside it.
    package var probeSeconds = 1.0
    package var probesMax = 16
    /// Whether the first question is a probe of its own.
    package var probesAtStart = true
    /// After so many probes without an answer they become ten times rarer.
    package var probesEager = 600

    package init() {}
}

/// Why no resolver could be made, for people.
package struct ResolverError: Error, CustomStringConvertible {
    package let description: String
}
