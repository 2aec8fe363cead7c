import Reactor
import Synchronization

/// The loops that serve connections, for who has something to say to all of them. Filled while the daemon starts.
///
/// Shareable: the list is behind a lock that is held for a copy.
final class LoopHandles: Sendable {
    private let handles = Mutex<[ReactorHandle]>([])

    func add(_ handle: ReactorHandle) {
        handles.withLock { $0.append(handle) }
    }

    /// To each, if its mailbox has room: a hint.
    func post(_ job: @escaping ReactorHandle.Job) {
        for handle in handles.withLock({ $0 }) { _ = handle.post(job) }
    }
}
