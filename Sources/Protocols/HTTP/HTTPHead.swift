import Base

/// What the header fields said about framing, gathered while they are read.
struct HTTPHead: Sendable {
    /// Bytes of the head so far.
    var size = 0
    var skippedEmptyLine = false
    var isVersion10 = false
    /// The authority of an absolute target.
    var authority: [UInt8]?
    var bodyLeft = 0
    var expectsContinue = false
    private var hosts = 0
    private var contentLength: UInt64?
    private var hasTransferEncoding = false

    // RFC 9112 §5
    mutating func take(_ line: Span<UInt8>, into request: inout HTTPRequest) throws(HTTPFailure) {
        // RFC 9112 §5.1: no white space before the colon; a line that starts with it would be obs-fold (§5.2).
        guard let colon = ByteScan.firstIndex(of: ASCII.colon, in: line, from: 0),
            HTTPSyntax.isToken(line.extracting(0..<colon))
        else { throw .badRequest }
        let raw = line.extracting((colon + 1)..<line.count)
        guard HTTPSyntax.isFieldValue(raw) else { throw .badRequest }
        let name = ASCII.lowercased(Array(line.extracting(0..<colon)))
        let value = HTTPSyntax.trimmed(raw)
        try note(name.span, value, &request)
        request.fields.append(HTTPField(name: name, value: value))
    }

    private mutating func note(
        _ name: Span<UInt8>, _ value: [UInt8], _ request: inout HTTPRequest
    ) throws(HTTPFailure) {
        if HTTPSyntax.equals(name, "host") {
            hosts += 1
            guard hosts == 1, HTTPSyntax.isHost(value) else { throw .badRequest }
            request.host = value
        } else if HTTPSyntax.equals(name, "content-length") {
            // RFC 9112 §6.3: repeated or listed lengths are refused, equal or not.
            guard contentLength == nil, let length = Decimal.parse(value.span) else { throw .badRequest }
            contentLength = length
        } else if HTTPSyntax.equals(name, "transfer-encoding") {
            hasTransferEncoding = true
        } else if HTTPSyntax.equals(name, "connection") {
            if HTTPSyntax.list(value, contains: "close") { request.keepAlive = false }
        } else if HTTPSyntax.equals(name, "expect") {
            // RFC 9110 §10.1.1
            guard ASCII.equalIgnoringCase(value.span, "100-continue") else { throw .expectationFailed }
            expectsContinue = true
        }
    }

    /// The empty line was read: the framing must be sound now.
    mutating func end(_ request: inout HTTPRequest, _ limits: HTTPLimits) throws(HTTPFailure) {
        // RFC 9112 §3.2: exactly one Host in HTTP/1.1.
        guard hosts == 1 || isVersion10 else { throw .badRequest }
        if let authority { request.host = authority }
        if hasTransferEncoding {
            // RFC 9112 §6.1: both lengths at once, or a coding in HTTP/1.0, is an attack; a coding alone is unknown.
            throw contentLength != nil || isVersion10 ? .badRequest : .notImplemented
        }
        guard let contentLength, contentLength > 0 else {
            expectsContinue = false
            return
        }
        guard contentLength <= UInt64(limits.bodyMaximum) else { throw .contentTooLarge }
        bodyLeft = Int(contentLength)
        expectsContinue = expectsContinue && !isVersion10
    }
}
