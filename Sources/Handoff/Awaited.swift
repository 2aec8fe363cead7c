import CEpoll

/// One answer that a thread waits for while another makes it. Unlike a mailbox it needs no descriptor, so that asking
/// works when the process has none left, which is when operators ask.
///
/// Safety: `value` is only touched with `lock` held; both pointers stay as they are from init to deinit.
package final class Awaited<Value: Sendable>: @unchecked Sendable {
    private let lock: UnsafeMutablePointer<pthread_mutex_t>
    private let came: UnsafeMutablePointer<pthread_cond_t>
    private var value: Value?

    package init() {
        lock = .allocate(capacity: 1)
        lock.initialize(to: pthread_mutex_t())
        pthread_mutex_init(lock, nil)
        came = .allocate(capacity: 1)
        came.initialize(to: pthread_cond_t())
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        // A step of the wall clock must not make a wait longer.
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(came, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(came)
        came.deallocate()
        pthread_mutex_destroy(lock)
        lock.deallocate()
    }

    /// The first answer counts. Any thread; never waits for long.
    package func give(_ answer: Value) {
        pthread_mutex_lock(lock)
        if value == nil { value = answer }
        pthread_cond_broadcast(came)
        pthread_mutex_unlock(lock)
    }

    /// nil: none came within `seconds`; without it the wait has no end. For threads that may block.
    package func wait(seconds: Double? = nil) -> Value? {
        var until = timespec()
        if let seconds {
            clock_gettime(CLOCK_MONOTONIC, &until)
            let nanoseconds = Int(until.tv_nsec) + Int(min(max(0, seconds), 1e6) * 1e9)
            until.tv_sec += nanoseconds / 1_000_000_000
            until.tv_nsec = nanoseconds % 1_000_000_000
        }
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        while value == nil {
            let status = seconds == nil ? pthread_cond_wait(came, lock) : pthread_cond_timedwait(came, lock, &until)
            if status != 0 { break }
        }
        return value
    }
}
