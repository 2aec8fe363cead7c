import Base

/// An answer as a value. `HTTPSession` encodes it and adds the framing fields.
package struct HTTPResponse: Sendable, Equatable {
    package var status: Int
    package var fields: [HTTPField] = []
    package var body: [UInt8] = []

    package init(status: Int, contentType: StaticString? = nil, body: [UInt8] = []) {
        self.status = status
        self.body = body
        if let contentType { add("content-type", contentType) }
    }

    /// A plain-text answer: the body is `text` and a line end.
    package init(status: Int, text: StaticString) {
        var body: [UInt8] = []
        body.append(ascii: text)
        body.append(ASCII.lf)
        self.init(status: status, contentType: "text/plain; charset=utf-8", body: body)
    }

    init(_ failure: HTTPFailure) { self.init(status: failure.rawValue, text: Self.reason(failure.rawValue)) }

    package mutating func add(_ name: StaticString, _ value: StaticString) {
        var bytes: [UInt8] = []
        bytes.append(ascii: value)
        add(name, bytes)
    }

    package mutating func add(_ name: StaticString, _ value: [UInt8]) {
        var bytes: [UInt8] = []
        bytes.append(ascii: name)
        fields.append(HTTPField(name: bytes, value: value))
    }

    /// The wire form. `isHead`: the answer to a HEAD, whose body stays here (RFC 9110 §9.3.2).
    package func encoded(isHead: Bool, close: Bool) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(256 + (isHead ? 0 : body.count))
        out.append(ascii: "HTTP/1.1 ")
        out.append(decimal: status)
        out.append(ASCII.space)
        out.append(ascii: Self.reason(status))
        out.append(ascii: "\r\n")
        for field in fields {
            out.append(contentsOf: field.name)
            out.append(ascii: ": ")
            // No value can end its own line: RFC 9110 §5.5.
            for c in field.value { out.append(c == ASCII.cr || c == ASCII.lf || c == 0 ? ASCII.space : c) }
            out.append(ascii: "\r\n")
        }
        // RFC 9110 §8.6: no length where no content can be.
        if status >= 200, status != 204 {
            out.append(ascii: "content-length: ")
            out.append(decimal: body.count)
            out.append(ascii: "\r\n")
        }
        if close { out.append(ascii: "connection: close\r\n") }
        out.append(ascii: "\r\n")
        if !isHead, status >= 200, status != 204, status != 304 { out.append(contentsOf: body) }
        return out
    }

    private static func reason(_ status: Int) -> StaticString {
        switch status {
        case 100: "Continue"
        case 200: "OK"
        case 204: "No Content"
        case 303: "See Other"
        case 304: "Not Modified"
        case 400: "Bad Request"
        case 401: "Unauthorized"
        case 403: "Forbidden"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 413: "Content Too Large"
        case 414: "URI Too Long"
        case 417: "Expectation Failed"
        case 429: "Too Many Requests"
        case 431: "Request Header Fields Too Large"
        case 500: "Internal Server Error"
        case 501: "Not Implemented"
        case 503: "Service Unavailable"
        case 505: "HTTP Version Not Supported"
        default: "Status"
        }
    }
}
