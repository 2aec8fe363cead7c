import Base
import Protocols
import Store

/// Turns what workers report into what the store is told: the only place where it is decided that a recipient is done,
/// waits, or has failed for good. Pure but for the rules it was given.
struct OutcomeRecorder {
    var rules: OutcomeRules

    init(rules: OutcomeRules) { self.rules = rules }

    // MARK: a job that was tried

    func settlement(for report: JobReport, now: WallTime, random: UInt32) -> Settlement {
        let job = report.job
        var notices = NoticeBuilder(job: job, now: now, until: end(of: job.message))
        var out = Settlement(flight: job.recipients.first?.lease, site: job.recipients.first?.recipient.site ?? [])
        out.ageSeconds = Self.seconds(from: job.message.received, to: now)
        for (index, recipient) in job.recipients.enumerated() {
            // A worker that tells less than it was asked: the row waits like after any failure.
            let result = index < report.results.count ? report.results[index] : .failed(Self.untold)
            switch result {
            case .delivered(let code, let text, let host, let speaksDSN):
                out.outcomes.append(Outcome(lease: recipient.lease, result: .done))
                out.results.append(.delivered)
                // RFC 3461 §5.2.2: a host that does not speak DSN will not tell; the sender hears how far it came.
                if !speaksDSN, DSNNotify(rawValue: recipient.recipient.notify).contains(.success) {
                    notices.add(.relayed, recipient, failure: nil, code: code, text: text, host: host)
                }
            case .failed(let failure):
                fail(recipient, failure, job.message, now, random, &notices, &out)
            }
        }
        out.notices = notices.made
        return out
    }

    private static let untold = DeliveryFailure(
        .temporary, .local, EnhancedStatus(4, 3, 0), text: Array("no result was reported".utf8))

    private func fail(
        _ recipient: JobRecipient, _ failure: DeliveryFailure, _ message: StoredMessage, _ now: WallTime,
        _ random: UInt32, _ notices: inout NoticeBuilder, _ out: inout Settlement
    ) {
        let end = end(of: message)
        // RFC 5321 §4.5.4.1: what cannot be delivered in time goes back.
        if failure.permanence == .permanent || now >= end {
            out.outcomes.append(Outcome(lease: recipient.lease, result: .done))
            out.results.append(failure.permanence == .permanent ? .failed : .expired)
            notices.add(.failed, recipient, failure: failure, attempts: recipient.attempts + 1)
            return
        }
        let wait = rules.retrySeconds(recipient.attempts + 1, random)
        let until = min(Self.later(now, max(1, wait)), end)
        let warns = isWarningDue(message, recipient.isWarned, now)
        if warns { notices.add(.delayed, recipient, failure: failure, attempts: recipient.attempts + 1) }
        out.outcomes.append(
            Outcome(
                lease: recipient.lease,
                result: .deferred(
                    until: until, status: Self.words(failure),
                    note: Outcome.Note(host: failure.host, attempted: now, isWarned: warns))))
        out.results.append(.deferred)
    }

    // MARK: rows that grew old waiting for their destination

    /// The rows are leased and were not tried: the destination is not reached, and `failure` is why.
    func settlement(aged rows: [LeasedRecipient], site: [UInt8], failure: DeliveryFailure, now: WallTime)
        -> [Settlement]
    {
        AcceptedJobs.make(rows, site: site).map { job in
            var notices = NoticeBuilder(job: job, now: now, until: end(of: job.message))
            var out = Settlement(flight: nil, site: site)
            out.ageSeconds = Self.seconds(from: job.message.received, to: now)
            let isExpired = now >= end(of: job.message)
            for recipient in job.recipients {
                if isExpired {
                    out.outcomes.append(Outcome(lease: recipient.lease, result: .done))
                    out.results.append(.expired)
                    notices.add(.failed, recipient, failure: failure, attempts: recipient.attempts)
                    continue
                }
                let warns = isWarningDue(job.message, recipient.isWarned, now)
                if warns { notices.add(.delayed, recipient, failure: failure, attempts: recipient.attempts) }
                let note = Outcome.Note(host: [], attempted: nil, isWarned: warns)
                out.outcomes.append(
                    Outcome(lease: recipient.lease, result: .deferred(until: now, status: [], note: note)))
                out.results.append(.deferred)
            }
            out.notices = notices.made
            return out
        }
    }

    // MARK: times

    func end(of message: StoredMessage) -> WallTime { Self.later(message.received, rules.maxAgeSeconds) }

    private func isWarningDue(_ message: StoredMessage, _ isWarned: Bool, _ now: WallTime) -> Bool {
        !isWarned && rules.delayWarningSeconds > 0
            && now >= Self.later(message.received, rules.delayWarningSeconds)
    }

    static func later(_ time: WallTime, _ seconds: Double) -> WallTime {
        let (sum, overflow) = time.microseconds.addingReportingOverflow(Int64(min(max(seconds, 0), 4e9) * 1e6))
        return WallTime(microseconds: overflow ? .max : sum)
    }

    static func seconds(from: WallTime, to: WallTime) -> Double {
        Double(to.microseconds.subtractingReportingOverflow(from.microseconds).partialValue) / 1e6
    }

    /// `4.7.1 451 Greylisted`: what `queue list` shows and `--status` is matched with.
    static func words(_ failure: DeliveryFailure) -> [UInt8] {
        var out: [UInt8] = []
        out.append(decimal: failure.status.category)
        out.append(ASCII.dot)
        out.append(decimal: failure.status.subject)
        out.append(ASCII.dot)
        out.append(decimal: failure.status.detail)
        if let code = failure.code {
            out.append(ASCII.space)
            out.append(decimal: code)
        }
        if !failure.text.isEmpty {
            out.append(ASCII.space)
            out += failure.text.map { $0 == ASCII.lf || $0 == ASCII.cr ? ASCII.space : $0 }
        }
        return out
    }
}

/// Collects the news of one job, one notice a kind.
struct NoticeBuilder {
    let job: DeliveryJob
    let now: WallTime
    let until: WallTime
    private var lists: [DeliveryNotice.Kind: [DeliveryNotice.Recipient]] = [:]

    init(job: DeliveryJob, now: WallTime, until: WallTime) {
        self.job = job
        self.now = now
        self.until = until
    }

    mutating func add(
        _ kind: DeliveryNotice.Kind, _ recipient: JobRecipient, failure: DeliveryFailure?, code: UInt16 = 0,
        text: [UInt8] = [], host: [UInt8] = [], attempts: Int = 0
    ) {
        // RFC 5321 §4.5.5: nobody is told about what came from the null reverse-path.
        guard !job.sender.isEmpty else { return }
        lists[kind, default: []].append(
            DeliveryNotice.Recipient(
                recipient: recipient.recipient, failure: failure, code: failure?.code ?? code,
                text: failure?.text ?? text, host: failure?.host ?? host, attempts: attempts))
    }

    var made: [DeliveryNotice] {
        lists.map { kind, recipients in
            DeliveryNotice(
                kind: kind, message: job.message, sender: job.sender, recipients: recipients, now: now, until: until)
        }
    }
}
