package import Base
import Protocols
package import Store

/// Ends queue rows as failed because an operator says so, with the notice to their senders: the rows go and the notices come
/// in one transaction.
package enum OperatorBounce {
    package struct Result: Sendable, Equatable {
        package var bounced = 0
        /// Notices accepted.
        package var notices = 0
        /// Where those go that leave this server.
        package var sites: [[UInt8]] = []
    }

    /// Rows at a worker are left to it. May run twice.
    package static func run(
        _ rows: [QueueRowID], owner: LeaseOwner, notice: OutcomeRules.Notice, now: WallTime,
        _ session: any StoreWriterSession
    ) throws(StoreError) -> Result {
        var result = Result()
        let leased = try session.lease(
            rows: rows, owner: owner, until: OutcomeRecorder.later(now, 60), now: now
        )
        .sorted { ($0.lease.row.message, $0.lease.row.recipient) < ($1.lease.row.message, $1.lease.row.recipient) }
        let failure = DeliveryFailure(
            .permanent, .local, EnhancedStatus(5, 0, 0), text: Array("returned by the server's administrator".utf8))
        for job in AcceptedJobs.make(leased, site: []) {
            var news = NoticeBuilder(job: job, now: now, until: now)
            for recipient in job.recipients {
                news.add(.failed, recipient, failure: failure, attempts: recipient.attempts)
            }
            // Written while the message is still there.
            var requests: [AcceptRequest] = []
            for item in news.made { if let request = try notice(item, session) { requests.append(request) } }
            result.bounced += try session.settle(job.recipients.map { Outcome(lease: $0.lease, result: .done) })
                .count { $0 }
            for request in requests {
                try session.accept(request)
                result.notices += 1
                result.sites += request.remote.map(\.site)
            }
        }
        return result
    }
}
