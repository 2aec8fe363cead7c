import Reactor

/// Says why and closes: a close without a word looks like a broken network, and the client comes back at once.
final class RefusedConnection: ConnectionDriver {
    private let reply: [UInt8]

    init(_ reply: [UInt8]) { self.reply = reply }

    func opened(_ c: Connection) {
        c.write(reply)
        c.closeAfterFlush()
    }

    func received(_ c: Connection, _ bytes: Span<UInt8>) -> Int { bytes.count }
}
