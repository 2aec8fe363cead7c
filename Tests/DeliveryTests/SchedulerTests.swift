import Base
import Protocols
import Store
import Synchronization
import TestKit
import Testing

@testable import Delivery

private func b(_ text: String) -> [UInt8] { Array(text.utf8) }

/// The scheduler, a store in memory and workers that do what a test says, on one thread and a clock that stands still.
private final class Bench {
    final class Log: Sendable {
        let jobs = Mutex<[DeliveryJob]>([])
        let takes = Mutex(true)
        let attempts = Mutex(0)
        let notices = Mutex<[DeliveryNotice]>([])
        let counts = Mutex<[SchedulerResult: Int]>([:])
        let starts = Mutex<[Int]>([])
        /// A message that the store cannot read back.
        let unreadable = Mutex<MessageID?>(nil)
    }

    final class Observer: SchedulerObserver {
        let log: Log
        init(_ log: Log) { self.log = log }
        func ended(_ result: SchedulerResult, of recipients: Int, delaySeconds: Double) {
            log.counts.withLock { $0[result, default: 0] += recipients }
        }
        func started(rows: Int, sites: Int, takenBack: Int, seconds: Double) {
            log.starts.withLock { $0 += [rows, sites, takenBack] }
        }
    }

    let store = MemoryStore()
    let time = SimTime()
    let log = Log()
    let scheduler: QueueScheduler
    let core: SchedulerCore
    var ids = MessageIDSource(loop: 0)

    init(
        owner: Int64 = 7, store: MemoryStore? = nil, maxAge: Double = 1_000, warning: Double = 0,
        _ change: (inout SchedulerConfiguration) -> Void = { _ in }
    ) {
        var limits = SchedulerConfiguration()
        limits.slotsMax = 64
        change(&limits)
        _ = store
        scheduler = QueueScheduler(
            owner: LeaseOwner(rawValue: owner), gateway: self.store.gateway, configuration: limits)
        let log = log
        let rules = OutcomeRules(
            OutcomeRules.Times(maxAgeSeconds: maxAge, delayWarningSeconds: warning) { attempts, _ in
                Double(60 * attempts)
            },
            notice: { (notice, session) throws(StoreError) in
                if log.unreadable.withLock({ $0 }) == notice.message.id { throw .corrupt("body") }
                _ = try session.wholeBody(of: notice.message.id)
                log.notices.withLock { $0.append(notice) }
                return AcceptRequest(
                    id: MessageID(rawValue: notice.message.id.rawValue + 1_000), received: notice.now, sender: [],
                    trace: [], body: .inline(b("notice")), remote: [RemoteRecipient(address: notice.sender, notify: 1)])
            }, remember: { attempts in log.attempts.withLock { $0 += attempts.count } })
        let take: JobTaker = { job in
            guard log.takes.withLock({ $0 }) else { return false }
            log.jobs.withLock { $0.append(job) }
            return true
        }
        core = SchedulerCore(
            scheduler, configuration: limits, rules: rules, workers: [take, take], observer: Observer(log), time: time)
    }

    func settle() {
        var quiet = 0
        while quiet < 2 {
            let worked = core.turn()
            quiet = store.turn() || worked ? 0 : quiet + 1
        }
    }

    func pass(_ seconds: Double) {
        time.advance(seconds: seconds)
        settle()
    }

    var jobs: [DeliveryJob] {
        log.jobs.withLock { jobs in
            let all = jobs
            jobs = []
            return all
        }
    }

    func request(_ remote: [RemoteRecipient], sender: String = "s@y.example") -> AcceptRequest {
        AcceptRequest(
            id: ids.next(at: time.wall()), received: time.wall(), sender: b(sender), trace: b("Received: x\r\n"),
            body: .inline(b("body")), remote: remote)
    }

