import CEpoll

/// Signals as values, for the main thread: block them before any other thread starts, then wait.
package final class Signals {
    private let descriptor: Int32

    /// Blocks `signals` in this thread and those it starts later. SIGPIPE is ignored for good.
    package init(_ signals: [Int32]) throws(IOError) {
        mt_ignore_sigpipe()
        let made = mt_signalfd_block(signals, Int32(signals.count))
        guard made >= 0 else { throw IOError("signalfd", -made) }
        descriptor = made
    }

    deinit { _ = mt_close(descriptor) }

    /// The next signal's number. Blocks.
    package func next() -> Int32 {
        while true {
            let signal = mt_signalfd_read(descriptor)
            if signal > 0 { return signal }
        }
    }

    /// Whether one came within that time. Blocks for at most as long.
    package func wait(milliseconds: Int32) -> Bool { mt_poll_readable(descriptor, milliseconds) == 1 }
}
