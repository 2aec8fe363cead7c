package import Protocols

/// How a job ended, told by the worker exactly once for each job it was given.
package struct JobReport: Sendable {
    package let job: DeliveryJob
    /// By index of the job's recipients.
    package let results: [RecipientResult]
    /// Every host tried, in order; for the ledger and the TLS reports.
    package let attempts: [AttemptRecord]
    package let site: SiteEvent

    package init(job: DeliveryJob, results: [RecipientResult], attempts: [AttemptRecord], site: SiteEvent) {
        self.job = job
        self.results = results
        self.attempts = attempts
        self.site = site
    }
}

package enum RecipientResult: Sendable, Hashable {
    /// `relayed`: the remote does not speak DSN, so a success report is ours to write (RFC 3461 §5.2.2).
    case delivered(code: UInt16, text: [UInt8], host: [UInt8], remoteSpeaksDSN: Bool)
    case failed(DeliveryFailure)
}

/// What the attempt tells of the destination as a whole: the scheduler's feedback.
package enum SiteEvent: Sendable, Hashable {
    /// A host took part in a transaction, whatever came of it.
    case reached
    /// No host could be talked to (DNS, connection, TLS, greeting): mail for others of this destination waits too.
    case unreachable(DeliveryFailure)
    /// The destination asked for less (421, 450 4.7.x on connection): slow down.
    case throttled(DeliveryFailure)
    /// The worker gave the job back unattempted (it is stopping, or full).
    case notTried
}
