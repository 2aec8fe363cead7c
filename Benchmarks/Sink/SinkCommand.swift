import ArgumentParser
import Base
import CEpoll
import Handoff
import Reactor
import Synchronization

/// `martlet-bench sink`
struct SinkCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sink", abstract: "Plays an SMTP server that accepts, refuses, delays and breaks off as scripted.")

    @Option(help: "ADDRESS:PORT; may be repeated. 0.0.0.0 takes every address of 127.0.0.0/8.") var listen = [
        Endpoint(argument: "127.0.0.1:2600")!
    ]
    @Option(help: "Rules, or a file of them: `rcpt 10% 451; data 5% drop; @127.0.0.7 dot delay 2`.")
    var script: String?
    @Option(help: "Write an fsynced ledger of accepted messages; a 250 waits for it.") var ledger: String?
    @Option(help: "Certificate chain (PEM); with --key offers STARTTLS.") var cert: String?
    @Option(help: "Private key (PEM).") var key: String?
    @Flag(help: "TLS from the first byte.") var implicitTLS = false
    @Flag(help: "Speak LMTP: one reply for each recipient after the dot.") var lmtp = false
    @Option(help: "EHLO keywords not to offer: PIPELINING,CHUNKING,8BITMIME,SMTPUTF8,DSN,SIZE,STARTTLS,REQUIRETLS.")
    var without: String?
    @Option(help: "Refuse connections between these seconds: 10-20,40-45.") var closed: String?
    @Flag(help: "Count copies of `load` messages that came before for the same recipient.") var countDuplicates = false
    @Option(help: "Seconds to run; for ever by default.") var duration: Double?
    @Option(help: "End after so many messages.") var messages: Int?
    @Option(help: "Print the counters every so many seconds.") var interval: Double?
    @Option(help: "Seed of the script's dice.") var seed: UInt64 = 1
    @Flag(help: "Print the counters as JSON.") var json = false

    func validate() throws {
        if (cert == nil) != (key == nil) { throw ValidationError("--cert and --key belong together") }
        if implicitTLS, cert == nil { throw ValidationError("--implicit-tls needs --cert and --key") }
        if interval ?? 1 <= 0 { throw ValidationError("--interval must be positive") }
        _ = try windows()
    }

    private func windows() throws -> [ClosedRange<Double>] {
        try (closed ?? "").split(separator: ",").map { window in
            let ends = window.split(separator: "-").compactMap { Double($0) }
            guard ends.count == 2, ends[0] >= 0, ends[0] <= ends[1] else {
                throw ValidationError("--closed wants seconds like 10-20,40-45")
            }
            return ends[0]...ends[1]
        }
    }

    func run() throws {
        mt_ignore_sigpipe()
        _ = mt_raise_nofile()
        let progress = LoadProgress(workers: 1)
        var plan = SinkPlan(listen: listen.map(\.address), script: try readScript())
        plan.isImplicitTLS = implicitTLS
        plan.isLMTP = lmtp
        plan.without = Set((without ?? "").uppercased().split(separator: ",").map(String.init))
        plan.countsDuplicates = countDuplicates
        plan.closed = try windows()
        plan.seed = seed
        if let cert, let key {
            let identity = TLSIdentity(names: [], keyPairs: [TLSKeyPair(chainPath: cert, keyPath: key)])
            plan.tls = try TLSContext(server: TLSServerOptions(identities: [identity]))
        }
        if let ledger {
            plan.ledger = LedgerWriter(path: ledger, workers: 1, progress: progress)
            if plan.ledger == nil { Console.die("\(ledger) cannot be written", 73) }
        }
        let ledgerThread = plan.ledger?.start()
        let published = SinkPublished()
        let thread = start(plan, progress, published)
        watch(published)
        progress.handles.withLock { $0[0] }?.stop()
        thread.join()
        plan.ledger?.stop()
        ledgerThread?.join()
        report(published.counters.withLock { $0 })
    }

    private func start(_ plan: SinkPlan, _ progress: LoadProgress, _ published: SinkPublished) -> ThreadHandle {
        LoopThread.spawn("bench-sink") {
            do {
                try SinkWorker(plan, progress: progress, published: published).run()
            } catch {
                Console.die("\(error)", 71)
            }
        }
    }

    private func readScript() throws -> SinkScript {
        guard let script else { return SinkScript() }
        guard let file = LineReader(path: script) else { return try SinkScript(script) }
        var text = ""
        while let line = file.next() { text += String(decoding: line, as: UTF8.self) + "\n" }
        return try SinkScript(text)
    }

    private func watch(_ published: SinkPublished) {
        for number in [SIGINT, SIGTERM] { signal(number) { _ in ended.store(true, ordering: .relaxed) } }
        let start = mt_monotonic_ns()
        var last = 0
        var reported = start
        while !ended.load(ordering: .relaxed) {
            Console.sleep(milliseconds: 100)
            let counters = published.counters.withLock { $0 }
            if let duration, Double(mt_monotonic_ns() - start) / 1e9 >= duration { return }
            if let messages, counters.messages >= messages { return }
            if let interval, Double(mt_monotonic_ns() - reported) / 1e9 >= interval {
                reported = mt_monotonic_ns()
                report(counters)
            }
            if Console.hasProgress, counters.messages != last {
                Console.error("\r\(counters.messages) messages, \(counters.connections) connections   ")
                last = counters.messages
            }
        }
    }

    private func report(_ n: SinkCounters) {
        let counts: [(String, Int)] = [
            ("connections", n.connections), ("open", n.open), ("open_max", n.openMax), ("tls_handshakes", n.handshakes),
            ("messages", n.messages), ("recipients", n.recipients), ("bytes", n.bytes), ("scripted", n.scripted),
            ("silent", n.silent), ("duplicates", n.duplicates),
        ]
        let domains = n.domains.map { (Array($0.key).escapedText, $0.value) }.sorted { $0.0 < $1.0 }
        if json {
            Console.out(
                "{" + counts.map { "\"\($0.0)\":\($0.1)" }.joined(separator: ",") + ",\"domains\":{"
                    + domains.map { "\(Console.quoted($0.0)):\($0.1)" }.joined(separator: ",") + "}}\n")
        } else {
            Console.out(counts.map { "\($0.0.replacing("_", with: " ")) \($0.1)\n" }.joined())
            if domains.count <= 20 { Console.out(domains.map { "    \($0.0) \($0.1)\n" }.joined()) }
        }
    }
}

/// Set by the signal handlers, which may capture nothing.
private let ended = Atomic<Bool>(false)