    /// As an accepting loop does it; true: it went the short way.
    @discardableResult
    func accept(_ addresses: [String], notify: UInt8 = 0, sender: String = "s@y.example") -> Bool {
        var request = request(addresses.map { RemoteRecipient(address: b($0), notify: notify) }, sender: sender)
        let count = AcceptedJobs.count(request.remote)
        let isShort = scheduler.gate.tryReserve(count, site: request.remote[0].site)
        if isShort {
            request.leasedTo = scheduler.gate.owner
            request.leaseUntil = scheduler.gate.leaseEnd(time.wall())
        }
        let taken = request
        let scheduler = scheduler
        let now = time.wall()
        _ = store.gateway.accept(taken) { _ in
            if isShort {
                scheduler.noteAccepted(AcceptedJobs.make(taken, body: b("body")))
            } else {
                scheduler.noteQueued(Array(Set(taken.remote.map(\.site))), due: now)
            }
        }
        settle()
        return isShort
    }

    func report(_ job: DeliveryJob, _ results: [RecipientResult], _ site: SiteEvent = .reached) {
        scheduler.report(JobReport(job: job, results: results, attempts: [], site: site))
        settle()
    }

    func deliver(_ job: DeliveryJob, speaksDSN: Bool = true) {
        report(
            job,
            job.recipients.map { _ in .delivered(code: 250, text: b("ok"), host: b("mx"), remoteSpeaksDSN: speaksDSN) })
    }

    static let later = DeliveryFailure(
        .temporary, .remote, EnhancedStatus(4, 2, 0), code: 450, text: b("later\nplease"), host: b("mx"))
    static let never = DeliveryFailure(
        .permanent, .remote, EnhancedStatus(5, 1, 1), code: 550, text: b("who"), host: b("mx"))
    static let dead = DeliveryFailure(.temporary, .network, EnhancedStatus(4, 4, 1), text: b("refused"))

    func rows() -> [QueuedRecipient] {
        let box = Mutex<[QueuedRecipient]>([])
        return withExtendedLifetime(box) {
            let waiter = Waiter<Result<QueuePage, StoreError>>()
            let wall = time.wall()
            _ = store.gateway.read(
                { (s) throws(StoreError) in
                    try s.queued(QueueFilter(), after: nil, limit: 999, scanMax: 999, at: wall)
                }, completion: waiter.fulfil)
            _ = store.turn()
            return (try? waiter.wait().get())?.rows ?? []
        }
    }

    func write(_ job: @escaping @Sendable (any StoreWriterSession) throws(StoreError) -> Void) {
        _ = store.gateway.write(job, completion: { _ in })
        settle()
    }
}

@Suite struct SchedulerTests {
    @Test func theShortWayNeedsNoLeaseAndLeavesNothing() {
        let bench = Bench()
        #expect(!bench.accept(["early@z.example"]))
        bench.settle()
        let first = bench.jobs
        #expect(first.count == 1 && first[0].body == nil)
        bench.deliver(first[0])
        #expect(bench.accept(["p@z.example", "q@z.example", "r@w.example"]))
        let jobs = bench.jobs
        #expect(jobs.map(\.destination) == [b("z.example"), b("w.example")])
        #expect(jobs.map(\.recipients.count) == [2, 1])
        #expect(jobs[0].body == b("body"))
        #expect(!bench.rows().contains { !$0.isLeased })
        for job in jobs { bench.deliver(job) }
        #expect(bench.rows().isEmpty)
        #expect(bench.scheduler.gate.freeSlots == 64)
        #expect(bench.log.counts.withLock { $0 } == [.delivered: 4])
        #expect(bench.core.flights.isEmpty)
        // The first row's lease was the store's next due time: then there is nothing, and nothing is remembered.
        bench.pass(400)
        #expect(bench.core.table.count == 0 && bench.jobs.isEmpty)
    }

