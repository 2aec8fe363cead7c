import CEpoll
import Synchronization

/// Starts a thread and moves what it shall own onto it. `sending` makes later use by the starter a compile error.
package enum LoopThread {
    private static let nextIdentifier = Atomic<UInt64>(1)

    private final class Start {
        let name: String
        let body: () -> Void
        init(name: String, body: @escaping () -> Void) {
            self.name = name
            self.body = body
        }
    }

    /// Runs `body` on a new thread called `name` (15 bytes are kept). Join with the returned handle.
    package static func spawn(_ name: String, _ body: sending @escaping () -> Void) -> ThreadHandle {
        var thread = pthread_t()
        let start = Unmanaged.passRetained(Start(name: name, body: body))
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        pthread_attr_setstacksize(&attributes, 1 << 20)
        let status = pthread_create(
            &thread, &attributes,
            { argument in
                guard let argument else { return nil }
                let start = Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
                mt_name_thread(String(start.name.prefix(15)))
                mt_set_loop_id(LoopThread.nextIdentifier.add(1, ordering: .relaxed).newValue)
                start.body()
                return nil
            }, start.toOpaque())
        pthread_attr_destroy(&attributes)
        precondition(status == 0, "no thread could be started")
        return ThreadHandle(thread: thread)
    }

    /// The running thread's loop id; 0 on threads that `spawn` did not start.
    package static var current: UInt64 { mt_get_loop_id() }
}

/// A started thread. `join` or `detach` once.
package struct ThreadHandle: Sendable {
    fileprivate let thread: pthread_t

    package func join() { pthread_join(thread, nil) }

    /// Nobody will join it: what it holds goes when it ends.
    package func detach() { pthread_detach(thread) }
}
