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
        var used = 0
        while true {
            let n = session.receive(bytes.extracting(used..<bytes.count))
            used += n
            let answered = answerRequests()
            if n == 0 && !answered || used == bytes.count { break }
        }
        let output = session.takeOutput()
        if !output.isEmpty { c.write(output) }
        if session.isFinished { c.closeAfterFlush() }
        return used
    }

    private func answerRequests() -> Bool {
        var any = false
        while let request = session.next() {
            session.respond(answer(request))
            any = true
        }
        return any
    }
}
