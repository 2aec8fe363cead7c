import Policy
import Synchronization

/// The directory snapshot in force. The store's writer replaces it after a change; each loop reads it when a transaction
/// begins and keeps what it read.
///
/// Shareable because the reference is behind a lock that is held for one load or store.
final class DirectoryPublisher: Sendable {
    private let snapshot = Mutex(DirectorySnapshot.empty)

    var current: DirectorySnapshot { snapshot.withLock { $0 } }

    func publish(_ new: DirectorySnapshot) {
        snapshot.withLock { $0 = new }
    }
}
