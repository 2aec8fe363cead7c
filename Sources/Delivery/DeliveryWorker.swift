import Base
import Handoff
import Protocols
import Reactor
import Store

/// One delivery worker: a reactor of outbound connections, the jobs it works on, its plans and its connections. Belongs
/// to its thread. Bounded by `DeliveryWorkerOptions`.
final class DeliveryWorker {
    let handle: DeliveryWorkerHandle
    let reactor: Reactor
    private(set) var parts: WorkerParts
    /// Which options a connection was made by.
    private(set) var optionsSerial = 0
    let cache: ConnectionCache
    /// Dot-stuffed octets on their way into a connection; one for all, its storage is kept.
    var scratch: [UInt8] = []
    /// By the rules in force; those asked for are in `asked` too.
    private var plans: [PlanQuestion: KnownPlan] = [:]
    /// Plans the planner has not answered yet, by number; some by rules that were replaced.
    private var asked: [Int: KnownPlan] = [:]
    /// Jobs whose body is being read or that are being planned, by number: answers find them here.
    private var awaited: [Int: OutboundJob] = [:]
    private var nextNumber = 0
    private var jobs = 0
    /// Jobs that found no free slot in the reactor, oldest first.
    private var starved: [OutboundJob] = []
    private(set) var isStopping = false
    private var openConnections = 0

    var options: DeliveryWorkerOptions { parts.options }

    init(index: Int, io: any IOBackend, time: any TimeSource, _ parts: WorkerParts) {
        self.parts = parts
        var limits = ReactorLimits()
        limits.connections = parts.options.connectionsPerWorker
        limits.mailboxCapacity = max(limits.mailboxCapacity, parts.options.jobsPerWorker * 4)
        // Replies are short; what a peer sends beyond them waits in its own socket.
        limits.inputBytesMax = 16_384
        limits.readBytesPerEvent = 16_384
        limits.outputBytesMax = parts.options.sliceBytes * 4 + (1 << 16)
        limits.lingerSeconds = 0.5
        reactor = Reactor(io: io, time: time, limits: limits)
        cache = ConnectionCache(idleMax: parts.options.idleConnectionsMax)
        handle = DeliveryWorkerHandle(index: index, reactor: reactor.handle, jobsMax: parts.options.jobsPerWorker)
        reactor.owner = self
    }

    static func of(_ reactor: Reactor) -> DeliveryWorker? { reactor.owner as? DeliveryWorker }

    func run() {
        reactor.run()
        // What was submitted while the others ended.
        isStopping = true
        reactor.turn()
        reactor.shutDown()
    }

    /// From here on connections are made by `options`, and destinations are looked up anew: a route may have changed.
    func configure(_ options: DeliveryWorkerOptions) {
        let isAlike =
            options.sourceIPv4 == self.options.sourceIPv4 && options.sourceIPv6 == self.options.sourceIPv6
            && options.rootsPath == self.options.rootsPath
        parts.options = options
        plans = [:]
        guard !isAlike else { return }
        optionsSerial += 1
        cache.forEachIdle { $0.quit() }
    }

    // MARK: Jobs

    func take(_ job: DeliveryJob) {
        jobs += 1
        nextNumber += 1
        let run = OutboundJob(number: nextNumber, job: job, now: reactor.now)
        run.noteInProgress()
        guard !isStopping else { return giveBack(run) }
        fetchContent(run)
        findPlan(run)
        proceed(run)
    }

    /// A small body is read before anything else; a large one while it is sent.
    private func fetchContent(_ run: OutboundJob) {
        guard case .stored(let id, let size) = run.content.body, size <= options.sliceBytes else { return }
        run.isContentAwaited = true
        read(run, id, from: 0, most: size) { worker, run, bytes in
            run.isContentAwaited = false
            guard let bytes, bytes.count == size else { return worker.contentFailed(run) }
            run.content.body = .memory(bytes)
            worker.proceed(run)
        }
    }

    /// Reads a slice of a job's body, puts it through `making` on the store's thread, and hands it over; nil: it could not
    /// be read.
    func read(
        _ run: OutboundJob, _ id: MessageID, from offset: Int, most: Int,
        making: @escaping @Sendable ([UInt8]) -> [UInt8] = { $0 },
        then: @escaping @Sendable (DeliveryWorker, OutboundJob, [UInt8]?) -> Void
    ) {
        let number = run.number
        awaited[number] = run
        let handle = reactor.handle
        let isAsked = parts.gateway.read { (session) throws(StoreError) in
            InProgress.begin(.delivery, Fingerprint(id.text), label: id.text)
            defer { InProgress.end() }
            return making(try Self.slice(session, id, offset, most))
        } completion: { result in
            _ = handle.post { reactor in
                guard let worker = DeliveryWorker.of(reactor), let run = worker.awaited[number] else { return }
                worker.awaited[number] = nil
                run.noteInProgress()
                then(worker, run, try? result.get())
            }
        }
        if !isAsked {
            // The readers' inbox is full: asked again a little later, as long as the job has time.
            reactor.after(0.05) { [weak self, weak run] in
                guard let self, let run, self.awaited[number] != nil else { return }
                guard reactor.now.seconds(since: run.began) < options.planSeconds else { return then(self, run, nil) }
                read(run, id, from: offset, most: most, making: making, then: then)
            }
        }
    }

