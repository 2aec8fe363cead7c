import Base
import CEpoll
import Handoff
import Reactor
import Synchronization

struct SinkPlan: Sendable {
    var listen: [SocketAddress]
    var script = SinkScript()
    var tls: TLSContext?
    var isImplicitTLS = false
    var isLMTP = false
    /// EHLO keywords that are not offered, upper case.
    var without: Set<String> = []
    var ledger: LedgerWriter?
    var countsDuplicates = false
    /// Seconds since the start between which nobody listens.
    var closed: [ClosedRange<Double>] = []
    var seed: UInt64 = 1

    /// Messages are kept whole, or their beginning, or not at all.
    var keptBytes: Int { ledger != nil ? .max : countsDuplicates ? 16_384 : 0 }
}

/// The sink's counts; copied to the main thread now and then.
struct SinkCounters: Sendable {
    var connections = 0
    var open = 0
    var openMax = 0
    var handshakes = 0
    /// Messages taken, the unanswered ones among them.
    var messages = 0
    var recipients = 0
    var bytes = 0
    /// Times the script did something.
    var scripted = 0
    /// Messages taken whose sender was not told.
    var silent = 0
    /// Copies for a recipient that had one already.
    var duplicates = 0
    /// Recipients by domain; the first 100,000 domains.
    var domains: [[UInt8]: Int] = [:]
}

/// The sink's one thread. Thread-confined.
final class SinkWorker {
    private struct Copy: Hashable {
        let id: LedgerID
        let recipient: [UInt8]
    }

    let plan: SinkPlan
    let reactor: Reactor
    let hello: SinkHello
    var counters = SinkCounters()
    var random: Seeded
    private let progress: LoadProgress
    private let published: SinkPublished
    private var waiting: [UInt32: SinkDriver] = [:]
    private var nextNumber: UInt32 = 0
    private var copies: Set<Copy> = []

    init(_ plan: SinkPlan, progress: LoadProgress, published: SinkPublished) throws {
        self.plan = plan
        self.progress = progress
        self.published = published
        hello = SinkHello(plan)
        random = Seeded(seed: plan.seed)
        var limits = ReactorLimits()
        limits.connections = 65_536
        reactor = Reactor(io: try EpollBackend(), time: SystemTime(), limits: limits)
    }

    func run() throws {
        progress.handles.withLock { $0[0] = reactor.handle }
        reactor.turnHook = { [unowned self] _ in afterTurn() }
        for address in plan.listen {
            let bound = try listen(address)
            Console.error("listening on \(bound)\n")
        }
        for window in plan.closed {
            reactor.after(window.lowerBound) { [unowned self] in reactor.stopListening() }
            reactor.after(window.upperBound) { [unowned self] in for address in plan.listen { _ = try? listen(address) }
            }
        }
        publish()
        reactor.run()
        publish()
    }

    private func listen(_ address: SocketAddress) throws -> SocketAddress {
        try reactor.listen(.inet(address)) { [unowned self] _ in SinkDriver(self) }
    }

    private func publish() {
        published.counters.withLock { $0 = counters }
        reactor.after(0.1) { [unowned self] in publish() }
    }

    private func afterTurn() {
        guard let ledger = plan.ledger else { return }
        while let mark = ledger.nextDurable(0) { waiting.removeValue(forKey: mark.number)?.ledgerIsDurable() }
    }

    func keep(_ line: [UInt8], for driver: SinkDriver) {
        nextNumber &+= 1
        waiting[nextNumber] = driver
        plan.ledger?.post(line, worker: 0, mark: DurableMark(client: 0, number: nextNumber))
    }

    func count(_ message: [UInt8], _ bytes: Int, for recipients: [[UInt8]]) {
        counters.messages += 1
        counters.recipients += recipients.count
        counters.bytes += bytes
        let id = plan.countsDuplicates ? DeliveryCheck.identifier(message) : nil
        for recipient in recipients {
            let domain = Array(SinkWorker.domain(recipient))
            if counters.domains[domain] != nil || counters.domains.count < 100_000 {
                counters.domains[domain, default: 0] += 1
            }
            if let id, !copies.insert(Copy(id: id, recipient: recipient)).inserted { counters.duplicates += 1 }
        }
    }

    /// What follows the last `@`.
    static func domain(_ address: [UInt8]) -> ArraySlice<UInt8> {
        guard let at = address.lastIndex(of: ASCII.at) else { return [] }
        return address[(at + 1)...]
    }
}

/// What the main thread reads.
final class SinkPublished: Sendable {
    let counters = Mutex(SinkCounters())
}

/// The answers to EHLO, made once.
struct SinkHello {
    let plain: [UInt8]
    let secured: [UInt8]

    init(_ plan: SinkPlan) {
        var words = [
            "PIPELINING", "SIZE 0", "8BITMIME", "SMTPUTF8", "DSN", "CHUNKING", "ENHANCEDSTATUSCODES", "STARTTLS",
            "REQUIRETLS",
        ]
        words.removeAll { word in plan.without.contains { word.hasPrefix($0) } }
        plain = Self.reply(words.filter { $0 != "REQUIRETLS" && ($0 != "STARTTLS" || plan.tls != nil) })
        secured = Self.reply(words.filter { $0 != "STARTTLS" })
    }

    private static func reply(_ words: [String]) -> [UInt8] {
        let lines = ["sink.bench.invalid"] + words
        return Array(
            lines.enumerated().map { "250\($0 == lines.count - 1 ? " " : "-")\($1)\r\n" }.joined().utf8)
    }
}
