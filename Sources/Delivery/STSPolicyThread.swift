import Base
import Fetch
import Handoff
import MailAuth
import Protocols
import Synchronization

/// The `mta-sts` thread: asks DNS, gives fetches to idle threads, tells who waits, renews policies before they end.
final class STSPolicyThread {
    /// Renewals begun at one look: the fetching threads shall stay free for mail that waits.
    private static let renewalsAtOnce = 50

    /// One domain that is being asked for.
    private struct Question {
        var gatherer: FactGatherer
        var discovery: MTASTSDiscovery
        var replies: [@Sendable (STSVerdict) -> Void] = []
        var ttl: UInt32 = 0
    }

    private struct Fetch {
        let domain: [UInt8]
        let id: [UInt8]
        let addresses: [IPAddress]
        let access: FetchAccess
    }

    private let shared: STSShared
    private let time = SystemTime()
    private let fetchers: [Mailbox<Fetch?>]
    private var idle: [Int]
    private var queue: [Fetch] = []
    private var questions: [[UInt8]: Question] = [:]
    private var isStopping = false
    private var access: FetchAccess

    init(_ shared: STSShared) {
        self.shared = shared
        access = shared.options.access
        let count = max(1, shared.options.fetchThreads)
        fetchers = (0..<count).map { _ in Mailbox(capacity: 2) }
        idle = Array(0..<count)
    }

    func run() {
        for (i, jobs) in fetchers.enumerated() { Self.startFetcher(i, jobs, shared) }
        let interval = Int32(clamping: max(1, shared.options.renewalInterval) * 1_000)
        var renewAt = time.monotonic().advanced(bySeconds: 30)
        while !isStopping {
            while let event = shared.inbox.next() { handle(event) }
            if isStopping { break }
            let now = time.monotonic()
            if now >= renewAt {
                renew()
                renewAt = now.advanced(bySeconds: Double(interval) / 1_000)
            }
            let left = Int32(clamping: Int(renewAt.seconds(since: now) * 1_000) + 1)
            shared.inbox.wait(timeoutMilliseconds: left)
        }
        for jobs in fetchers { _ = jobs.post(nil) }
        finish()
    }

    /// Everybody who waits is told what is cached.
    private func finish() {
        while let event = shared.inbox.next() {
            guard case .lookup(let domain, let reply) = event else { continue }
            if questions[domain] == nil { open(domain, isRenewal: false) }
            questions[domain]?.replies.append(reply)
        }
        let now = shared.wall()
        for domain in Array(questions.keys) {
            let next = shared.table.withLock { $0.discovered(domain, .unknown, ttl: 0, now: now) }
            if case .tell(let verdict) = next { close(domain, verdict) }
        }
    }

    private static func startFetcher(_ number: Int, _ jobs: Mailbox<Fetch?>, _ shared: STSShared) {
        let thread = LoopThread.spawn("fetch-\(number)") {
            while true {
                guard let job = jobs.next() else {
                    jobs.wait()
                    continue
                }
                guard let job else { return }
                let result = STSFetch.fetch(job.domain, job.addresses, access: job.access)
                while !shared.inbox.post(.fetched(job.domain, id: job.id, by: number, result)) {}
            }
        }
        // A fetch under way when the service stops ends by itself.
        thread.detach()
    }

    private func handle(_ event: STSShared.Event) {
        switch event {
        case .lookup(let domain, let reply): lookup(domain, reply)
        case .answers(let domain, let answers):
            questions[domain]?.gatherer.learn(answers)
            advance(domain)
        case .fetched(let domain, let id, let number, let result):
            idle.append(number)
            fetched(domain, id, result)
            feed()
        case .access(let fresh): access = fresh
        case .stop: isStopping = true
        }
    }

