import Base

/// The server side of one HTTP/1.1 connection: bytes in, requests out, answers in, bytes out. No I/O.
///
/// Owned by one connection's driver. Requests come out one at a time, in order; the next is read when its predecessor
/// was answered, so pipelined requests wait as bytes, at most `HTTPLimits.pipelineMaximum` of them.
package struct HTTPSession: ~Copyable {
    private var input: ByteBuffer
    private var output: [UInt8] = []
    private var parser: HTTPParser
    private let limits: HTTPLimits
    private var answered = 0
    /// The request that waits for its answer.
    private var pending: Pending?
    private var ended = false
    private var inputClosed = false

    private struct Pending {
        let isHead: Bool
        let keepAlive: Bool
    }

    package init(limits: HTTPLimits = HTTPLimits()) {
        self.limits = limits
        parser = HTTPParser(limits: limits)
        input = ByteBuffer(maximum: limits.pipelineMaximum)
    }

    /// How many bytes `receive` takes now; 0 means: stop reading until a request was answered.
    package var room: Int { ended ? 0 : input.room }

    /// True once the connection is to be closed after `takeOutput()` has been sent.
    package var isFinished: Bool { ended && pending == nil }

    /// Takes bytes from the front of `bytes`; returns how many.
    package mutating func receive(_ bytes: Span<UInt8>) -> Int {
        let n = min(room, bytes.count)
        return input.append(bytes.extracting(0..<n)) ? n : 0
    }

    /// The next request to answer, or nil: more bytes, or the answer to the one before, are needed.
    /// A malformed request is answered here, and ends the session.
    package mutating func next() -> HTTPRequest? {
        while pending == nil, !ended, !input.isEmpty {
            let (used, step) = Self.step(&parser, input)
            input.consume(used)
            switch step {
            case .needMore: break
            case .expectsContinue: output.append(ascii: "HTTP/1.1 100 Continue\r\n\r\n")
            case .failure(let failure):
                output += HTTPResponse(failure).encoded(isHead: false, close: true)
                end()
            case .request(let request):
                let last = answered + 1 >= limits.requestsMaximum
                pending = Pending(isHead: request.method == .head, keepAlive: request.keepAlive && !last)
                return request
            }
            if step == .needMore { break }
        }
        if inputClosed, pending == nil { end() }
        return nil
    }

    private static func step(
        _ parser: inout HTTPParser, _ input: borrowing ByteBuffer
    ) -> (used: Int, step: HTTPParser.Step) {
        parser.parse(input.span)
    }

    /// Answers the request that `next()` gave. Ignored when there is none.
    package mutating func respond(_ response: HTTPResponse, close: Bool = false) {
        guard let request = pending else { return }
        pending = nil
        answered += 1
        let closes = close || !request.keepAlive
        output += response.encoded(isHead: request.isHead, close: closes)
        if closes { end() }
    }

    /// The bytes to send; they are handed over once.
    package mutating func takeOutput() -> [UInt8] {
        let bytes = output
        output = []
        return bytes
    }

    /// The peer closed its side: what came is still answered, and then the session ends. Call `next()` afterwards.
    package mutating func inputEnded() { inputClosed = true }

    private mutating func end() {
        ended = true
        input.removeAll()
    }
}
