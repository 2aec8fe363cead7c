import Base

/// Why a request was refused; the connection is closed after the answer.
package enum HTTPFailure: Int, Sendable, Equatable, Error {
    case badRequest = 400
    case contentTooLarge = 413
    case targetTooLong = 414
    case expectationFailed = 417
    case headTooLarge = 431
    case notImplemented = 501
    case versionNotSupported = 505
}

/// Reads one request after the other from a byte stream, strictly: what two servers could read in two ways is refused.
///
/// Used by `HTTPSession` only. Holds at most one request, bounded by `HTTPLimits`; the outcome does not depend on how
/// the bytes were split.
package struct HTTPParser: Sendable {
    package enum Step: Sendable, Equatable {
        case needMore
        /// The head is complete and the client waits for `100 Continue`.
        case expectsContinue
        case request(HTTPRequest)
        case failure(HTTPFailure)
    }

    private enum State: Sendable, Equatable {
        case start, fields, body, failed(HTTPFailure)
    }

    private let limits: HTTPLimits
    private var state = State.start
    private var request = HTTPRequest()
    private var head = HTTPHead()
    /// Bytes of the incomplete line that are known to hold no line end, so that slow senders cost no rescans.
    private var scanned = 0

    package init(limits: HTTPLimits = HTTPLimits()) { self.limits = limits }

    /// Reads from the front of `bytes`. Returns how many were used; call again with the rest until `.needMore`, and
    /// then with the rest and what came after it.
    package mutating func parse(_ bytes: Span<UInt8>) -> (used: Int, step: Step) {
        var used = 0
        do throws(HTTPFailure) {
            while true {
                switch state {
                case .failed(let failure): return (bytes.count, .failure(failure))
                case .body:
                    used += takeBody(bytes.extracting(used..<bytes.count))
                    guard head.bodyLeft == 0 else { return (used, .needMore) }
                    return (used, .request(finish()))
                case .start, .fields:
                    let rest = bytes.extracting(used..<bytes.count)
                    guard let length = try lineLength(rest) else { return (used, .needMore) }
                    used += length + 2
                    head.size += length + 2
                    if try takeLine(rest.extracting(0..<length)) { return (used, .expectsContinue) }
                }
            }
        } catch {
            state = .failed(error)
            return (bytes.count, .failure(error))
        }
    }

    /// The length of the line at the front, without its CRLF; nil when it is not complete.
    private mutating func lineLength(_ bytes: Span<UInt8>) throws(HTTPFailure) -> Int? {
        let tooLong: HTTPFailure = state == .start ? .targetTooLong : .headTooLarge
        // Method and version stand beside the target on its line.
        let longest = state == .start ? limits.targetMaximum + 64 : limits.headMaximum - head.size
        guard let end = ByteScan.firstIndex(of: ASCII.cr, or: ASCII.lf, in: bytes, from: scanned) else {
            if bytes.count > longest { throw tooLong }
            scanned = bytes.count
            return nil
        }
        if end > longest { throw tooLong }
        // RFC 9112 §2.2: a bare CR or LF is invalid here; lenient readings of it are how requests are smuggled.
        guard bytes[end] == ASCII.cr else { throw .badRequest }
        guard end + 1 < bytes.count else { return nil }
        guard bytes[end + 1] == ASCII.lf else { throw .badRequest }
        scanned = 0
        return end
    }

    /// Takes one line of the head. True when the head ended and the client expects `100 Continue`.
    private mutating func takeLine(_ line: Span<UInt8>) throws(HTTPFailure) -> Bool {
        if state == .start {
            if line.count == 0 {
                // RFC 9112 §2.2: an empty line before the request line is ignored, once.
                if head.skippedEmptyLine { throw .badRequest }
                head.skippedEmptyLine = true
                return false
            }
            try HTTPRequestLine.parse(line, limits, into: &request, &head)
            state = .fields
            return false
        }
        if line.count > 0 {
            guard request.fields.count < limits.fieldsMaximum else { throw .headTooLarge }
            try head.take(line, into: &request)
            return false
        }
        try head.end(&request, limits)
        state = .body
        return head.expectsContinue
    }

    private mutating func takeBody(_ bytes: Span<UInt8>) -> Int {
        let n = min(head.bodyLeft, bytes.count)
        request.body.append(bytes.extracting(0..<n))
        head.bodyLeft -= n
        return n
    }

    private mutating func finish() -> HTTPRequest {
        let done = request
        request = HTTPRequest()
        head = HTTPHead()
        state = .start
        return done
    }
}
