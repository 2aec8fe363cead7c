import CEpoll
import Handoff

/// Drains a `Log` to a descriptor in batches, on a thread of its own. The only place that may block on a slow reader.
package struct LogThread: Sendable {
    private let log: Log
    private let thread: ThreadHandle
    /// How long lines are gathered before they are written. While they come the thread looks by itself: a wake-up for
    /// each would be a system call of the thread that serves mail.
    private static let gatherMilliseconds: Int32 = 10
    /// Looks in vain before the thread sleeps until it is woken.
    private static let idleLooksMax = 50
    private static let batchMaximum = 256 * 1_024

    /// Starts the thread. `descriptor` is not owned: it is standard error in the daemon.
    package static func start(_ log: Log, descriptor: Int32 = 2) -> LogThread {
        let thread = LoopThread.spawn("log") { run(log, descriptor) }
        return LogThread(log: log, thread: thread)
    }

    /// Writes what is queued, then ends the thread. Lines posted later are lost.
    package func stop() {
        // An empty line ends the loop; a full ring empties as the thread writes.
        while !log.ring.post([]) { _ = mt_poll_readable(-1, 1) }
        thread.join()
    }

    private static func run(_ log: Log, _ descriptor: Int32) {
        var batch: [UInt8] = []
        var idleLooks = idleLooksMax
        while true {
            if idleLooks >= idleLooksMax { log.ring.wait() }
            idleLooks += 1
            var ended = false
            while let line = log.ring.next() {
                idleLooks = 0
                if line.isEmpty {
                    ended = true
                    break
                }
                batch.append(contentsOf: line)
                if batch.count >= batchMaximum { flush(&batch, descriptor) }
            }
            flush(&batch, descriptor)
            if ended { return }
            _ = mt_poll_readable(-1, gatherMilliseconds)
        }
    }

    private static func flush(_ batch: inout [UInt8], _ descriptor: Int32) {
        batch.withUnsafeBytes { bytes in
            var rest = UnsafeRawBufferPointer(rebasing: bytes[...])
            while let start = rest.baseAddress, rest.count > 0 {
                let n = mt_write(descriptor, start, rest.count)
                if n == -Int64(EINTR) { continue }
                if n == -Int64(EAGAIN) {
                    _ = mt_poll_readable(-1, 1)
                    continue
                }
                guard n > 0 else { return }
                rest = UnsafeRawBufferPointer(rebasing: rest[Int(n)...])
            }
        }
        batch.removeAll(keepingCapacity: true)
    }
}
