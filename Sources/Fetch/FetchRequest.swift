package import Protocols

/// One file to be had by HTTPS GET from a host whose addresses were asked of our own resolver.
package struct FetchRequest: Sendable {
    /// A-labels: the name in the URL, in SNI, in `Host` and in the certificate.
    package var host: [UInt8]
    /// With its leading slash, printable ASCII.
    package var path: [UInt8]
    /// No other address is connected to.
    package var addresses: [IPAddress]
    /// The media type the answer must have, lower case, without parameters; empty: any.
    package var mediaType: [UInt8] = []
    package var limits = FetchLimits()
    package var access = FetchAccess()

    package init(host: [UInt8], path: [UInt8], addresses: [IPAddress]) {
        self.host = host
        self.path = path
        self.addresses = addresses
    }
}

/// What a closed network (a laboratory, a test) needs otherwise than the Internet.
package struct FetchAccess: Sendable, Hashable {
    package var port: UInt16 = 443
    /// PEM file of the roots; nil: the system's.
    package var rootsFile: String?
    /// Whether addresses that are not global may be connected to.
    package var allowsLocalAddresses = false

    package init() {}
}

/// Why there is no file.
package enum FetchProblem: Error, Sendable, Hashable {
    /// The host has no address.
    case noAddress
    /// It has, and none that a stranger may lead us to.
    case forbiddenAddress
    /// Refused, unreachable, broken off.
    case connection(String)
    case timeout
    /// The certificate is expired, not for this name, or of nobody we trust.
    case certificate(String)
    /// TLS did not come about for another reason.
    case tls(String)
    /// Not 200; redirects too.
    case status(Int)
    case tooLarge
    /// Not the media type that was asked for.
    case mediaType([UInt8])
    /// No HTTP, or this library failed.
    case malformed(String)

    /// For people.
    package var text: String {
        switch self {
        case .noAddress: "the host has no address"
        case .forbiddenAddress: "the host's addresses are not public"
        case .connection(let why): "no connection: \(why)"
        case .timeout: "no complete answer in time"
        case .certificate(let why): "the certificate is not valid: \(why)"
        case .tls(let why): "no TLS: \(why)"
        case .status(let code): "HTTP status \(code)"
        case .tooLarge: "the answer is too large"
        case .mediaType(let type):
            "the media type is \"\(type.prefix(100).map { Character(Unicode.Scalar($0)) }.reduce(into: "") { $0.append($1) })\""
        case .malformed(let why): "not HTTP: \(why)"
        }
    }
}
