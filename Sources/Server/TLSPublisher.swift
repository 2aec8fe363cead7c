import Reactor
import Synchronization

/// The TLS context in force; a reload replaces it and handshakes that begin later use the new one.
///
/// Shareable because the reference is behind a lock that is held for one load or store.
final class TLSPublisher: Sendable {
    private let context: Mutex<TLSContext>

    init(_ context: TLSContext) { self.context = Mutex(context) }

    var current: TLSContext { context.withLock { $0 } }

    func publish(_ new: TLSContext) {
        context.withLock { $0 = new }
    }
}
