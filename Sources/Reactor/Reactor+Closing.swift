import Base
import Handoff

extension Reactor {
    /// Tells the drivers and frees what was marked in this turn; what their callbacks mark is for the next.
    func closeMarked() {
        var batch: [Connection] = []
        swap(&batch, &closings)
        for c in batch {
            disarmTimer(c)
            c.state = .closed
            if c.descriptor >= 0 { io.close(c.descriptor) }
            c.input.removeAll()
            c.output.removeAll()
            c.tls = nil
            connections.remove(c.token)
            statistics.closed &+= 1
            c.driver.closed(c, c.closeReason ?? .local)
            InProgress.end()
        }
        // A descriptor was given back.
        if lacksDescriptors { resumeListeners() }
    }
}
