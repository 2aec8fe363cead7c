import ArgumentParser
import Base
import CEpoll
import Handoff
import Protocols
import Reactor
import Synchronization

/// `martlet-bench load`
struct LoadCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "load", abstract: "Sends messages to an SMTP server and reports rates and latencies.")

    @Argument(help: "The server, ADDRESS:PORT.") var target: Endpoint
    @Option(help: "Messages a second, whatever the server does (open loop).") var rate: Double?
    @Option(help: "Connections at most; in a closed loop each sends without pause.") var concurrency: Int?
    @Option(help: "Messages to begin.") var messages: Int?
    @Option(help: "Seconds to go on.") var duration: Double?
    @Option(help: "Message sizes: 4k, or 1k:50,16k:40,1m:10 with weights.") var size: SizeMix = SizeMix(argument: "4k")!
    @Option(help: "A message to send, after a field with the ledger's id; may be repeated, then they take turns.")
    var message: [String] = []
    @Option(help: "Recipients of each message.") var recipients = 1
    @Option(help: "Messages on a connection before QUIT; 0 is no limit.") var messagesPerConnection = 0
    @Flag(inversion: .prefixedNo, help: "Use PIPELINING when offered.") var pipelining = false
    @Flag(help: "Use BDAT when offered.") var bdat = false
    @Option(help: "none, starttls or implicit.") var tls = TLSMode.none
    @Option(help: "Percent of TLS connections that offer to resume.") var resume = 0.0
    @Option(help: "SNI.") var serverName: String?
    @Option(help: "Hold this many idle connections until --duration is over.") var idle: Int?
    @Option(help: "Be slow: one byte every so many seconds, on every connection.") var slow: Double?
    @Option(help: "Where to drip: greeting, command, data, bdat or tls.") var dripState = DripState.command
    @Option(help: "Source addresses, spread over 127.0.0.0/8.") var sources = 1
    @Option(help: "Recipient; may be repeated.") var to: [String] = []
    @Option(help: "Recipients from a template with %d.") var toTemplate = "u%d@bench.test"
    @Option(help: "How many addresses the template makes.") var users = 10
    @Option(help: "Envelope sender; empty for bounces.") var from = "load@client.test"
    @Option(help: "USER:PASSWORD for AUTH.") var auth: String?
    @Option(help: "EHLO name.") var helo = "client.test"
    @Option(help: "Reactors.") var threads = 1
    @Option(help: "Write an fsynced ledger of what was sent and acknowledged.") var ledger: String?
    @Option(help: "Seed of the messages and of every choice.") var seed: UInt64 = 1
    @Option(name: .customLong("run"), help: "Run number in the ledger ids, decimal; random by default.")
    var runNumber: UInt32?
    @Option(help: "Seconds to wait for a reply.") var timeout = 60.0
    @Flag(help: "Wait for the reply to QUIT.") var waitQuit = false
    @Flag(help: "Report as JSON.") var json = false

    func validate() throws {
        guard concurrency ?? 1 > 0, threads > 0, threads <= 64, recipients > 0, recipients <= 10_000, sources > 0 else {
            throw ValidationError("counts must be positive (at most 64 threads, 10,000 recipients)")
        }
        guard rate ?? 1 > 0, rate ?? 1 <= 1e7, duration ?? 1 > 0, slow ?? 1 > 0, timeout > 0, resume >= 0, resume <= 100
        else {
            throw ValidationError("rates, times and percentages must be positive")
        }
        guard messages ?? 1 > 0, messages ?? 1 <= Int(UInt32.max), messagesPerConnection >= 0 else {
            throw ValidationError("messages must be 1 to \(UInt32.max)")
        }
        if idle != nil || slow != nil, duration == nil { throw ValidationError("--idle and --slow need --duration") }
        if recipients > addresses.count {
            throw ValidationError("\(recipients) recipients need as many addresses; raise --users or repeat --to")
        }
    }

    private var addresses: [[UInt8]] {
        if !to.isEmpty { return to.map { Array($0.utf8) } }
        guard let place = toTemplate.firstRange(of: "%d") else { return [Array(toTemplate.utf8)] }
        return (0..<max(1, users)).map {
            Array((toTemplate[..<place.lowerBound] + "\($0)" + toTemplate[place.upperBound...]).utf8)
        }
    }

    func run() throws {
        mt_ignore_sigpipe()
        let descriptors = mt_raise_nofile()
        let progress = LoadProgress(workers: threads)
        let plan = try makePlan(progress)
        guard UInt64(plan.connections) + 64 < descriptors else {
            throw ValidationError(
                "\(plan.connections) connections need more than the \(descriptors) descriptors allowed")
        }
        let ledgerThread = plan.ledger?.start()
        let cpuBefore = Console.processSeconds
        let start = mt_monotonic_ns() + 20_000_000
        if let duration { progress.deadline.store(start + UInt64(duration * 1e9), ordering: .releasing) }
        let workers = (0..<threads).map { index in
            LoopThread.spawn("bench-\(index)") {
                do {
                    try LoadWorker(plan: plan, index: index, progress: progress, start: start).run()
                } catch {
                    Console.die("\(error)", 71)
                }
            }
        }
        let pacer = startPacer(progress, start)
        watch(progress, start)
        for worker in workers { worker.join() }
        pacer?.stop()
        plan.ledger?.stop()
        ledgerThread?.join()
        var sum = LoadResult()
        for result in progress.results.withLock({ $0 }) { sum.add(result) }
        let report = LoadReport(plan: plan, result: sum, cpuSeconds: Console.processSeconds - cpuBefore)
        Console.out(json ? report.json : report.text)
        if sum.failed > 0 || (sum.acknowledged == 0 && sum.heldOpen == 0) { throw ExitCode(1) }
    }

    private func startPacer(_ progress: LoadProgress, _ start: UInt64) -> Pacer? {
        guard let rate else { return nil }
        while true {
            let handles = progress.handles.withLock { $0 }.compactMap { $0 }
            if handles.count == threads {
                let pacer = Pacer(rate: rate, start: start, handles: handles)
                _ = pacer.run()
                return pacer
            }
            Console.sleep(milliseconds: 1)
        }
    }

    /// Shows progress until the workers are done; an interrupt ends the load early and still reports.
    private func watch(_ progress: LoadProgress, _ start: UInt64) {
        interrupted.store(0, ordering: .relaxed)
        signal(SIGINT) { _ in interrupted.store(1, ordering: .relaxed) }
        var last = 0
        var lastTime = start
        while progress.workersDone.load(ordering: .acquiring) < threads {
            Console.sleep(milliseconds: 100)
            if interrupted.load(ordering: .relaxed) == 1 { progress.deadline.store(0, ordering: .releasing) }
            let now = mt_monotonic_ns()
            guard Console.hasProgress, now > lastTime + 500_000_000 else { continue }
            let done = progress.acknowledged.load(ordering: .relaxed)
            let rate = Double(done - last) / (Double(now - lastTime) / 1e9)
            Console.error(
                "\r\(done) acknowledged, \(Console.fixed(rate, 0))/s, "
                    + "\(progress.failed.load(ordering: .relaxed)) failed, "
                    + "\(progress.open.load(ordering: .relaxed)) connections   ")
            last = done
            lastTime = now
        }
        if Console.hasProgress { Console.error("\r\u{1B}[K") }
    }

    private func makePlan(_ progress: LoadProgress) throws -> LoadPlan {
        var session = SMTPClientSession.Options(name: Array(helo.utf8))
        session.tls = tls == .starttls ? .required : .never
        session.usesPipelining = pipelining
        session.usesChunking = bdat || (slow != nil && dripState == .bdat)
        if slow != nil, dripState == .tls, tls == .none { session.tls = .required }
        if let auth {
            let parts = auth.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2 else { throw ValidationError("--auth wants USER:PASSWORD") }
            session.credentials = .init(user: Array(parts[0].utf8), password: Secret(Array(parts[1].utf8)))
        }
        var context: TLSContext?
        if tls != .none { context = try TLSContext(client: TLSClientOptions()) }
        var writer: LedgerWriter?
        if let ledger {
            writer = LedgerWriter(path: ledger, workers: threads, progress: progress)
            guard writer != nil else { throw ValidationError("the ledger \(ledger) cannot be written") }
        }
        var kind = LoadKind.messages
        if idle != nil { kind = .idle }
        if let slow { kind = .drip(dripState, seconds: slow) }
        let given = try message.map { path in
            guard let bytes = MessageFile.read(path) else { throw ValidationError("cannot read \(path)") }
            return bytes
        }
        let run = runNumber ?? UInt32.random(in: 0...UInt32.max)
        return LoadPlan(
            target: target.address, kind: kind, connections: idle ?? concurrency ?? (rate == nil ? 10 : 200),
            rate: rate,
            messages: messages ?? (duration == nil ? 1_000 : nil), durationSeconds: duration, sizes: size,
            recipientsPerMessage: recipients, recipients: addresses, sender: Array(from.utf8),
            messagesPerConnection: messagesPerConnection == 0 ? nil : messagesPerConnection, session: session,
            isImplicitTLS: tls == .implicit, tls: context, serverName: serverName, resumeShare: resume / 100,
            sources: sources, workers: threads, timeoutSeconds: timeout, waitsForQuit: waitQuit,
            factory: given.isEmpty
                ? MessageFactory(from: Array(from.utf8), largest: size.largest, seed: seed)
                : MessageFactory(messages: given), run: run, seed: seed, ledger: writer)
    }
}

/// Set by the signal handler, which may capture nothing.
private let interrupted = Atomic<Int>(0)
