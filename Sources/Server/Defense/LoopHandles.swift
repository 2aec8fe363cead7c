import Handoff
import Ledger
import Protocols
import Reactor
import Synchronization

/// The loops that serve connections, for who has something to say to all of them. Filled while the daemon starts.
///
/// Shareable: the list is behind a lock that is held for a copy.
final class LoopHandles: Sendable {
    private static let openRecordSeconds = 0.5

    private let handles = Mutex<[ReactorHandle]>([])

    func add(_ handle: ReactorHandle) {
        handles.withLock { $0.append(handle) }
    }

    /// To each, if its mailbox has room: a hint.
    func post(_ job: @escaping ReactorHandle.Job) {
        for handle in handles.withLock({ $0 }) { _ = handle.post(job) }
    }

    /// What the loop that drew `id` will record under it. Waits for the loop's turn: for threads that may block.
    func openRecord(_ id: MessageID) -> ConnectionRecord? {
        let asked = handles.withLock { $0 }.enumerated().filter { $0.offset & 31 == id.loop }
        for (_, handle) in asked {
            let answer = Awaited<ConnectionRecord?>()
            let isPosted = handle.post { answer.give(($0.owner as? LoopContext)?.openRecord(id)) }
            if isPosted, let record = answer.wait(seconds: Self.openRecordSeconds) ?? nil { return record }
        }
        return nil
    }
}
