package import Base
package import Protocols

/// What filters are told of a client when a session begins, and of its HELO. Made by the SMTP driver, at MAIL.
package struct MilterConnectFacts: Sendable, Equatable {
    /// The outcome of reverse DNS, as `{client_resolve}` says it.
    package enum Resolved: String, Sendable {
        case ok = "OK"
        case fail = "FAIL"
        case forged = "FORGED"
        case temporary = "TEMP"
    }

    /// Ours.
    package var hostname: [UInt8] = []
    /// The listener: `mx`, `submission`…
    package var daemonName: [UInt8] = []
    /// The verified reverse name of the client; empty: none is known.
    package var clientName: [UInt8] = []
    /// What the address pointed to, verified or not.
    package var clientPointer: [UInt8] = []
    package var resolved = Resolved.fail
    /// nil: a Unix socket.
    package var clientAddress: IPAddress?
    package var clientPort: UInt16 = 0
    /// Our end of the connection.
    package var localAddress: IPAddress?
    package var helo: [UInt8] = []
    /// Empty: no TLS.
    package var tlsVersion: [UInt8] = []
    package var cipher: [UInt8] = []
    /// When the connection was opened, for the events' times.
    package var began = Instant(nanoseconds: 0)

    package init() {}

    /// The host name of CONNECT: the verified name, or the address in brackets.
    var connectName: [UInt8] {
        if !clientName.isEmpty { return clientName }
        guard let clientAddress else { return Array("localhost".utf8) }
        return Array((clientAddress.isIPv4 ? "[\(clientAddress)]" : "[IPv6:\(clientAddress)]").utf8)
    }
}

/// What filters are told of a transaction at MAIL.
package struct MilterMail: Sendable, Equatable {
    /// The reverse-path without its brackets; empty: the null sender.
    package var sender: [UInt8]
    /// ESMTP parameters as they came, `SIZE=1000`.
    package var parameters: [[UInt8]] = []
    /// The id the message will have; empty: not known yet, see `MilterChain.messageID`.
    package var id: [UInt8] = []
    /// Who logged in; empty: nobody.
    package var authenticated: [UInt8] = []
    package var mechanism: [UInt8] = []

    package init(sender: [UInt8]) { self.sender = sender }
}
