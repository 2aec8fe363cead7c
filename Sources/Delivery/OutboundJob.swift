import Base
import Handoff
import Protocols
import Store

/// One job under way in a worker: which recipients are left, which hosts were tried and what they said. Belongs to the
/// worker's thread; bounded by the job's recipients and by the hosts that are tried.
final class OutboundJob {
    struct Candidate: Equatable {
        let host: Int
        let address: Int
    }

    let number: Int
    let job: DeliveryJob
    private let mark: Fingerprint
    private(set) var record: EnvelopeRecord
    let began: Instant
    var content: MessageContent
    /// A peer could not take the body as it was.
    private(set) var isConverted = false
    /// Nothing goes on before both are there.
    var plan: KnownPlan?
    var isContentAwaited = false
    var hasBegun = false
    /// It was reported; what still comes for it is too late.
    var isEnded = false

    var candidate = Candidate(host: 0, address: 0)
    private var tried: [Candidate] = []
    private var skippedHosts: Set<Int> = []
    private var hostsTried: Set<Int> = []
    /// The endpoint of `candidate` is answering with a stale connection: the next one is fresh.
    var wantsFresh = false

    private(set) var results: [RecipientResult?]
    /// Recipients without a result, to be offered to this host.
    private(set) var pending: [Int]
    /// Recipients without a result that this host did not take: for the next one.
    private var passedOn: [Int] = []
    private var failures: [Int: [DeliveryFailure]] = [:]
    var attempts: [AttemptRecord] = []
    private(set) var hasReached = false
    private var wasThrottled: DeliveryFailure?
    private var wasUnreachable: DeliveryFailure?
    /// A connection was made for this job: policy trouble is reported once per session.
    var madeSession = false

    init(number: Int, job: DeliveryJob, now: Instant) {
        self.number = number
        self.job = job
        mark = Fingerprint(job.message.id.text)
        began = now
        record = EnvelopeRecord(encoded: job.message.envelope) ?? EnvelopeRecord()
        content = MessageContent(job)
        results = Array(repeating: nil, count: job.recipients.count)
        pending = Array(job.recipients.indices)
    }

    var demand: DeliveryPlan.Demand {
        // RFC 8689 §4.2.1: a report about a message is not held to what the message asked for.
        record.requireTLS && !job.sender.isEmpty ? .verifiedTLS : .ordinary
    }

    var isReady: Bool { plan != nil && !isContentAwaited }
    /// No host was asked to take it yet.
    var isUntouched: Bool { failures.isEmpty && results.allSatisfy { $0 == nil } }
    var hasPending: Bool { !pending.isEmpty }

    /// Until the end of the reactor's event: this is what its thread works on.
    func noteInProgress() { InProgress.begin(.delivery, mark, label: job.message.id.text) }

    // MARK: Which host next

    /// The next address to try, or nil when there is none (any more). Addresses lately found dead go last.
    func nextCandidate(
        _ hosts: [PlannedHost], _ options: DeliveryWorkerOptions, isDown: (Candidate) -> Bool
    ) -> Candidate? {
        pending += passedOn
        passedOn = []
        guard !pending.isEmpty, tried.count < options.addressesMax else { return nil }
        var spare: Candidate?
        for (h, host) in hosts.enumerated() where !skippedHosts.contains(h) {
            if !hostsTried.contains(h), hostsTried.count >= options.hostsMax { break }
            for a in host.addresses.indices {
                let place = Candidate(host: h, address: a)
                if !tried.isEmpty, tried.contains(place) { continue }
                if !isDown(place) { return place }
                if spare == nil { spare = place }
            }
        }
        return spare
    }

    func choose(_ place: Candidate) {
        candidate = place
        tried.append(place)
        hostsTried.insert(place.host)
        wantsFresh = false
    }

    /// Its other addresses need not be asked.
    func skipHost() { skippedHosts.insert(candidate.host) }

    // MARK: The body

