import Base
import Protocols
import Reactor
import Store

/// RFC 6152 §3: what a server cannot take as it is goes as 7-bit lines, or comes back.
extension OutboundConnection {
    /// True when the transaction is begun anew with another body, now or when that is made.
    func converts(_ run: OutboundJob, _ outcome: TransferOutcome) -> Bool {
        switch outcome.verdict {
        case .unsupported(.eightBitMIME), .unsupported(.binaryMIME): break
        default: return false
        }
        guard !run.isConverted, run.content.size <= worker.options.rewriteBytesMax else { return false }
        switch run.content.body {
        case .memory(let bytes):
            guard let made = Downgrade.sevenBit(run.content.head + bytes) else { return false }
            // The session says that it is ready right after this.
            run.convert(to: made)
            return true
        case .stored(let id, let size):
            heldOutcome = outcome
            convertStored(run, id, size)
            return true
        }
    }

    /// A large body is converted where it is read, not on the loop.
    private func convertStored(_ run: OutboundJob, _ id: MessageID, _ size: Int) {
        guard let token = connection?.token else { return }
        let head = run.content.head
        worker.read(run, id, from: 0, most: size, making: { Downgrade.sevenBit(head + $0) ?? [] }) {
            worker, run, made in
            guard let c = worker.reactor.connection(for: token), let driver = c.driver as? OutboundConnection,
                driver.run === run
            else { return }
            driver.converted(run, made, c)
        }
    }

    private func converted(_ run: OutboundJob, _ made: [UInt8]?, _ c: Connection) {
        guard let outcome = heldOutcome, c.isOpen else { return }
        guard let made else { return c.close() }
        heldOutcome = nil
        if made.isEmpty {
            settle(run, outcome)
            if self.run == nil { worker.connectionFree(self) } else { submit() }
        } else {
            run.convert(to: made)
            submit()
        }
        serve(c)
    }
}