    /// The store gives as much as suits it; this gives all that was asked for, or what there is.
    private static func slice(
        _ session: any StoreReaderSession, _ id: MessageID, _ offset: Int, _ most: Int
    ) throws(StoreError) -> [UInt8] {
        var out: [UInt8] = []
        while out.count < most {
            let more = try session.body(of: id, from: offset + out.count, max: most - out.count)
            if more.isEmpty { break }
            if out.isEmpty { out = more } else { out += more }
        }
        return out
    }

    func contentFailed(_ run: OutboundJob) {
        run.failRest(OutboundConnection.unreadable)
        finish(run)
    }

    // MARK: Plans

    private func findPlan(_ run: OutboundJob) {
        let question = PlanQuestion(destination: run.job.destination, demand: run.demand)
        if let known = plans[question] {
            if known.verdict == nil {
                known.waiting.append(run)
                return
            }
            if known.goodUntil > reactor.now {
                run.plan = known
                return
            }
        }
        if plans.count >= options.plansMax { dropOldPlans() }
        let known = KnownPlan(question)
        known.waiting = [run]
        plans[question] = known
        nextNumber += 1
        let number = nextNumber
        asked[number] = known
        reactor.after(options.planSeconds) { [weak self, weak known] in
            guard let self, let known else { return }
            // An answer that is lost must not be waited for for ever.
            asked[number] = nil
            planned(known, Self.planTimeout)
        }
        let began = reactor.now
        parts.planner.plan(question, reactor) { reactor, verdict in
            guard let worker = DeliveryWorker.of(reactor), let known = worker.asked.removeValue(forKey: number) else {
                return
            }
            worker.parts.observer.stageTook(.plan, seconds: reactor.now.seconds(since: began))
            worker.planned(known, verdict)
        }
    }

    private static let planTimeout = DeliveryPlanVerdict(
        outcome: .failed(
            DeliveryFailure(
                .temporary, .dns, EnhancedStatus(4, 4, 3), text: Array("the destination's DNS did not answer".utf8))))

    private func planned(_ known: KnownPlan, _ verdict: DeliveryPlanVerdict) {
        guard known.verdict == nil else { return }
        known.learn(verdict)
        let seconds = min(Double(verdict.ttlSeconds), options.planKeepSeconds)
        known.goodUntil = reactor.now.advanced(bySeconds: seconds)
        if seconds <= 0, plans[known.question] === known { plans[known.question] = nil }
        let waiting = known.waiting
        known.waiting = []
        for run in waiting {
            run.plan = known
            proceed(run)
        }
    }

    private func dropOldPlans() {
        let now = reactor.now
        plans = plans.filter { $0.value.verdict == nil || $0.value.goodUntil > now }
        if plans.count >= options.plansMax { plans = plans.filter { $0.value.verdict == nil } }
    }

    /// Goes on when plan and body are there.
    private func proceed(_ run: OutboundJob) {
        guard run.isReady, let plan = run.plan, let verdict = plan.verdict else { return }
        guard !run.hasBegun, !run.isEnded else { return }
        run.hasBegun = true
        recordSkipped(run, verdict)
        switch verdict.outcome {
        case .failed(let failure):
            if verdict.skipped.isEmpty { recordNoHost(run, verdict, failure) }
            run.failRest(failure)
            // A destination that will never take mail is no reason to let its other mail wait.
            finish(run, site: failure.permanence == .permanent ? .reached : .unreachable(failure))
        case .hosts: advance(run)
        }
    }

    /// Hosts that the plan ruled out are attempts too, for `explain` and for TLS reports.
    private func recordSkipped(_ run: OutboundJob, _ verdict: DeliveryPlanVerdict) {
        for host in verdict.skipped {
            var attempt = makeAttempt(run, host: host.name)
            attempt.recipients = run.job.recipients.map {
                AttemptRecord.Recipient(address: $0.recipient.address, result: .passedOn(host.failure))
            }
            if let result = host.result {
                var tls = AttemptRecord.TLS()
                tls.policies = host.policies
                tls.result = result
                tls.detail = host.failure.text
                attempt.tls = tls
            }
            run.attempts.append(attempt)
        }
    }

    /// There was no host to try: an attempt all the same, for `explain`, and for TLS reports where DNSSEC was the cause.
    private func recordNoHost(_ run: OutboundJob, _ verdict: DeliveryPlanVerdict, _ failure: DeliveryFailure) {
        var attempt = makeAttempt(run, host: [])
        attempt.recipients = run.job.recipients.map {
            AttemptRecord.Recipient(address: $0.recipient.address, result: .failed(failure))
        }
        if let problem = verdict.policyProblem, problem.result == .dnssecInvalid { attempt.tls = Self.tls(problem) }
        run.attempts.append(attempt)
    }

    private static func tls(_ problem: TLSPolicyProblem) -> AttemptRecord.TLS {
        var tls = AttemptRecord.TLS()
        tls.policies = [problem.policy]
        tls.result = problem.result
        tls.detail = problem.detail
        return tls
    }

