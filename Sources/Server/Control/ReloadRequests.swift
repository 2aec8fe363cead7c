import CEpoll
import Handoff
import Synchronization

/// Who waits for the next reload to end. Commands ask on a thread that may block; the main thread, which a signal wakes, does
/// the work and answers. Shareable: a list under a lock; bounded by the threads that may ask.
final class ReloadRequests: Sendable {
    private let waiting = Mutex<[Awaited<ReloadReport>]>([])
    /// The server is stopping and does not reload any more.
    private let isClosed = Atomic<Bool>(false)
    private static let stopping = ReloadReport(refused: "the server is stopping", status: ExitStatus.temporary)
    /// Longer than any reload takes.
    private static let patienceSeconds = 20.0

    /// Everybody who asked so far.
    func take() -> [Awaited<ReloadReport>] {
        waiting.withLock { list in
            let all = list
            list = []
            return all
        }
    }

    /// Whoever asks or has asked is told that the server is stopping.
    func close() {
        isClosed.store(true, ordering: .sequentiallyConsistent)
        for asker in take() { asker.give(Self.stopping) }
    }

    /// Reloads, and tells what became of it. Blocks.
    var hook: @Sendable (ControlFormat) -> ControlAnswer {
        { [self] format in
            let report = Awaited<ReloadReport>()
            waiting.withLock { $0.append(report) }
            if isClosed.load(ordering: .sequentiallyConsistent) { return Self.stopping.answer(format) }
            guard kill(getpid(), SIGHUP) == 0 else { return .failed("the server could not be told") }
            guard let report = report.wait(seconds: Self.patienceSeconds) else {
                return .failed("the server does not reload", ExitStatus.temporary)
            }
            return report.answer(format)
        }
    }
}