    @Test func aTemporaryFailureWaitsAndComesAgain() throws {
        let bench = Bench()
        bench.settle()
        bench.accept(["p@z.example"])
        let job = try #require(bench.jobs.first)
        bench.report(job, [.failed(Bench.later)])
        let row = try #require(bench.rows().first)
        #expect(row.attempts == 1 && row.status == b("4.2.0 450 later please") && row.host == b("mx"))
        #expect(row.due == OutcomeRecorder.later(bench.time.wall(), 60))
        bench.pass(59)
        #expect(bench.jobs.isEmpty)
        bench.pass(1)
        let again = try #require(bench.jobs.first)
        #expect(again.recipients[0].attempts == 1 && again.body == nil)
        bench.deliver(again)
        #expect(bench.rows().isEmpty && bench.scheduler.gate.freeSlots == 64)
    }

    @Test func aPermanentFailureTellsTheSenderOnceInTheSameChange() throws {
        let bench = Bench()
        bench.settle()
        bench.accept(["p@z.example", "q@z.example", "ok@z.example"])
        let job = try #require(bench.jobs.first)
        let done = RecipientResult.delivered(code: 250, text: [], host: [], remoteSpeaksDSN: true)
        bench.report(job, [.failed(Bench.never), .failed(Bench.never), done])
        let notices = bench.log.notices.withLock { $0 }
        #expect(notices.count == 1)
        #expect(notices[0].kind == .failed && notices[0].recipients.count == 2)
        // The notice is in the queue, and goes out by itself.
        #expect(bench.rows().map(\.address) == [b("s@y.example")])
        let bounce = try #require(bench.jobs.first)
        #expect(bounce.destination == b("y.example") && bounce.sender.isEmpty)
        // Nobody is told about a bounce.
        bench.report(bounce, [.failed(Bench.never)])
        #expect(bench.rows().isEmpty && bench.log.notices.withLock { $0.count } == 1)
        #expect(bench.scheduler.gate.freeSlots == 64)
    }

