import Base
import Reactor

/// How a sink's replies leave: at once, or as a script wants them. One for each connection, on the sink's thread.
final class SinkReplies {
    private unowned let reactor: Reactor
    private weak var connection: Connection?
    /// The next reply is its code alone.
    var isBare = false
    private var interval: Double?
    private var queue: [UInt8] = []
    private var head = 0
    private var closes = false
    private var isEndless = false

    init(_ reactor: Reactor, _ connection: Connection) {
        self.reactor = reactor
        self.connection = connection
    }

    @inline(__always)
    func say(_ text: StaticString) {
        if !isBare, interval == nil {
            connection?.write(ascii: text)
        } else {
            say(text.withUTF8Buffer { Array($0) })
        }
    }

    func say(_ bytes: [UInt8]) {
        var bytes = bytes
        if isBare {
            isBare = false
            bytes = Array(bytes.prefix(3)) + [ASCII.cr, ASCII.lf]
        }
        guard interval != nil else { return connection?.write(bytes) ?? () }
        queue += bytes
        if queue.count - head == bytes.count { dripOne() }
    }

    func closeAfterSaying() {
        if head < queue.count { closes = true } else { connection?.closeAfterFlush() }
    }

    /// From now on one byte every `seconds`.
    func drip(_ seconds: Double) { interval = seconds }

    private func dripOne() {
        guard let c = connection, c.isOpen, head < queue.count, let interval else { return }
        c.write([queue[head]])
        head += 1
        if head == queue.count {
            queue.removeAll()
            head = 0
            if closes { c.closeAfterFlush() }
            return
        }
        reactor.after(interval) { [weak self] in self?.dripOne() }
    }

    /// A multi-line reply that never ends, as fast as the peer takes it, up to some 300 KB/s.
    func sayWithoutEnd(_ code: Int) {
        guard let c = connection, c.isOpen else { return }
        if c.pendingOutput == 0 {
            let line = Array("\(code)-and there is more to be said about this\r\n".utf8)
            var lines: [UInt8] = []
            for _ in 0..<300 { lines += line }
            c.write(lines)
        }
        reactor.after(0.05) { [weak self] in self?.sayWithoutEnd(code) }
    }
}