    /// From now on this is what is sent, as 7-bit lines.
    func convert(to message: [UInt8]) {
        isConverted = true
        content = MessageContent(head: [], body: message)
        record.bodyType = .sevenBit
    }

    // MARK: What came of it

    /// The host, or one connection to it, was of no use for all who are pending.
    func hostFailed(_ failure: DeliveryFailure, _ site: SiteEvent) {
        for index in pending { failures[index, default: []].append(failure) }
        passedOn += pending
        pending = []
        note(site)
    }

    /// Takes the verdicts on `batch` (indices of recipients, in order) and returns them as an attempt's results.
    func settle(
        _ batch: [Int], _ verdicts: [RecipientVerdict], host: [UInt8], remoteSpeaksDSN: Bool
    ) -> [AttemptRecord.Recipient] {
        var told: [AttemptRecord.Recipient] = []
        told.reserveCapacity(batch.count)
        for (i, index) in batch.enumerated() {
            let address = job.recipients[index].recipient.address
            switch verdicts[i] {
            case .delivered(let code, let text):
                let kept = Array(text.prefix(DeliveryFailure.textMax))
                results[index] = .delivered(code: code, text: kept, host: host, remoteSpeaksDSN: remoteSpeaksDSN)
                told.append(.init(address: address, result: .delivered(code: code, text: kept)))
            case .permanent(let failure):
                results[index] = .failed(failure)
                told.append(.init(address: address, result: .failed(failure)))
            case .temporary(let failure):
                results[index] = .failed(failure)
                told.append(.init(address: address, result: .failed(failure)))
            case .tryNextHost(let failure):
                failures[index, default: []].append(failure)
                passedOn.append(index)
                told.append(.init(address: address, result: .passedOn(failure)))
            }
        }
        if batch.count == pending.count { pending = [] } else { pending.removeAll { batch.contains($0) } }
        return told
    }

    func note(_ site: SiteEvent) {
        switch site {
        case .reached: hasReached = true
        case .throttled(let failure): wasThrottled = failure
        case .unreachable(let failure): wasUnreachable = failure
        case .notTried: break
        }
    }

    /// Gives every recipient without a result this one.
    func failRest(_ failure: DeliveryFailure) {
        for index in results.indices where results[index] == nil {
            results[index] = .failed(failure)
            endLastAttempt(of: job.recipients[index].recipient.address)
        }
        pending = []
        passedOn = []
    }

    /// No host is left: what the failures come to.
    func conclude() {
        for index in results.indices where results[index] == nil {
            let told = failures[index] ?? []
            results[index] =
                FailureClassifier.result(of: told)
                ?? .failed(
                    DeliveryFailure(
                        .temporary, .local, EnhancedStatus(4, 4, 0), text: Array("no host was tried".utf8)))
            endLastAttempt(of: job.recipients[index].recipient.address)
        }
        pending = []
        passedOn = []
    }

    /// There was no next host after all.
    private func endLastAttempt(of address: [UInt8]) {
        for a in attempts.indices.reversed() {
            for r in attempts[a].recipients.indices where attempts[a].recipients[r].address == address {
                if case .passedOn(let failure) = attempts[a].recipients[r].result {
                    attempts[a].recipients[r].result = .failed(failure)
                }
                return
            }
        }
    }

    // MARK: The report

    /// After `conclude` or `failRest`.
    func report(site: SiteEvent? = nil) -> JobReport {
        let fallback = DeliveryFailure(
            .temporary, .local, EnhancedStatus(4, 3, 2), text: Array("not tried".utf8))
        return JobReport(
            job: job, results: results.map { $0 ?? .failed(fallback) }, attempts: attempts, site: site ?? overall)
    }

    private var overall: SiteEvent {
        let delivered = results.contains {
            if case .delivered = $0 { return true }
            return false
        }
        if delivered { return .reached }
        if let wasThrottled { return .throttled(wasThrottled) }
        if hasReached { return .reached }
        if let wasUnreachable { return .unreachable(wasUnreachable) }
        return .reached
    }
}