    @Test func whatIsTooOldGoesBackAfterALastTry() throws {
        let bench = Bench(maxAge: 100, warning: 50)
        bench.settle()
        bench.accept(["p@z.example"])
        bench.report(try #require(bench.jobs.first), [.failed(Bench.later)])
        bench.pass(60)
        bench.report(try #require(bench.jobs.first), [.failed(Bench.later)])
        // Told once that it waits; the last try is when the time is up.
        #expect(bench.log.notices.withLock { $0.map(\.kind) } == [.delayed])
        let row = bench.rows().first { $0.site == b("z.example") }
        #expect(row?.due == OutcomeRecorder.later(bench.time.wall(), 40))
        for job in bench.jobs { bench.deliver(job) }
        bench.pass(40)
        let last = try #require(bench.jobs.first)
        #expect(last.recipients[0].isWarned)
        bench.report(last, [.failed(Bench.later)])
        #expect(bench.log.notices.withLock { $0.map(\.kind) } == [.delayed, .failed])
        #expect(bench.log.counts.withLock { $0[.expired] } == 1)
    }

    /// A row that waits already keeps its time; what comes after its next attempt follows the new values.
    @Test func newTimesHoldFromTheNextAttemptOn() throws {
        let bench = Bench()
        bench.settle()
        bench.accept(["p@z.example", "q@w.example"])
        for job in bench.jobs { bench.report(job, [.failed(Bench.later)]) }
        bench.scheduler.configure(
            SchedulerConfiguration(),
            OutcomeRules.Times(maxAgeSeconds: 130, delayWarningSeconds: 50) { _, _ in 30 })
        bench.settle()
        #expect(bench.rows().allSatisfy { $0.due == OutcomeRecorder.later(bench.time.wall(), 60) })
        bench.pass(59)
        #expect(bench.jobs.isEmpty)
        bench.pass(1)
        let again = bench.jobs
        #expect(again.count == 2)
        bench.report(again[0], [.failed(Bench.later)])
        #expect(bench.log.notices.withLock { $0.map(\.kind) } == [.delayed])
        let site = again[0].destination
        #expect(
            bench.rows().first { $0.site == site }?.due == OutcomeRecorder.later(bench.time.wall(), 30))
        // The age counts from when the message came.
        bench.time.advance(seconds: 70)
        bench.report(again[1], [.failed(Bench.later)])
        #expect(bench.log.notices.withLock { $0.map(\.kind) } == [.delayed, .failed])
        #expect(bench.log.counts.withLock { $0[.expired] } == 1)
    }

    @Test func successIsToldForAHostThatWillNot() throws {
        let bench = Bench()
        bench.settle()
        let success = DSNNotify.success.rawValue
        bench.accept(["p@z.example"], notify: success)
        bench.deliver(try #require(bench.jobs.first), speaksDSN: true)
        #expect(bench.log.notices.withLock { $0.isEmpty })
        bench.accept(["p@z.example"], notify: success)
        bench.deliver(try #require(bench.jobs.first), speaksDSN: false)
        #expect(bench.log.notices.withLock { $0.map(\.kind) } == [.relayed])
    }

    @Test func outcomesOutliveAStoreThatFails() throws {
        let bench = Bench()
        bench.settle()
        bench.accept(["p@z.example"])
        let job = try #require(bench.jobs.first)
        bench.store.failing = .unavailable(.inputOutput)
        bench.deliver(job)
        bench.pass(10)
        #expect(bench.rows().count == 1)
        // Long enough for the lease to run out, had it not been made longer afterwards; nothing is handed out twice.
        bench.pass(400)
        #expect(bench.jobs.isEmpty)
        bench.store.failing = nil
        bench.pass(1)
        #expect(bench.rows().isEmpty && bench.jobs.isEmpty)
        #expect(bench.scheduler.gate.freeSlots == 64)
    }

    @Test func oneUnreadableMessageSilencesNoOther() throws {
        let bench = Bench()
        bench.settle()
        for n in 0..<3 { bench.accept(["p\(n)@z\(n).example"]) }
        let jobs = bench.jobs
        try #require(jobs.count == 3)
        bench.log.unreadable.withLock { $0 = jobs[1].message.id }
        for job in jobs {
            bench.scheduler.report(
                JobReport(job: job, results: [.failed(Bench.never)], attempts: [], site: .reached))
        }
        bench.settle()
        #expect(bench.log.notices.withLock { Set($0.map(\.message.id)) } == [jobs[0].message.id, jobs[2].message.id])
        #expect(!bench.rows().contains { $0.site != b("y.example") })
    }

    @Test func whatWaitsForAPlaceIsNotALostWorker() throws {
        let bench = Bench {
            $0.windowMax = 1
            $0.jobSecondsMax = 500
        }
        bench.settle()
        bench.accept(["p@z.example"])
        bench.accept(["q@z.example"])
        let first = try #require(bench.jobs.first)
        for _ in 0..<4 { bench.pass(100) }
        bench.deliver(first)
        let second = bench.jobs
        try #require(second.count == 1)
        for _ in 0..<4 { bench.pass(100) }
        #expect(bench.jobs.isEmpty)
        bench.deliver(second[0])
        #expect(bench.rows().isEmpty && bench.scheduler.gate.freeSlots == 64)
        #expect(bench.core.table.inFlight == 0)
    }

    @Test func aRowThatLostItsJobIsFoundAgain() throws {
        let bench = Bench()
        bench.settle()
        var lost = bench.request([RemoteRecipient(address: b("p@z.example"))])
        lost.leasedTo = bench.scheduler.gate.owner
        lost.leaseUntil = bench.scheduler.gate.leaseEnd(bench.time.wall())
        _ = bench.store.gateway.accept(lost) { _ in }
        bench.scheduler.isHintLost.store(true, ordering: .relaxed)
        bench.settle()
        for _ in 0..<8 { bench.pass(100) }
        let job = try #require(bench.jobs.first)
        bench.deliver(job)
        #expect(bench.rows().isEmpty && bench.scheduler.gate.freeSlots == 64)
    }

    @Test func longJobsKeepTheirLeases() throws {
        let bench = Bench()
        bench.settle()
        bench.accept(["p@z.example"])
        let job = try #require(bench.jobs.first)
        for _ in 0..<20 { bench.pass(100) }
        #expect(bench.jobs.isEmpty && !bench.rows().contains { !$0.isLeased })
        bench.deliver(job)
        #expect(bench.rows().isEmpty)
    }

    @Test func aLostWorkerCostsTimeAndItsLateWordIsFencedOff() throws {
        let bench = Bench { $0.jobSecondsMax = 500 }
        bench.settle()
        bench.accept(["p@z.example"])
        let lost = try #require(bench.jobs.first)
        for _ in 0..<12 { bench.pass(100) }
        let again = bench.jobs
        try #require(again.count == 1)
        bench.deliver(lost)
        #expect(bench.log.counts.withLock { $0[.fenced] } == 1)
        #expect(bench.rows().count == 1)
        bench.deliver(again[0])
        #expect(bench.rows().isEmpty && bench.scheduler.gate.freeSlots == 64)
    }

    @Test func leasesOfADeadProcessAreTakenUpAtTheStart() throws {
        let bench = Bench()
        var old = bench.request([RemoteRecipient(address: b("p@z.example"))])
        old.leasedTo = LeaseOwner(rawValue: 999)
        old.leaseUntil = OutcomeRecorder.later(bench.time.wall(), 9_999)
        let dead = AcceptedJobs.make(old, body: nil)
        _ = bench.store.gateway.accept(old) { _ in }
        bench.settle()
        #expect(bench.log.starts.withLock { $0 } == [1, 1, 1])
        let job = try #require(bench.jobs.first)
        // Its old owner wakes up.
        bench.report(dead[0], [.failed(Bench.never)])
        #expect(bench.rows().count == 1 && bench.log.counts.withLock { $0[.fenced] } == 1)
        bench.deliver(job)
        #expect(bench.rows().isEmpty)
    }

    @Test func aLostHintCostsTimeOnly() throws {
        let bench = Bench()
        bench.settle()
        let request = bench.request([RemoteRecipient(address: b("p@z.example"))])
        _ = bench.store.gateway.accept(request) { _ in }
        bench.settle()
        #expect(bench.jobs.isEmpty)
        bench.scheduler.isHintLost.store(true, ordering: .relaxed)
        bench.settle()
        bench.pass(1)
        #expect(bench.jobs.count == 1)
    }

    @Test func aDeadDestinationPausesAndItsMailWaitsInTheStore() throws {
        let bench = Bench {
            $0.windowStart = 2
            $0.windowMax = 2
        }
        bench.settle()
        for n in 0..<6 { bench.accept(["p\(n)@z.example"]) }
        let jobs = bench.jobs
        #expect(jobs.count == 2)
        for job in jobs {
            bench.scheduler.report(
                JobReport(
                    job: job, results: [.failed(Bench.dead)], attempts: [], site: .unreachable(Bench.dead)))
        }
        bench.settle()
        #expect(bench.jobs.isEmpty)
        // The four that were ready are the store's again, untried; new mail takes the long way.
        #expect(bench.rows().filter(\.isLeased).isEmpty)
        #expect(bench.rows().map(\.attempts).sorted() == [0, 0, 0, 0, 1, 1])
        #expect(!bench.accept(["new@z.example"]))
        #expect(bench.accept(["p@other.example"]))
        #expect(bench.jobs.map(\.destination) == [b("other.example")])
        bench.pass(20)
        let probe = bench.jobs
        try #require(probe.count == 1)
        #expect(probe[0].recipients[0].attempts == 0)
        bench.deliver(probe[0])
        #expect(bench.jobs.count == 2)
    }

    @Test func rowsThatGrowOldUnderADeadDestinationAreToldOf() throws {
        let bench = Bench(maxAge: 5_000, warning: 1_000) {
            $0.windowStart = 1
            $0.windowMax = 1
            $0.pauseSecondsMin = 300
            $0.pauseSecondsMax = 300
        }
        bench.settle()
        for n in 0..<8 { bench.accept(["p\(n)@z.example"]) }
        var kinds: [DeliveryNotice.Kind: Int] = [:]
        for _ in 0..<40 {
            for job in bench.jobs {
                if job.destination == b("z.example") {
                    bench.report(job, [.failed(Bench.dead)], .unreachable(Bench.dead))
                } else {
                    bench.deliver(job)
                }
            }
            bench.pass(200)
        }
        for notice in bench.log.notices.withLock({ $0 }) { kinds[notice.kind, default: 0] += notice.recipients.count }
        #expect(kinds == [.delayed: 8, .failed: 8])
        #expect(bench.rows().filter { $0.site == b("z.example") }.isEmpty)
    }

    /// A reload turns the notices off while rows are looked for that have to be told of.
    @Test func aSweepEndsWhenItsNoticesAreTurnedOff() throws {
        let bench = Bench(maxAge: 5_000, warning: 1_000) {
            $0.windowStart = 1
            $0.windowMax = 1
            $0.pauseSecondsMin = 300
            $0.pauseSecondsMax = 300
        }
        let site = b("z.example")
        bench.settle()
        // More than a sweep takes at once.
        for n in 0..<300 { bench.accept(["p\(n)@z.example"]) }
        bench.time.advance(seconds: 1_100)
        bench.scheduler.report(
            JobReport(
                job: try #require(bench.jobs.first), results: [.failed(Bench.dead)], attempts: [],
                site: .unreachable(Bench.dead)))
        var turns = 0
        while bench.core.troubles[site]?.sweep != .delayed, turns < 100 {
            _ = bench.core.turn()
            if bench.core.troubles[site]?.sweep != .delayed { _ = bench.store.turn() }
            turns += 1
        }
        try #require(bench.core.troubles[site]?.sweep == .delayed)
        bench.scheduler.configure(
            SchedulerConfiguration(), OutcomeRules.Times(maxAgeSeconds: 5_000, delayWarningSeconds: 0) { _, _ in 60 })
        for _ in 0..<200 {
            _ = bench.core.turn()
            _ = bench.store.turn()
        }
        #expect(bench.core.troubles[site]?.sweep == nil)
        #expect(bench.core.sweepsWaiting.isEmpty)
    }

    @Test func aHeldDestinationGetsNothingUntilItIsReleased() throws {
        let bench = Bench()
        bench.settle()
        bench.scheduler.noteChanged(.held(site: b("z.example")))
        bench.settle()
        #expect(!bench.accept(["p@z.example"]))
        bench.pass(100)
        #expect(bench.jobs.isEmpty)
        bench.scheduler.noteChanged(.released(site: b("z.example")))
        bench.settle()
        #expect(bench.jobs.count == 1)
    }

    @Test func holdsOutliveAStart() throws {
        let bench = Bench()
        let now = bench.time.wall()
        _ = bench.store.gateway.write(
            { (s) throws(StoreError) in try s.holdSite(b("z.example"), now: now) }, completion: { _ in })
        _ = bench.store.gateway.accept(bench.request([RemoteRecipient(address: b("p@z.example"))])) { _ in }
        bench.settle()
        bench.pass(10)
        #expect(bench.jobs.isEmpty)
    }

    @Test func slotsBoundWhatIsInMemory() throws {
        let bench = Bench {
            $0.slotsMax = 8
            $0.windowMax = 100
            $0.windowStart = 100
        }
        bench.settle()
        for n in 0..<40 { bench.accept(["p\(n)@z\(n).example"]) }
        #expect(bench.jobs.count <= 8)
        #expect(bench.core.flights.count <= 8)
        #expect(bench.rows().count == 40)
    }

    @Test func whatWaitsIsWorkedOffInTheEnd() throws {
        let bench = Bench {
            $0.slotsMax = 16
            $0.windowMax = 3
            $0.windowStart = 3
            $0.readyMax = 8
        }
        bench.settle()
        for n in 0..<200 { bench.accept(["p\(n)@z\(n % 5).example"]) }
        var seen = Set<QueueRowID>()
        var most = 0
        while true {
            let jobs = bench.jobs
            if jobs.isEmpty { break }
            most = max(most, jobs.filter { $0.destination == b("z1.example") }.count)
            for job in jobs {
                let isNew = seen.insert(job.recipients[0].lease.row).inserted
                #expect(isNew)
                bench.deliver(job)
            }
        }
        #expect(seen.count == 200 && bench.rows().isEmpty)
        bench.pass(400)
        #expect(bench.scheduler.gate.freeSlots == 16 && bench.core.table.count == 0)
    }

    @Test func fullWorkersGetNothingAndNothingIsLost() throws {
        let bench = Bench()
        bench.settle()
        bench.log.takes.withLock { $0 = false }
        bench.accept(["p@z.example"])
        #expect(bench.jobs.isEmpty)
        bench.log.takes.withLock { $0 = true }
        bench.pass(0.1)
        #expect(bench.jobs.count == 1)
    }

    @Test func aStopGivesEverythingBack() throws {
        let bench = Bench { $0.windowMax = 1 }
        bench.settle()
        for n in 0..<4 { bench.accept(["p\(n)@z.example"]) }
        let job = try #require(bench.jobs.first)
        bench.scheduler.gate.close()
        bench.scheduler.isStopping.store(true, ordering: .releasing)
        bench.settle()
        #expect(!bench.core.isStopped)
        bench.report(job, [.failed(Bench.later)], .notTried)
        #expect(bench.core.isStopped)
        #expect(bench.rows().filter(\.isLeased).isEmpty && bench.rows().count == 4)
        #expect(!bench.rows().contains { $0.attempts != 0 })
    }

    @Test func theStatusNamesTheLimit() throws {
        let bench = Bench { $0.windowMax = 1 }
        bench.settle()
        for n in 0..<3 { bench.accept(["p\(n)@z.example"]) }
        let waiter = Waiter<SchedulerStatus>()
        #expect(bench.scheduler.status(waiter.fulfil))
        bench.settle()
        let site = waiter.wait().sites[b("z.example")]
        #expect(site?.inFlight == 1 && site?.ready == 2 && site?.limit == .concurrency)
    }

    @Test func acceptedJobsAreSplitByWhatATransactionShares() {
        let remote = [
            RemoteRecipient(address: b("a@z.example")), RemoteRecipient(address: b("b@z.example"), sender: b("srs@x")),
            RemoteRecipient(address: b("c@Z.example")),
            RemoteRecipient(address: b("d@z.example"), prefix: b("X: y\r\n")),
        ]
        #expect(AcceptedJobs.count(remote) == 3)
        let many = (0..<250).map { RemoteRecipient(address: b("p\($0)@z.example")) }
        #expect(AcceptedJobs.count(many) == 3)
        #expect(AcceptedJobs.count([]) == 0)
        var request = AcceptRequest(
            id: MessageID(rawValue: 5), received: WallTime(seconds: 1), sender: b("s@y"), trace: [], body: .inline([]),
            remote: remote)
        #expect(AcceptedJobs.make(request, body: nil).isEmpty)
        request.leasedTo = LeaseOwner(rawValue: 1)
        let jobs = AcceptedJobs.make(request, body: nil)
        #expect(jobs.map { $0.recipients.map(\.lease.row.recipient) } == [[0, 2], [1], [3]])
        #expect(jobs[1].sender == b("srs@x") && jobs[2].prefix == b("X: y\r\n"))
    }
}
