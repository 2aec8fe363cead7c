import Reactor
import Synchronization

/// What the main thread sees of the workers while they run. Atomics only, hence shareable.
final class LoadProgress: Sendable {
    let acknowledged = Atomic<Int>(0)
    let failed = Atomic<Int>(0)
    let open = Atomic<Int>(0)
    let workersDone = Atomic<Int>(0)
    /// By worker; set before it runs.
    let handles: Mutex<[ReactorHandle?]>
    let results = Mutex<[LoadResult]>([])
    /// Nanoseconds at which no more messages are begun; moved forward by an interrupt.
    let deadline = Atomic<UInt64>(UInt64.max)

    init(workers: Int) { handles = Mutex(Array(repeating: nil, count: workers)) }
}

/// One worker's counts, or the sum of all.
struct LoadResult: Sendable {
    var latencies = Latencies()
    var acknowledged = 0
    var bytes = 0
    var recipientsAccepted = 0
    var recipientsRefused = 0
    var failed = 0
    var connections = 0
    var connectFailures = 0
    var connectionsLost = 0
    var handshakes = 0
    var resumed = 0
    /// What failed, and how often; the first 32 texts.
    var reasons: [String: Int] = [:]
    var heldOpen = 0
    var droppedByServer = 0
    var firstStart: UInt64 = .max
    var lastEnd: UInt64 = 0

    mutating func count(_ reason: String) {
        if reasons[reason] != nil || reasons.count < 32 {
            reasons[reason, default: 0] += 1
        } else {
            reasons["other", default: 0] += 1
        }
    }

    mutating func add(_ other: LoadResult) {
        latencies.add(other.latencies)
        acknowledged += other.acknowledged
        bytes += other.bytes
        recipientsAccepted += other.recipientsAccepted
        recipientsRefused += other.recipientsRefused
        failed += other.failed
        connections += other.connections
        connectFailures += other.connectFailures
        connectionsLost += other.connectionsLost
        handshakes += other.handshakes
        resumed += other.resumed
        for (reason, n) in other.reasons { reasons[reason, default: 0] += n }
        heldOpen += other.heldOpen
        droppedByServer += other.droppedByServer
        firstStart = min(firstStart, other.firstStart)
        lastEnd = max(lastEnd, other.lastEnd)
    }

    var seconds: Double { lastEnd > firstStart ? Double(lastEnd - firstStart) / 1e9 : 0 }
}