    private func lookup(_ domain: [UInt8], _ reply: @escaping @Sendable (STSVerdict) -> Void) {
        let now = shared.wall()
        if let verdict = shared.table.withLock({ $0.known(domain, now: now) }) { return tell([reply], verdict) }
        let isNew = questions[domain] == nil
        if isNew { open(domain, isRenewal: false) }
        questions[domain]?.replies.append(reply)
        if isNew { advance(domain) }
    }

    private func open(_ domain: [UInt8], isRenewal: Bool) {
        let now = shared.wall()
        let known = shared.table.withLock { $0.knownID(domain, now: now) }
        questions[domain] = Question(
            gatherer: FactGatherer(limits: GatherLimits(rounds: 4, questions: 8, seconds: 30)),
            discovery: MTASTSDiscovery(domain: domain, knownID: known, isRenewal: isRenewal))
    }

    private func renew() {
        let now = shared.wall()
        let due = shared.table.withLock { $0.dueForRenewal(now: now, limit: Self.renewalsAtOnce) }
        for domain in due where questions[domain] == nil {
            open(domain, isRenewal: true)
            advance(domain)
        }
    }

    private func advance(_ domain: [UInt8]) {
        while var question = questions[domain] {
            let step = question.gatherer.advance(question.discovery, now: time.monotonic())
            question.ttl = question.discovery.recordTTL(question.gatherer.facts) ?? 0
            questions[domain] = question
            switch step {
            case .verdict(let verdict): return discovered(domain, verdict)
            case .gaveUp: return discovered(domain, .unknown)
            case .ask(let asked):
                let shared = shared
                let isAsked = shared.resolver.ask(asked) { answers in
                    // There is room: see the mailbox.
                    while !shared.inbox.post(.answers(domain, answers)) {}
                }
                if isAsked { return }
                questions[domain]?.gatherer.learn(asked.map { ($0, DNSAnswer.timeout) })
            }
        }
    }

    private func discovered(_ domain: [UInt8], _ verdict: MTASTSDiscovery.Verdict) {
        guard let question = questions[domain] else { return }
        let now = shared.wall()
        let next = shared.table.withLock { $0.discovered(domain, verdict, ttl: question.ttl, now: now) }
        switch next {
        case .tell(let verdict): close(domain, verdict)
        case .fetch(let id, let addresses):
            queue.append(Fetch(domain: domain, id: id, addresses: addresses, access: access))
            feed()
        }
    }

    private func feed() {
        while !queue.isEmpty, let number = idle.popLast() {
            _ = fetchers[number].post(queue.removeFirst())
        }
    }

    private func fetched(
        _ domain: [UInt8], _ id: [UInt8], _ result: Result<STSFetch.Success, STSFetch.Failure>
    ) {
        let ttl = questions[domain]?.ttl ?? 0
        let now = shared.wall()
        let (verdict, storing) = shared.table.withLock {
            $0.fetched(domain, id: id, result, ttl: ttl, now: now)
        }
        switch storing {
        case .nothing: break
        case .save(let record): shared.storage.save(record)
        case .remove: shared.storage.remove(domain: domain)
        }
        note(domain, id, result, verdict)
        close(domain, verdict)
    }

    private func note(
        _ domain: [UInt8], _ id: [UInt8], _ result: Result<STSFetch.Success, STSFetch.Failure>, _ verdict: STSVerdict
    ) {
        switch result {
        case .success(let success):
            shared.options.note(.fetched(domain: domain, id: id, mode: success.policy.mode))
        case .failure(let failure):
            let hasCached = if case .policy = verdict { true } else { false }
            shared.options.note(
                .failed(domain: domain, failure.result, detail: failure.detail, hasCached: hasCached))
        }
    }

    private func close(_ domain: [UInt8], _ verdict: STSVerdict) {
        guard let question = questions.removeValue(forKey: domain) else { return }
        tell(question.replies, verdict)
    }

    private func tell(_ replies: [@Sendable (STSVerdict) -> Void], _ verdict: STSVerdict) {
        for reply in replies { reply(verdict) }
        shared.waiting.subtract(replies.count, ordering: .relaxed)
    }
}
