import Base

/// `method SP request-target SP HTTP-version`.
enum HTTPRequestLine {
    // RFC 9112 §3
    static func parse(
        _ line: Span<UInt8>, _ limits: HTTPLimits, into request: inout HTTPRequest, _ head: inout HTTPHead
    ) throws(HTTPFailure) {
        guard let first = ByteScan.firstIndex(of: ASCII.space, in: line, from: 0),
            let second = ByteScan.firstIndex(of: ASCII.space, in: line, from: first + 1)
        else { throw .badRequest }
        let method = line.extracting(0..<first)
        let target = line.extracting((first + 1)..<second)
        try parseVersion(line.extracting((second + 1)..<line.count), &request, &head)
        guard HTTPSyntax.isToken(method), method.count <= 32 else { throw .badRequest }
        guard target.count <= limits.targetMaximum else { throw .targetTooLong }
        request.method = HTTPMethod(method)
        try parseTarget(target, &request, &head)
    }

    private static func parseVersion(
        _ bytes: Span<UInt8>, _ request: inout HTTPRequest, _ head: inout HTTPHead
    ) throws(HTTPFailure) {
        guard bytes.count == 8, HTTPSyntax.equals(bytes.extracting(0..<5), "HTTP/"), ASCII.isDigit(bytes[5]),
            bytes[6] == ASCII.dot, ASCII.isDigit(bytes[7])
        else { throw .badRequest }
        guard bytes[5] == 0x31 else { throw .versionNotSupported }
        head.isVersion10 = bytes[7] == 0x30
        request.keepAlive = !head.isVersion10
    }

    private static func parseTarget(
        _ target: Span<UInt8>, _ request: inout HTTPRequest, _ head: inout HTTPHead
    ) throws(HTTPFailure) {
        guard target.count > 0 else { throw .badRequest }
        for i in 0..<target.count {
            // RFC 3986 §2: visible ASCII only; a fragment is never sent.
            let c = target[i]
            guard c > 0x20, c < 0x7F, c != 0x23 else { throw .badRequest }
        }
        if HTTPSyntax.equals(target, "*") {
            guard request.method == .options else { throw .badRequest }
            request.path = Array(target)
            return
        }
        let start = try originStart(target, &head)
        let origin = target.extracting(start..<target.count)
        guard let mark = ByteScan.firstIndex(of: 0x3F, in: origin, from: 0) else {
            request.path = Array(origin)
            return
        }
        request.path = Array(origin.extracting(0..<mark))
        request.query = Array(origin.extracting((mark + 1)..<origin.count))
    }

    /// Where the path starts. RFC 9112 §3.2.2: an absolute target's authority takes the place of `Host`.
    private static func originStart(_ target: Span<UInt8>, _ head: inout HTTPHead) throws(HTTPFailure) -> Int {
        if target[0] == ASCII.slash { return 0 }
        for scheme in ["http://", "https://"] as [StaticString] {
            let length = scheme.utf8CodeUnitCount
            guard target.count > length else { continue }
            guard ASCII.equalIgnoringCase(target.extracting(0..<length), scheme) else { continue }
            guard let slash = ByteScan.firstIndex(of: ASCII.slash, in: target, from: length) else { break }
            let authority = Array(target.extracting(length..<slash))
            guard HTTPSyntax.isHost(authority) else { break }
            head.authority = authority
            return slash
        }
        throw .badRequest
    }
}
