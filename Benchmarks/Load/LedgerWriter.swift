import Base
import CEpoll
import Handoff
import Reactor
import Synchronization

/// A `sent` line that has reached the disk: the client waiting for it may end its message.
struct DurableMark: Sendable {
    let client: Int
    let number: UInt32
}

/// The ledger file's thread: appends what workers post, one fdatasync a batch, then tells them which `sent` lines are
/// durable. Shareable: mailboxes and constants only.
final class LedgerWriter: Sendable {
    struct Entry: Sendable {
        let line: [UInt8]
        /// Worker to answer to, -1 for none.
        let worker: Int
        let mark: DurableMark
    }

    private let mailbox = Mailbox<Entry>(capacity: 65_536)
    private let answers: [MPSCRing<DurableMark>]
    private let progress: LoadProgress
    private let descriptor: Int32
    private let stopping = Atomic<Bool>(false)

    init?(path: String, workers: Int, progress: LoadProgress) {
        self.progress = progress
        descriptor = mt_open(path, O_CREAT | O_WRONLY | O_APPEND, 0o644)
        guard descriptor >= 0 else { return nil }
        answers = (0..<workers).map { _ in MPSCRing(capacity: 65_536) }
    }

    /// Any worker. Waits when the ledger's disk is more than 65,536 lines behind.
    func post(_ line: [UInt8], worker: Int = -1, mark: DurableMark = DurableMark(client: 0, number: 0)) {
        while !mailbox.post(Entry(line: line, worker: worker, mark: mark)) { Console.sleep(milliseconds: 1) }
    }

    /// What became durable for this worker. Only that worker.
    func nextDurable(_ worker: Int) -> DurableMark? { answers[worker].pop() }

    func start() -> ThreadHandle { LoopThread.spawn("bench-ledger") { [self] in run() } }

    /// Everything posted before is on disk when the thread has ended.
    func stop() {
        stopping.store(true, ordering: .releasing)
        post([])
    }

    private func run() {
        var buffer: [UInt8] = []
        var marks: [(worker: Int, mark: DurableMark)] = []
        while true {
            let last = stopping.load(ordering: .acquiring)
            while buffer.count < 1 << 20, let entry = mailbox.next() {
                buffer.append(contentsOf: entry.line)
                if entry.worker >= 0 { marks.append((entry.worker, entry.mark)) }
            }
            if buffer.isEmpty, marks.isEmpty {
                if last { break }
                mailbox.wait(timeoutMilliseconds: 1_000)
                continue
            }
            append(&buffer)
            tell(&marks)
        }
        _ = mt_close(descriptor)
    }

    private func append(_ buffer: inout [UInt8]) {
        var done = 0
        while done < buffer.count {
            let n = buffer.withUnsafeBytes { mt_write(descriptor, $0.baseAddress! + done, $0.count - done) }
            guard n > 0 else { return die("write", n) }
            done += Int(n)
        }
        let status = mt_fdatasync(descriptor)
        if status < 0 { die("fdatasync", Int64(status)) }
        buffer.removeAll(keepingCapacity: true)
    }

    /// A ledger that cannot be trusted is worse than none.
    private func die(_ call: String, _ status: Int64) {
        Console.die("the ledger failed: \(call): \(IOError.text(Int32(-status)))", 74)
    }

    private func tell(_ marks: inout [(worker: Int, mark: DurableMark)]) {
        var touched: Set<Int> = []
        for (worker, mark) in marks {
            while !answers[worker].push(mark) { Console.sleep(milliseconds: 1) }
            touched.insert(worker)
        }
        marks.removeAll(keepingCapacity: true)
        let handles = progress.handles.withLock { $0 }
        for worker in touched { _ = handles[worker]?.post { _ in } }
    }
}