    func makeAttempt(_ run: OutboundJob, host: [UInt8]) -> AttemptRecord {
        AttemptRecord(
            message: run.job.message.id, began: reactor.wall, elapsedMicroseconds: 0,
            destination: run.job.destination, recipients: [], host: host)
    }

    // MARK: Hosts and connections

    /// Gives the job to the next host, or ends it.
    func advance(_ run: OutboundJob) {
        guard !run.isEnded else { return }
        guard let plan = run.plan, !isStopping || !run.isUntouched else { return giveBack(run) }
        let now = reactor.now
        let isLate = now.seconds(since: run.began) > options.jobSeconds
        let next =
            isLate || isStopping
            ? nil
            : run.nextCandidate(plan.hosts, options) { plan.endpoint($0, cache).downUntil > now }
        guard let next else {
            run.conclude()
            return finish(run)
        }
        run.choose(next)
        connect(run)
    }

    /// Finds a connection to the job's candidate: an idle one, a new one, or the next that gets free.
    func connect(_ run: OutboundJob) {
        guard !isStopping else { return advance(run) }
        guard let plan = run.plan else { return }
        let endpoint = plan.endpoint(run.candidate, cache)
        if !run.wantsFresh, let connection = cache.checkOut(endpoint) { return connection.begin(run) }
        guard endpoint.open < options.connectionsPerHost else { return endpoint.enqueue(run) }
        open(endpoint, run, plan.hosts[run.candidate.host])
    }

    private func open(_ endpoint: Endpoint, _ run: OutboundJob, _ host: PlannedHost) {
        let connection = OutboundConnection(
            self, endpoint, host, run, inTheClear: endpoint.plainUntil > reactor.now)
        if connection.open() {
            endpoint.open += 1
            openConnections += 1
            return
        }
        // Every slot is taken: an idle connection makes room, and the job is served when one has ended.
        cache.anyIdle()?.quit()
        starved.append(run)
    }

    /// A connection has no work: what waits for one like it goes first.
    func connectionFree(_ connection: OutboundConnection) {
        let endpoint = connection.endpoint
        let isCurrent = connection.optionsSerial == optionsSerial
        while isCurrent, let run = endpoint.dequeue() {
            if isFresh(run) { return connection.begin(run) }
        }
        guard !isStopping, isCurrent, starved.isEmpty, cache.keep(connection) else { return connection.quit() }
        connection.wait()
    }

    /// False: it waited too long and was ended.
    private func isFresh(_ run: OutboundJob) -> Bool {
        guard reactor.now.seconds(since: run.began) > options.jobSeconds else { return true }
        run.hostFailed(
            DeliveryFailure(
                .temporary, .local, EnhancedStatus(4, 3, 2), text: Array("no connection was free in time".utf8)),
            .reached)
        run.conclude()
        finish(run)
        return false
    }

    func connectionClosed(_ connection: OutboundConnection) {
        openConnections -= 1
        let endpoint = connection.endpoint
        endpoint.open -= 1
        parts.observer.connectionClosed()
        while let run = endpoint.dequeue() {
            guard isFresh(run) else { continue }
            connect(run)
            break
        }
        if !starved.isEmpty { connect(starved.removeFirst()) }
        endIfIdle()
    }

    // MARK: Ends

    /// Reports the job, once.
    func finish(_ run: OutboundJob, site: SiteEvent? = nil) {
        // The body may fail while the plan is still awaited, or the other way round.
        guard !run.isEnded else { return }
        run.isEnded = true
        awaited[run.number] = nil
        if run.madeSession, let problem = run.plan?.verdict?.policyProblem {
            var attempt = makeAttempt(run, host: [])
            attempt.tls = Self.tls(problem)
            run.attempts.append(attempt)
        }
        let report = run.report(site: site)
        parts.observer.jobEnded(report.site, seconds: reactor.now.seconds(since: run.began))
        jobs -= 1
        handle.release()
        parts.report(report)
        endIfIdle()
    }

    /// Unattempted.
    private func giveBack(_ run: OutboundJob) { finish(run, site: .notTried) }

    // MARK: Stopping

    func stop(graceSeconds: Double) {
        guard !isStopping else { return }
        isStopping = true
        var waiting = cache.takeWaiting() + starved
        starved = []
        for known in asked.values {
            waiting += known.waiting
            known.waiting = []
        }
        plans = [:]
        for run in awaited.values where run.isContentAwaited && run.plan != nil { waiting.append(run) }
        for run in waiting { advance(run) }
        cache.forEachIdle { $0.quit() }
        reactor.forEachConnection { ($0.driver as? OutboundConnection)?.workerStops($0) }
        reactor.after(graceSeconds) { [weak self] in
            guard let self else { return }
            reactor.forEachConnection { $0.close(.stopping) }
            reactor.after(0.1) { [weak self] in self?.reactor.handle.stop() }
        }
        endIfIdle()
    }

    private func endIfIdle() {
        if isStopping, jobs == 0, openConnections == 0 { reactor.handle.stop() }
    }
}
