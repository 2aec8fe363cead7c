import Base

/// The methods the server tells apart; every other token is `other` and gets 501 or 405 from the handler.
package enum HTTPMethod: Sendable, Equatable {
    case get, head, post, put, patch, delete, options, other

    init(_ token: Span<UInt8>) {
        // RFC 9110 §9.1: methods are case-sensitive.
        if HTTPSyntax.equals(token, "GET") {
            self = .get
        } else if HTTPSyntax.equals(token, "HEAD") {
            self = .head
        } else if HTTPSyntax.equals(token, "POST") {
            self = .post
        } else if HTTPSyntax.equals(token, "PUT") {
            self = .put
        } else if HTTPSyntax.equals(token, "PATCH") {
            self = .patch
        } else if HTTPSyntax.equals(token, "DELETE") {
            self = .delete
        } else if HTTPSyntax.equals(token, "OPTIONS") {
            self = .options
        } else {
            self = .other
        }
    }
}

/// One header field: the name in lower case, the value without surrounding white space.
package struct HTTPField: Sendable, Equatable {
    package var name: [UInt8]
    package var value: [UInt8]
}

/// A whole request as a value. Made by `HTTPParser`; its sizes are bounded by `HTTPLimits`.
package struct HTTPRequest: Sendable, Equatable {
    package var method = HTTPMethod.get
    /// The target's path, still percent-encoded; `*` for OPTIONS of the server itself.
    package var path: [UInt8] = []
    /// What followed `?`, still percent-encoded; nil when there was none.
    package var query: [UInt8]?
    /// The `Host` field, or the authority of an absolute target.
    package var host: [UInt8] = []
    package var fields: [HTTPField] = []
    package var body: [UInt8] = []
    package var keepAlive = true

    /// The value of the first field called `name` (lower case).
    package func value(_ name: StaticString) -> [UInt8]? {
        for field in fields where HTTPSyntax.equals(field.name.span, name) { return field.value }
        return nil
    }

    /// Whether the path is exactly `text`.
    package func isPath(_ text: StaticString) -> Bool { HTTPSyntax.equals(path.span, text) }
}

/// What one connection may make the server hold.
package struct HTTPLimits: Sendable {
    package var targetMaximum = 8 * 1_024
    package var headMaximum = 32 * 1_024
    package var fieldsMaximum = 100
    package var bodyMaximum = 1_024 * 1_024
    /// Requests answered on one connection before it is closed.
    package var requestsMaximum = 1_000
    /// Bytes held that are not yet part of a request: the bound on pipelining.
    package var pipelineMaximum = 64 * 1_024

    package init() {}
}
