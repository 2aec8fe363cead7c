import Base
import Protocols
import Reactor

/// Drives one HTTP connection of the metrics listener: requests from the session go to `answer`, which must not block.
final class HTTPConnection: ConnectionDriver {
    /// For a request to arrive, and for an idle connection to say something.
    private static let idleSeconds = 30.0

    private var session = HTTPSession()
    private let answer: (HTTPRequest) -> HTTPResponse

    init(answer: @escaping (HTTPRequest) -> HTTPResponse) { self.answer = answer }

    func opened(_ c: Connection) { c.setDeadline(afterSeconds: Self.idleSeconds) }

    func received(_ c: Connection, _ bytes: Span<UInt8>) -> Int {
        c.setDeadline(afterSeconds: Self.idleSeconds)
        let used = session.receive(bytes)
        answerNext(c)
        return used
    }

    func drained(_ c: Connection) {
        answerNext(c)
        if c.isOpen { c.offerInput() }
    }

    /// One answer at a time: the next is made when the last one is on its way, so that a pipelined burst of requests holds
    /// up neither the loop nor its memory.
    private func answerNext(_ c: Connection) {
        if c.pendingOutput == 0, let request = session.next() { session.respond(answer(request)) }
        let output = session.takeOutput()
        if !output.isEmpty { c.write(output) }
        if session.isFinished { c.closeAfterFlush() }
    }
}
